/** Lets a cluster go that is being deleted: its last WAL first. */
import { type EventRecorder, isKubeError } from '@pgherd/kube';
import type { CallAnswer } from './connections.ts';
import type { Facts, InstanceFacts } from './facts.ts';
import { planFarewell } from './plan-farewell.ts';

const SEAL_MS = 70_000;

export interface FarewellContext {
  event: EventRecorder;
  ask(
    facts: Facts,
    instance: InstanceFacts,
    question: { path: string; body: unknown; timeoutMs: number },
  ): Promise<CallAnswer>;
  /** Takes the finalizer off. */
  release(facts: Facts): Promise<void>;
}

/** One step. Throws KubeError when the finalizer could not be taken off: it is tried again. */
export async function sayFarewell(context: FarewellContext, facts: Facts): Promise<void> {
  const step = planFarewell(facts);
  if (step.do === 'nothing') return;
  const problem = step.do === 'seal' ? await seal(context, facts, step.primary) : step.why;
  const { cluster } = facts;
  if (problem)
    context.event(cluster, 'Warning', 'LastWalNotArchived', `deleted without the last WAL: ${problem}`);
  else if (step.do === 'seal')
    context.event(cluster, 'Normal', 'LastWalArchived', 'all WAL is in the archive; the cluster goes');
  try {
    await context.release(facts);
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
  }
}

async function seal(
  { ask }: FarewellContext,
  facts: Facts,
  primary: InstanceFacts,
): Promise<string | undefined> {
  try {
    const { status, body } = await ask(facts, primary, {
      path: '/backrest/seal',
      body: {},
      timeoutMs: SEAL_MS,
    });
    const { error } = (body ?? {}) as { error?: string };
    return status === 200 ? undefined : (error ?? `${primary.name} answers with status ${status}`);
  } catch (error) {
    return (error as Error).message;
  }
}

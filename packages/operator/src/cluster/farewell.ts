/** Lets a cluster go that is being deleted: its last WAL first. */
import { type EventRecorder, isKubeError } from '@pgherd/kube';
import { type CallAnswer, describeSilence } from './connections.ts';
import type { Facts, InstanceFacts } from './facts.ts';
import { planFarewell } from './plan-farewell.ts';

/** How long one try may take. */
const SEAL_MS = 70_000;
const AGAIN_MS = 2_000;

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

/**
 * One step; when to look again, while the cluster is not let go. Throws KubeError when the finalizer could not be taken
 * off: it is tried again.
 */
export async function sayFarewell(
  context: FarewellContext,
  facts: Facts,
): Promise<{ afterMs: number } | undefined> {
  const step = planFarewell(facts);
  if (step.do === 'nothing') return undefined;
  if (step.do === 'wait') return { afterMs: AGAIN_MS };
  const { event } = context;
  const { cluster } = facts;
  if (step.do === 'seal') {
    const problem = await seal(context, facts, step.primary, step.leftMs);
    if (problem) {
      event(cluster, 'Warning', 'LastWalWaits', `its last WAL is not in the archive yet: ${problem}`);
      return { afterMs: AGAIN_MS };
    }
    event(cluster, 'Normal', 'LastWalArchived', 'all WAL is in the archive; the cluster goes');
  } else if (step.why)
    event(cluster, 'Warning', 'LastWalNotArchived', `deleted without the last WAL: ${step.why}`);
  try {
    await context.release(facts);
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
  }
  return undefined;
}

/** Why it did not come to the archive; undefined when it did. */
async function seal(
  { ask }: FarewellContext,
  facts: Facts,
  primary: InstanceFacts,
  leftMs: number,
): Promise<string | undefined> {
  try {
    const { status, body } = await ask(facts, primary, {
      path: '/backrest/seal',
      body: {},
      timeoutMs: Math.min(leftMs, SEAL_MS),
    });
    const { error } = (body ?? {}) as { error?: string };
    return status === 200 ? undefined : (error ?? `${primary.name} answers with status ${status}`);
  } catch (error) {
    return describeSilence(error);
  }
}

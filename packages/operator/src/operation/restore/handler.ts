/** A cluster goes back to an earlier state, in place. */
import type { ChooseRequest, RecoveryChoice } from '@pgherd/api';
import type { Action } from '../../cluster/actions.ts';
import type { InstanceFacts } from '../../cluster/facts.ts';
import { type BaseFacts, defineHandler, type HandlerContext, plain } from '../handler.ts';
import { abandonRestore, isToCheck, planRestore, type RestoreFacts, STEPS, sourceOf } from './plan.ts';

const CHECK_MS = 60_000;
const SEAL_MS = 70_000;

export const restore = defineHandler<RestoreFacts, Action>({
  steps: STEPS,
  defaultDeadlineSeconds: 6 * 3600,
  async observe(context, base): Promise<RestoreFacts> {
    if (!isToCheck(base)) return base;
    const { instances } = base.cluster;
    const primary = instances.find(({ report }) => report?.role === 'primary' && report.leader);
    const answering = primary ?? instances.find(({ report }) => report);
    if (!answering) return { ...base, check: { unreachable: 'no instance of the cluster answers' } };
    const seal = primary && (await sealing(context, base, primary));
    const completeUntilMs = seal && 'at' in seal ? Date.parse(seal.at) : undefined;
    const check = await choosing(context, base, answering, {
      source: sourceOf(base),
      ...(completeUntilMs === undefined ? {} : { completeUntilMs }),
    });
    return { ...base, check, ...(seal ? { seal } : {}) };
  },
  plan: planRestore,
  act: plain.act,
  abandon: abandonRestore,
});

async function choosing(
  { ask }: HandlerContext,
  { cluster }: BaseFacts,
  instance: InstanceFacts,
  request: ChooseRequest,
): Promise<RestoreFacts['check']> {
  try {
    const path = '/backrest/choose';
    const answer = await ask(cluster, instance, { path, body: request, timeoutMs: CHECK_MS });
    if (answer.status === 200) return answer.body as RecoveryChoice;
    return { unreachable: `${instance.name}: ${said(answer.body)}` };
  } catch (error) {
    return { unreachable: `${instance.name}: ${(error as Error).message}` };
  }
}

/** Whatever was committed until now is to be recoverable, from before this restore too. */
async function sealing(
  { ask }: HandlerContext,
  { cluster }: BaseFacts,
  primary: InstanceFacts,
): Promise<RestoreFacts['seal']> {
  try {
    const answer = await ask(cluster, primary, { path: '/backrest/seal', body: {}, timeoutMs: SEAL_MS });
    return answer.status === 200 ? (answer.body as { at: string }) : { problem: said(answer.body) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

function said(body: unknown): string {
  const { error } = (body ?? {}) as { error?: string };
  return error ?? String(body);
}

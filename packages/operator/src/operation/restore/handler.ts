/** A cluster goes back to an earlier state, in place. */
import type { ChooseRequest, RecoveryChoice } from '@pgherd/api';
import type { Action } from '../../cluster/actions.ts';
import type { InstanceFacts } from '../../cluster/facts.ts';
import { type BaseFacts, defineHandler, type HandlerContext, plain } from '../handler.ts';
import { saidOf, seal, servingPrimary } from '../seal.ts';
import { abandonRestore, isToCheck, planRestore, type RestoreFacts, STEPS, sourceOf } from './plan.ts';

const CHECK_MS = 60_000;

export const restore = defineHandler<RestoreFacts, Action>({
  steps: STEPS,
  defaultDeadlineSeconds: 6 * 3600,
  async observe(context, base): Promise<RestoreFacts> {
    if (!isToCheck(base)) return base;
    const { instances } = base.cluster;
    const primary = servingPrimary(base);
    const answering = primary ?? instances.find(({ report }) => report);
    if (!answering) return { ...base, check: { unreachable: 'no instance of the cluster answers' } };
    const sealed = primary && (await seal(context, base, primary));
    const completeUntilMs = sealed && 'at' in sealed ? Date.parse(sealed.at) : undefined;
    const check = await choosing(context, base, answering, {
      source: sourceOf(base),
      ...(completeUntilMs === undefined ? {} : { completeUntilMs }),
    });
    return { ...base, check, ...(sealed ? { seal: sealed } : {}) };
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
    return { unreachable: `${instance.name}: ${saidOf(answer.body)}` };
  } catch (error) {
    return { unreachable: `${instance.name}: ${(error as Error).message}` };
  }
}

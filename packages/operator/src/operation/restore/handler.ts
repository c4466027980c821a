/** A cluster goes back to an earlier state, in place. */
import type { Action } from '../../cluster/actions.ts';
import { defineHandler, plain } from '../handler.ts';
import { askReachable } from '../reachable.ts';
import { seal, servingPrimary } from '../seal.ts';
import {
  abandonRestore,
  BACK_MS,
  isToCheck,
  planRestore,
  type RestoreFacts,
  STEPS,
  sourceOf,
} from './plan.ts';

export const restore = defineHandler<RestoreFacts, Action>({
  steps: STEPS,
  begins: 'brings the last WAL to the archive, and looks what can be restored',
  defaultDeadlineSeconds: 6 * 3600,
  async observe(context, base): Promise<RestoreFacts> {
    if (!isToCheck(base)) return base;
    const { instances } = base.cluster;
    const primary = servingPrimary(base);
    const answering = primary ?? instances.find(({ report }) => report);
    if (!answering) return { ...base, check: { unreachable: 'no instance of the cluster answers' } };
    const sealed = primary && (await seal(context, base, primary));
    const completeUntilMs = sealed && 'at' in sealed ? Date.parse(sealed.at) : undefined;
    const check = await askReachable(context, base, answering, {
      source: sourceOf(base),
      ...(completeUntilMs === undefined ? {} : { completeUntilMs }),
    });
    return { ...base, check, ...(sealed ? { seal: sealed } : {}) };
  },
  plan: planRestore,
  act: plain.act,
  abandon: abandonRestore,
  calledOffMs: BACK_MS,
});

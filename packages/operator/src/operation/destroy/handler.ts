/** An instance is removed for good, and a new one takes its place. */
import type { Action } from '../../cluster/actions.ts';
import { type BaseFacts, defineHandler, plain } from '../handler.ts';
import { abandonDestroy, planDestroy, STEPS } from './plan.ts';

export const destroy = defineHandler<BaseFacts, Action>({
  steps: STEPS,
  defaultDeadlineSeconds: 900,
  ...plain,
  plan: planDestroy,
  abandon: abandonDestroy,
});

/** Another instance becomes the primary. */
import type { Action } from '../../cluster/actions.ts';
import { type BaseFacts, defineHandler, plain } from '../handler.ts';
import { abandonSwitchover, planSwitchover, STEPS } from './plan.ts';

export const switchover = defineHandler<BaseFacts, Action>({
  steps: STEPS,
  defaultDeadlineSeconds: 180,
  ...plain,
  plan: planSwitchover,
  abandon: abandonSwitchover,
});

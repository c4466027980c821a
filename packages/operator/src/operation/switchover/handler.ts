/** Another instance becomes the primary. */
import type { Action } from '../../cluster/actions.ts';
import { type BaseFacts, defineHandler, plain } from '../handler.ts';
import { abandonSwitchover, DEFAULT_DEADLINE_SECONDS, planSwitchover, STEPS } from './plan.ts';

export const switchover = defineHandler<BaseFacts, Action>({
  steps: STEPS,
  defaultDeadlineSeconds: DEFAULT_DEADLINE_SECONDS,
  // One whose primary is stopping already goes on to its end.
  calledOffMs: 30_000,
  ...plain,
  plan: planSwitchover,
  abandon: abandonSwitchover,
});

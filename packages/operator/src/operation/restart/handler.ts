/** PostgreSQL is stopped and started again, with its pod. */
import type { Action } from '../../cluster/actions.ts';
import { type BaseFacts, defineHandler, plain } from '../handler.ts';
import { planRestart, STEPS } from './plan.ts';

export const restart = defineHandler<BaseFacts, Action>({
  steps: STEPS,
  defaultDeadlineSeconds: 1800,
  ...plain,
  plan: planRestart,
});

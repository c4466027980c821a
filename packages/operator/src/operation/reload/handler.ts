/** Every instance reads its settings, its certificates and its passwords again. */
import type { Action } from '../../cluster/actions.ts';
import { type BaseFacts, defineHandler, plain } from '../handler.ts';
import { planReload, STEPS } from './plan.ts';

export const reload = defineHandler<BaseFacts, Action>({
  steps: STEPS,
  defaultDeadlineSeconds: 60,
  ...plain,
  plan: planReload,
});

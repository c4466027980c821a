/** `status` of an Operation: written by the operator alone. */
import type { Static } from 'typebox';
import { integer, list, map, number, object, openWord, optional, text } from '../schema.ts';

export type OperationPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';
export type StepState = 'Pending' | 'Running' | 'Done' | 'Failed' | 'Skipped';

const time = (description: string) => text(description, { format: 'date-time' });

const progress = object('How far a step is.', {
  done: number('How much is done.'),
  total: number('How much there is to do.'),
  unit: text('What is counted, for example bytes.'),
});

const step = object('One step on the way.', {
  name: text('What the step does.'),
  state: openWord<StepState>('Pending, Running, Done, Failed or Skipped.'),
  startedAt: optional(time('When it began.')),
  finishedAt: optional(time('When it ended.')),
  message: optional(text('What it does or waits for at the moment, or how it ended.')),
  progress: optional(progress),
});

export const OperationStatusSchema = object('How far it is; written by the operator.', {
  phase: optional(
    openWord<OperationPhase>('Pending, Running, Succeeded or Failed; it always ends in one of the last two.'),
  ),
  reason: optional(text('Why it is in this phase, in one word.')),
  message: optional(text('Why it is in this phase, for people.')),
  startedAt: optional(time('When it began.')),
  finishedAt: optional(time('When it ended.')),
  observedGeneration: optional(integer('Generation of the spec this status is about.', { format: 'int64' })),
  steps: optional(list('The steps, in their order.', step)),
  result: optional(map('What came of it, for example newPrimary.', text('The value.'))),
  notes: optional(map('What the operator has to remember from one step to the next.', text('The value.'))),
});

export type OperationStatus = Static<typeof OperationStatusSchema>;
export type OperationStep = Static<typeof step>;

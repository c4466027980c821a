/** The status of an Operation after a look. Pure. */
import type { OperationStatus, OperationStep } from '@pgherd/api';
import type { Handler, Outcome } from './handler.ts';
import type { OperationObject } from './kind.ts';

/** RFC 3339 with milliseconds: steps of a switchover take fractions of a second. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}

/** It waits for its turn, or for its cluster. */
export function pending(operation: OperationObject, reason: string, message: string): OperationStatus {
  return { ...base(operation), phase: 'Pending', reason, message };
}

/** It ends before its first step. */
export function refused(
  operation: OperationObject,
  reason: string,
  message: string,
  now: number,
): OperationStatus {
  const at = timestamp(now);
  return { startedAt: at, ...base(operation), phase: 'Failed', reason, message, finishedAt: at };
}

/** It begins: every step stands before it, but for a first one that is known to take its time. */
export function started(
  operation: OperationObject,
  { steps, begins }: Pick<Handler, 'steps' | 'begins'>,
  now: number,
): OperationStatus {
  const startedAt = timestamp(now);
  const first = begins ? { state: 'Running' as const, startedAt, message: begins } : undefined;
  return {
    ...base(operation),
    phase: 'Running',
    reason: 'Started',
    message: begins ?? 'it has begun',
    startedAt,
    steps: steps.map((name, index) => ({ name, state: 'Pending', ...(index === 0 ? first : {}) })),
  };
}

/** What a look makes of the status. */
export function advanced(
  operation: OperationObject,
  outcome: Outcome<unknown>,
  now: number,
): OperationStatus {
  const before = base(operation);
  const { notes, result, skipped = [], message } = outcome;
  const status: OperationStatus = {
    ...before,
    message,
    ...(notes ? { notes: { ...before.notes, ...notes } } : {}),
    ...(result ? { result: { ...before.result, ...result } } : {}),
  };
  const at = timestamp(now);
  const known = (before.steps ?? []).map((step) =>
    skipped.includes(step.name) && !isOver(step)
      ? { name: step.name, state: 'Skipped' as const, message }
      : step,
  );
  switch (outcome.next) {
    case 'step':
      return {
        ...status,
        phase: 'Running',
        reason: 'Running',
        steps: reached(known, outcome.step, at, outcome),
      };
    case 'succeed':
      return {
        ...status,
        phase: 'Succeeded',
        reason: 'Done',
        finishedAt: at,
        steps: known.map((step) => (isOver(step) ? step : ended(step, 'Done', at))),
      };
    case 'fail':
      return { ...status, ...failed({ ...before, steps: known }, outcome.reason, message, now) };
  }
}

/** It ends as Failed at the step that is under way; those after it are left out. */
export function failed(
  status: OperationStatus,
  reason: string,
  message: string,
  now: number,
): OperationStatus {
  const at = timestamp(now);
  const steps = status.steps ?? [];
  const current = steps.findIndex((step) => !isOver(step));
  return {
    ...status,
    phase: 'Failed',
    reason,
    message,
    finishedAt: at,
    steps: steps.map((step, index): OperationStep => {
      if (isOver(step)) return step;
      if (index === current) return { ...ended(step, 'Failed', at), message };
      return { name: step.name, state: 'Skipped' };
    }),
  };
}

/** What it does or waits for at the moment. */
export function currentStep(status: OperationStatus | undefined): OperationStep | undefined {
  return (
    status?.steps?.find((step) => step.state === 'Running') ?? status?.steps?.find((step) => !isOver(step))
  );
}

function base({ metadata, status = {} }: OperationObject): OperationStatus {
  return {
    ...status,
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
  };
}

function isOver({ state }: OperationStep): boolean {
  return state === 'Done' || state === 'Failed' || state === 'Skipped';
}

function ended(step: OperationStep, state: 'Done' | 'Failed', at: string): OperationStep {
  return { startedAt: at, ...step, state, finishedAt: at };
}

function reached(
  steps: OperationStep[],
  name: string,
  at: string,
  { message, progress }: { message: string; progress?: OperationStep['progress'] },
): OperationStep[] {
  const current = steps.findIndex((step) => step.name === name);
  return steps.map((step, index): OperationStep => {
    if (index < current) return isOver(step) ? step : ended(step, 'Done', at);
    if (index > current) return step;
    const { finishedAt: _, progress: __, ...rest } = step;
    return { startedAt: at, ...rest, state: 'Running', message, ...(progress ? { progress } : {}) };
  });
}

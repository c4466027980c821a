/** An Operation as a table of two columns, as `pgherd show workflow` prints it. Pure. */
import type { OperationStep } from '@pgherd/api';
import type { OperationObject } from './kinds.ts';
import { span } from './output.ts';
import { howFar } from './progress-text.ts';

/** Rows of parameter and value: what was asked, each step with its time, what came of it. */
export function workflowRows(
  { metadata, spec, status = {} }: OperationObject,
  now = Date.now(),
): [string, string][] {
  const member = spec[(spec.type[0]!.toLowerCase() + spec.type.slice(1)) as keyof typeof spec];
  const asked = Object.entries(typeof member === 'object' ? member : {});
  return [
    ['workflowid', metadata.name],
    ['pg-cluster', spec.cluster],
    ['type', spec.type],
    ...asked.map(([key, value]): [string, string] => [
      key,
      typeof value === 'object' ? JSON.stringify(value) : String(value),
    ]),
    ['task submitted', metadata.creationTimestamp ?? '-'],
    ...(status.startedAt ? [['task started', status.startedAt] as [string, string]] : []),
    ...(status.steps ?? []).map((step) => stepRow(step, now)),
    ...(status.finishedAt ? [['task completed', status.finishedAt] as [string, string]] : []),
    ['phase', `${status.phase ?? 'Pending'}${status.reason ? ` (${status.reason})` : ''}`],
    ...(status.message ? [['message', status.message] as [string, string]] : []),
    ...Object.entries(status.result ?? {}),
  ];
}

function stepRow(
  { name, state, startedAt, finishedAt, message, progress }: OperationStep,
  now: number,
): [string, string] {
  const took = startedAt && finishedAt ? ` in ${span(Date.parse(finishedAt) - Date.parse(startedAt))}` : '';
  const said = message && state !== 'Done' ? `: ${message}` : '';
  const far = state === 'Running' ? howFar(progress, startedAt, now) : '';
  return [name, `${startedAt ?? '-'}  ${state}${took}${said}${far ? `: ${far}` : ''}`];
}

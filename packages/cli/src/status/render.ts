import { bytes, paint, table, wrap } from '../output.ts';
import type { ClusterView, InstanceView, OperationView } from './view.ts';

const GOOD = new Set(['Ready']);
const BAD = new Set(['Failed', 'Degraded']);

/** The view as lines of at most 80 columns, worst news first. */
export function renderStatus(view: ClusterView): string[] {
  const lines = [`${view.name}  ${paintPhase(view.phase)}  ${view.ready}/${view.wanted} instances ready`];
  if (view.reason) lines.push(wrap(view.reason, '  '));
  for (const operation of view.operations) lines.push(wrap(operationText(operation), '  '));
  for (const wait of view.waits) lines.push(paint('yellow', wrap(wait, '  ')));
  lines.push('');
  const facts: [string, string | undefined][] = [
    ['Namespace', view.namespace],
    ['Primary', view.primary ?? 'none'],
    ['PostgreSQL', view.postgresVersion ?? view.image],
    ['Timeline', text(view.timeline)],
    ['Lease epoch', text(view.epoch)],
    ['Restored', view.restored],
    ['Synchronous', view.syncNames === undefined ? 'unknown' : view.syncNames || 'no'],
    ['System ID', view.systemID],
  ];
  for (const [name, value] of facts) if (value !== undefined) lines.push(`${name.padEnd(12)} ${value}`);
  lines.push('', ...table(HEADER, view.instances.map(row)));
  return lines;
}

function operationText({ type, name, step, since, waitsFor }: OperationView): string {
  const where = step ? `at '${step}'` : 'not begun';
  return `${type} ${name}, ${where} since ${since ?? 'now'}: ${waitsFor}`;
}

const HEADER = ['INSTANCE', 'ROLE', 'STATE', 'NODE', 'LSN', 'LAG', 'SYNC', 'TL', 'RESTARTS'];

function row(instance: InstanceView): string[] {
  const state = instance.ready ? instance.state : paint('yellow', instance.state);
  return [
    instance.name,
    instance.role === 'primary' ? paint('bold', 'primary') : instance.role === 'none' ? '-' : instance.role,
    state,
    instance.node ?? '-',
    instance.lsn ?? '-',
    instance.lagBytes === undefined ? '-' : bytes(instance.lagBytes),
    instance.sync ?? '-',
    text(instance.timeline) ?? '-',
    instance.restarts === 0 ? '' : String(instance.restarts),
  ];
}

function text(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

function paintPhase(phase: string): string {
  if (GOOD.has(phase)) return paint('green', phase);
  return paint(BAD.has(phase) ? 'red' : 'yellow', phase);
}

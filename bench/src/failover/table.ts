/** The measurement as a table. */
import { median } from '../measurement.ts';
import type { Row } from './rows.ts';
import type { SystemName } from './system.ts';
import type { Trial } from './trial.ts';

/** What was found: trials by row and system. */
export type Found = Map<string, Partial<Record<SystemName, Trial[]>>>;

const SYSTEMS: SystemName[] = ['pgherd', 'patroni-tuned', 'patroni-default'];
const TITLES = { pgherd: 'pgherd', 'patroni-tuned': 'Patroni, tuned', 'patroni-default': 'Patroni, default' };

export interface Summary {
  medianMs: number;
  worstMs: number;
  lost: number;
  acknowledged: number;
}

/** Median and worst of some trials of one row on one system. */
export function summarise(trials: Trial[]): Summary {
  const outages = trials.map((each) => each.outageMs);
  const sum = (pick: (trial: Trial) => number) => trials.reduce((total, each) => total + pick(each), 0);
  return {
    medianMs: median(outages),
    worstMs: Math.max(...outages),
    lost: sum((each) => each.lost + (each.held?.lost ?? 0)),
    acknowledged: sum((each) => each.acknowledged),
  };
}

/** Lines for people, as a Markdown table. */
export function tableOf(rows: Row[], found: Found): string[] {
  const present = SYSTEMS.filter((name) => [...found.values()].some((each) => each[name]?.length));
  const head = [
    'Fault',
    'Replication',
    'Aim',
    ...present.map((name) => TITLES[name]),
    ...(present.includes('pgherd') && present.includes('patroni-tuned') ? ['Ratio to tuned'] : []),
  ];
  const body = rows.filter((row) => found.has(row.name)).map((row) => lineOf(row, found, present));
  return [head, head.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`);
}

function lineOf(row: Row, found: Found, present: SystemName[]): string[] {
  const trials = found.get(row.name) ?? {};
  const cells = present.map((name) => cellOf(trials[name] ?? []));
  const ours = trials.pgherd?.length ? summarise(trials.pgherd).medianMs : undefined;
  const tuned = trials['patroni-tuned']?.length ? summarise(trials['patroni-tuned']).medianMs : undefined;
  const withRatio = present.includes('pgherd') && present.includes('patroni-tuned');
  const ratio = ours !== undefined && tuned !== undefined ? (ours / tuned).toFixed(2) : '-';
  return [row.title, row.mode, `${row.aim} s`, ...cells, ...(withRatio ? [ratio] : [])];
}

function cellOf(trials: Trial[]): string {
  if (trials.length === 0) return '-';
  const { medianMs, worstMs, lost } = summarise(trials);
  const parts = [trials.length > 1 ? `${seconds(medianMs)} (worst ${seconds(worstMs)})` : seconds(medianMs)];
  if (lost > 0) parts.push(`**${lost} lost**`);
  const unsettled = trials.filter((each) => each.unsettled).length;
  if (unsettled > 0) parts.push(`${unsettled} times not all came back within 2 minutes`);
  const failed = trials.map((each) => each.clients).filter((each) => each !== undefined);
  if (failed.length > 0) parts.push(`${median(failed.map((each) => each.failed))} of 8 clients got an error`);
  return parts.join(', ');
}

/** What became of sessions that were bound to the old primary, a line each. */
export function heldLines(rows: Row[], found: Found): string[] {
  const lines: string[] = [];
  for (const row of rows.filter((each) => each.held)) {
    for (const name of SYSTEMS) {
      const held = (found.get(row.name)?.[name] ?? []).flatMap((each) => each.held ?? []);
      if (held.length === 0) continue;
      const when = row.fault === 'node-frozen' ? 'after the thaw' : 'after the cut';
      const count = held.map((each) => each.acknowledgedAfter);
      const last = Math.max(...held.map((each) => each.lastAckMs));
      const lost = held.reduce((total, each) => total + each.lost, 0);
      lines.push(
        `${TITLES[name]}, ${row.title}, ${row.mode}: a session kept open to the old primary got ${median(count)} acknowledgements ${when} (the last one ${seconds(last)} after it), ${lost} of them lost`,
      );
    }
  }
  return lines;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

/** What was found about backups, for machines and for people. */
import { median, type Outcome } from '../measurement.ts';
import type { ArchivingResult } from './archiving.ts';
import type { Command } from './bare.ts';
import type { PgherdBackup, PgherdRestore } from './pgherd.ts';

export interface Found {
  backups: PgherdBackup[];
  bareBackups: Command[];
  restores: PgherdRestore[];
  bareRestores: Command[];
  archiving: Partial<Record<'pgherd' | 'bare', ArchivingResult>>;
}

export interface About {
  runs: number;
  seconds: number;
  scale: number;
  /** Of the machine, before. */
  load: number;
  /** Of the database. */
  bytes: number;
}

const AIM = 1.15;

interface Compared {
  title: string;
  oursMs: number;
  bareMs: number;
  /** Median of the ratios of each run: the machine's pace differs from run to run. */
  ratio: number;
}

export function outcome(found: Found, about: About): Outcome {
  const rows = comparisons(found);
  const megabytes = Math.round(about.bytes / 1_000_000);
  const lines = [
    `pgbench scale ${about.scale} (${megabytes} MB), median of ${about.runs} ${about.runs === 1 ? 'run' : 'runs'} (load of the machine before: ${about.load.toFixed(1)}):`,
    '',
    '| | pgherd | pgBackRest without pgherd | Ratio | Aim |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(
      ({ title, oursMs, bareMs, ratio }) =>
        `| ${title} | ${seconds(oursMs)} | ${seconds(bareMs)} | ${ratio.toFixed(2)} | ${AIM} |`,
    ),
    '',
    ...parts(found),
    '',
    ...archivingTable(found, about.seconds),
  ];
  return { result: { ...about, aim: AIM, compared: rows, ...found }, lines };
}

function comparisons(found: Found): Compared[] {
  const { backups, bareBackups, restores, bareRestores } = found;
  const row = (title: string, ours: number[], bare: number[]): Compared => ({
    title,
    oursMs: median(ours),
    bareMs: median(bare),
    ratio: median(ours.map((ms, i) => ms / (bare[i] ?? Number.NaN))),
  });
  const own = (all: { ownMs: number }[]) => all.map(({ ownMs }) => ownMs);
  const whole = (all: { wholeMs: number }[]) => all.map(({ wholeMs }) => wholeMs);
  return [
    row('full backup: the command of pgBackRest', own(backups), own(bareBackups)),
    row('full backup: from the apply to Completed', whole(backups), whole(bareBackups)),
    row('restore: the command of pgBackRest', own(restores), own(bareRestores)),
    row('restore: from the apply until it takes writes', whole(restores), whole(bareRestores)),
  ];
}

function parts({ backups, restores }: Found): string[] {
  const of = <T>(all: T[], pick: (one: T) => number) => seconds(median(all.map(pick)));
  return [
    `- a backup through pgherd: ${of(backups, (one) => one.beforeMs)} until pgBackRest begins, ${of(backups, (one) => one.ownMs)} pgBackRest, ${of(backups, (one) => one.afterMs)} until the Backup is Completed`,
    `- a restore through pgherd: ${of(restores, (one) => one.beforeMs)} until pgBackRest begins (volume, pod, certificates, what the repository holds), ${of(restores, (one) => one.ownMs)} pgBackRest, ${of(restores, (one) => one.replayMs)} until WAL is replayed, checked and synced, ${of(restores, (one) => one.openMs)} until it takes writes, ${of(restores, (one) => one.readyMs)} until it is Ready and \`pgherd psql\` has written`,
  ];
}

function archivingTable({ archiving }: Found, duration: number): string[] {
  const { pgherd, bare } = archiving;
  if (!pgherd || !bare) return [];
  const row = (title: string, pick: (each: ArchivingResult) => number, digits: number) =>
    `| ${title} | ${pick(pgherd).toFixed(digits)} | ${pick(bare).toFixed(digits)} |`;
  return [
    `WAL archive under pgbench -N -c 8, ${duration} s:`,
    '',
    '| | pgherd | pgBackRest without pgherd |',
    '| --- | --- | --- |',
    row('transactions a second', (each) => each.tps, 0),
    row('WAL written, MiB/s', (each) => each.writtenMiB, 1),
    row('archived, segments/s', (each) => each.archivedFiles, 2),
    row('archived, MiB/s', (each) => each.archivedMiB, 1),
    row('segments that wait at the end', (each) => each.waiting, 0),
    row('segments that waited, at most', (each) => each.mostWaiting, 0),
    row('until none waits, s', (each) => each.drainMs / 1000, 1),
    row('failed tries', (each) => each.failed, 0),
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

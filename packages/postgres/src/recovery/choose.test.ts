import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Catalogue, CatalogueBackup, CatalogueTimeline } from './catalogue.ts';
import { type Chosen, chooseRecovery, type RecoveryTarget } from './choose.ts';
import { type ArchiveHole, archiveHole } from './whole.ts';

/** Seconds of a day in which everything happens. */
const at = (second: number) => Date.UTC(2026, 10, 28, 10, 0, second);
const time = (second: number): RecoveryTarget => ({
  time: { ms: at(second), text: new Date(at(second)).toISOString() },
});

function backup(label: string, timeline: number, segment: number, stop: number): CatalogueBackup {
  const wal = name(timeline, segment);
  return {
    label,
    type: 'full',
    startMs: at(stop - 2),
    stopMs: at(stop),
    timeline,
    startLsn: `0/${segment}000028`,
    stopLsn: `0/${segment}000100`,
    startWal: wal,
    stopWal: wal,
    references: [],
    bytes: 1000,
    error: false,
  };
}

const name = (timeline: number, segment: number) =>
  `0000000${timeline}00000000000000${segment.toString(16).padStart(2, '0').toUpperCase()}`;

/** Segments of a timeline, each with the second at which it was archived. */
function timeline(
  id: number,
  segments: Record<number, number>,
  history: [number, string][] = [],
  born?: number,
): CatalogueTimeline {
  return {
    id,
    history: history.map(([parent, end]) => ({ timeline: parent, end, reason: '' })),
    ...(born === undefined ? {} : { bornMs: at(born) }),
    segments: Object.entries(segments).map(([segment, second]) => ({
      name: name(id, Number(segment)),
      ms: at(second),
    })),
  };
}

const catalogue = (backups: CatalogueBackup[], timelines: CatalogueTimeline[]): Catalogue => ({
  stanza: 'c-1',
  systemID: '1',
  version: '15',
  archiveID: '15-1',
  segmentBytes: 16 * 1024 * 1024,
  backups,
  timelines,
});

const B1 = backup('B1', 1, 2, 10);
const B2 = backup('B2', 1, 5, 30);
/** One timeline, two backups. */
const plain = catalogue([B1, B2], [timeline(1, { 1: 5, 2: 10, 3: 15, 4: 25, 5: 30, 6: 40 })]);
/** Restored at 50 to second 14 (in segment 3), a backup taken since, restored again at 80 to second 35 of timeline 1. */
const restored = catalogue(
  [B1, B2, backup('B3', 2, 4, 60)],
  [
    timeline(1, { 1: 5, 2: 10, 3: 15, 4: 25, 5: 30, 6: 40 }),
    timeline(2, { 3: 55, 4: 60, 5: 65 }, [[1, '0/3018000']], 50),
    timeline(3, { 6: 85, 7: 90 }, [[1, '0/6000200']], 80),
  ],
);
/**
 * Timeline 2 began by a failover at 45; then the cluster was restored at 80 to second 14, while aiming at timeline 2.
 * The history of timeline 2 came to the archive again at 81.
 */
const oddHistory = catalogue(
  [B1, B2],
  [
    timeline(1, { 1: 5, 2: 10, 3: 15, 4: 25, 5: 30 }),
    timeline(2, { 6: 55, 7: 60 }, [[1, '0/6000200']], 81),
    timeline(
      3,
      { 3: 85 },
      [
        [1, '0/6000200'],
        [2, '0/3018000'],
      ],
      80,
    ),
  ],
);
/** The primary died at 45 with segment 6 not archived; its successor began timeline 2 within it. */
const failedOver = catalogue(
  [B1],
  [timeline(1, { 1: 5, 2: 10, 3: 15, 4: 25, 5: 30 }), timeline(2, { 6: 55, 7: 60 }, [[1, '0/6000200']], 46)],
);

/** WAL between the two backups is gone. */
const holed = catalogue([B1, B2], [timeline(1, { 2: 10, 3: 15, 5: 30, 6: 40 })]);

interface Case {
  what: string;
  catalogue: Catalogue;
  target: RecoveryTarget;
  now?: number;
  completeUntil?: number;
  major?: number;
  /** `backup@timeline`, or a part of the refusal. */
  expect: string | RegExp;
}

const CASES: Case[] = [
  { what: 'a time between two backups', catalogue: plain, target: time(20), expect: 'B1@1' },
  { what: 'a time after the last backup', catalogue: plain, target: time(35), expect: 'B2@1' },
  { what: 'the very second in which a backup ended', catalogue: plain, target: time(30), expect: 'B1@1' },
  { what: 'the first moment there is', catalogue: plain, target: time(10), expect: 'B1@1' },
  {
    what: 'before the first backup',
    catalogue: plain,
    target: time(9),
    expect:
      /before the end of the first backup; recoverable from 2026-11-28T10:00:10Z to 2026-11-28T10:00:40Z/,
  },
  { what: 'the future', catalogue: plain, target: time(300), expect: /lies in the future; recoverable/ },
  { what: 'after the archive', catalogue: plain, target: time(45), expect: /after the last WAL/ },
  {
    what: 'after the archive that is about to be completed',
    catalogue: plain,
    target: time(45),
    completeUntil: 50,
    expect: 'B2@1',
  },
  { what: 'the end', catalogue: plain, target: {}, expect: 'B2@1' },
  { what: 'a named backup', catalogue: plain, target: { backup: 'B1' }, expect: 'B1@1' },
  {
    what: 'a named backup after the target',
    catalogue: plain,
    target: { ...time(20), backup: 'B2' },
    expect: /the backup B2 ends after the target/,
  },
  { what: 'no such backup', catalogue: plain, target: { backup: 'X' }, expect: /no backup X: .*B1, B2/ },
  { what: 'an LSN', catalogue: plain, target: { lsn: '0/4000000' }, expect: 'B1@1' },
  {
    what: 'an LSN before all',
    catalogue: plain,
    target: { lsn: '0/100' },
    expect: /every backup .* ends after/,
  },
  {
    what: 'an LSN after the archive',
    catalogue: plain,
    target: { lsn: '0/7000000' },
    expect:
      /LSN 0\/7000000 lies after the last WAL in the archive, which ends at 0\/7000000; recoverable from/,
  },
  { what: 'an LSN in the last file', catalogue: plain, target: { lsn: '0/6FFFFFF' }, expect: 'B2@1' },
  { what: 'the version that is needed', catalogue: plain, target: {}, major: 15, expect: 'B2@1' },
  {
    what: 'another version of PostgreSQL',
    catalogue: plain,
    target: {},
    major: 16,
    expect: /backups are of PostgreSQL 15, and this image has PostgreSQL 16/,
  },
  { what: 'a transaction', catalogue: plain, target: { xid: '726' }, expect: 'B1@1' },
  { what: 'a restore point', catalogue: plain, target: { name: 'before-upgrade' }, expect: 'B1@1' },
  { what: 'the end of a backup', catalogue: plain, target: { immediate: true }, expect: 'B2@1' },
  { what: 'no backups', catalogue: catalogue([], []), target: {}, expect: /no backup yet; nothing can be/ },

  {
    what: 'before an earlier restore: its own timeline',
    catalogue: restored,
    target: time(20),
    expect: 'B1@1',
  },
  { what: 'what an earlier restore cut off', catalogue: restored, target: time(35), expect: 'B2@1' },
  { what: 'after the first restore', catalogue: restored, target: time(58), expect: 'B1@2' },
  { what: 'a backup of the second timeline', catalogue: restored, target: time(64), expect: 'B3@2' },
  { what: 'after the second restore', catalogue: restored, target: time(88), expect: 'B2@3' },
  { what: 'the end of all', catalogue: restored, target: {}, expect: 'B2@3' },
  { what: 'timeline latest', catalogue: restored, target: { timeline: 'latest' }, expect: 'B2@3' },
  { what: 'a timeline by number', catalogue: restored, target: { timeline: '2' }, expect: 'B3@2' },
  { what: 'a timeline in hex', catalogue: restored, target: { timeline: '0x2' }, expect: 'B3@2' },
  { what: 'no such timeline', catalogue: restored, target: { timeline: '9' }, expect: /no timeline 9/ },
  {
    what: 'the timeline of a named backup',
    catalogue: restored,
    target: { timeline: 'current', backup: 'B3' },
    expect: 'B3@2',
  },
  {
    what: 'a backup of another line',
    catalogue: restored,
    target: { ...time(88), backup: 'B3' },
    expect: /B3 does not lie on the way to timeline 3 \(1 until 0\/6000200, then 3\)/,
  },
  {
    what: 'the end of a backup of another line',
    catalogue: restored,
    target: { immediate: true, backup: 'B3' },
    expect: 'B3@2',
  },

  {
    what: 'what only the first file of the successor holds',
    catalogue: failedOver,
    target: time(44),
    expect: 'B1@2',
  },
  { what: 'a history that ends before it begins', catalogue: oddHistory, target: {}, expect: 'B1@3' },
  { what: 'a history that was archived twice', catalogue: oddHistory, target: time(58), expect: 'B2@2' },
  { what: 'after a failover', catalogue: failedOver, target: time(58), expect: 'B1@2' },

  {
    what: 'a hole before the target',
    catalogue: catalogue([B1], [timeline(1, { 2: 10, 3: 15, 5: 30, 6: 40 })]),
    target: time(35),
    expect: /000000010000000000000004 is missing/,
  },
  {
    what: 'a hole and no target',
    catalogue: catalogue([B1], [timeline(1, { 2: 10, 3: 15, 5: 30, 6: 40 })]),
    target: {},
    expect: /000000010000000000000004 is missing/,
  },
  {
    what: 'a hole after the target',
    catalogue: catalogue([B1], [timeline(1, { 2: 10, 3: 15, 5: 30, 6: 40 })]),
    target: time(14),
    expect: 'B1@1',
  },
  {
    what: 'a hole after the LSN',
    catalogue: holed,
    target: { lsn: '0/3000200' },
    expect: 'B1@1',
  },
  {
    what: 'a hole before the LSN',
    catalogue: holed,
    target: { lsn: '0/4000200', backup: 'B1' },
    expect: /04 is missing/,
  },
  {
    what: 'the end of a backup after which WAL was removed',
    catalogue: holed,
    target: { immediate: true, backup: 'B1' },
    expect: 'B1@1',
  },
  {
    what: 'a transaction, where WAL between older backups was removed',
    catalogue: holed,
    target: { xid: '726' },
    expect: 'B2@1',
  },
  {
    what: 'a transaction, and WAL that every backup needs is missing',
    catalogue: catalogue([B1], [timeline(1, { 2: 10, 3: 15, 5: 30 })]),
    target: { xid: '726' },
    expect: /04 is missing/,
  },
  {
    what: 'a hole before the backup',
    catalogue: catalogue([B2], [timeline(1, { 2: 10, 5: 30, 6: 40 })]),
    target: {},
    expect: 'B2@1',
  },
  {
    what: 'a backup without its own WAL',
    catalogue: catalogue([B2], [timeline(1, { 2: 10 })]),
    target: {},
    expect: /0005 is missing in the archive, which the backup B2 needs/,
  },
  {
    what: 'nothing but damaged backups',
    catalogue: catalogue([{ ...B1, error: true }], plain.timelines),
    target: {},
    expect: /damaged pages in every backup there is \(B1\): name one/,
  },
  {
    what: 'a damaged backup that is named',
    catalogue: catalogue([{ ...B1, error: true }], plain.timelines),
    target: { backup: 'B1' },
    expect: 'B1@1',
  },
  {
    what: 'a damaged backup is passed over',
    catalogue: catalogue([B1, { ...B2, error: true }], plain.timelines),
    target: time(35),
    expect: 'B1@1',
  },
];

const spelled = (chosen: Chosen) =>
  chosen.ok ? `${chosen.choice.backup}@${chosen.choice.timeline}` : chosen.why;

for (const { what, catalogue, target, now = 120, completeUntil, major, expect } of CASES)
  test(what, () => {
    const chosen = chooseRecovery(catalogue, target, {
      now: at(now),
      ...(major === undefined ? {} : { major }),
      ...(completeUntil === undefined ? {} : { completeUntilMs: at(completeUntil) }),
    });
    if (typeof expect === 'string') assert.equal(spelled(chosen), expect);
    else assert.match(spelled(chosen), expect);
  });

const NONE = new Set<string>();
const lacking = timeline(1, { 1: 5, 2: 10, 3: 15, 5: 25, 6: 30, 7: 35 });
const C1 = backup('C1', 1, 2, 11);
const holes: [string, Catalogue, number, Set<string>, Partial<ArchiveHole> | undefined][] = [
  ['no hole', plain, 300, NONE, undefined],
  [
    'one behind the last backup',
    catalogue([C1], [lacking]),
    300,
    NONE,
    { file: name(1, 4), open: true, afterMs: at(25), firstMs: at(11), lastMs: at(15) },
  ],
  ['what still waits is no hole', catalogue([C1], [lacking]), 300, new Set([name(1, 4)]), undefined],
  ['nor what may have been overtaken', catalogue([C1], [lacking]), 40, NONE, undefined],
  [
    'one before the last backup',
    catalogue([C1, backup('C2', 1, 6, 31)], [lacking]),
    300,
    NONE,
    { file: name(1, 4), open: false, firstMs: at(31), lastMs: at(15) },
  ],
  [
    'one that a backup needs itself',
    catalogue([backup('C0', 1, 4, 26)], [lacking]),
    300,
    NONE,
    { file: name(1, 4), open: true },
  ],
  [
    'all backups are of a time that a restore left behind',
    catalogue(
      [B2],
      [timeline(1, { 4: 25, 5: 30, 6: 40 }), timeline(2, { 3: 55, 4: 60 }, [[1, '0/3018000']], 50)],
    ),
    300,
    NONE,
    { afterMs: at(30) + 1, open: true, firstMs: at(30), lastMs: at(40) },
  ],
  [
    'one on a timeline that was left',
    catalogue([C1], [lacking, timeline(2, { 3: 45, 4: 60, 5: 65 }, [[1, '0/3018000']], 40)]),
    300,
    NONE,
    undefined,
  ],
];
for (const [what, archive, now, waiting, expected] of holes) {
  test(`holes in the archive: ${what}`, () => {
    const found = archiveHole(archive, at(now), waiting);
    if (!expected) return assert.equal(found, undefined);
    assert.partialDeepStrictEqual(found, expected);
    if (expected.firstMs === undefined) assert.equal(found?.firstMs, undefined);
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Catalogue } from './catalogue.ts';
import type { RecoveryTarget } from './choose.ts';
import type { Replay } from './replay-log.ts';
import { afterFailure, afterPromotion, type Reached, type ReplayVerdict } from './verdict.ts';

const at = (second: number) => Date.UTC(2026, 10, 28, 10, 0, second);
const text = (second: number) => new Date(at(second)).toISOString();
const time = (second: number): RecoveryTarget => ({ time: { ms: at(second), text: text(second) } });
const FILE = '000000010000000000000003';
/** One timeline whose last file, number 3, was archived at second 30. */
const catalogue: Catalogue = {
  stanza: 'c-1',
  systemID: '1',
  version: '15',
  archiveID: '15-1',
  segmentBytes: 16 * 1024 * 1024,
  backups: [
    {
      label: 'B',
      type: 'full',
      startMs: at(8),
      stopMs: at(10),
      timeline: 1,
      startLsn: '0/2000028',
      stopLsn: '0/2000100',
      startWal: '000000010000000000000002',
      stopWal: '000000010000000000000002',
      references: [],
      bytes: 1000,
      error: false,
    },
  ],
  timelines: [{ id: 1, history: [], segments: [{ name: FILE, ms: at(30) }] }],
};
const replay = (more: Partial<Replay> = {}): Replay => ({
  endedBefore: false,
  fetchErrors: [],
  fatal: [],
  ...more,
});
const AWAY = '[124]: unable to connect to host';
const DAMAGED = '[029]: zst error';

/** `ok`, `go on`, `again: WHY` or `no: WHY`. */
function words(verdict: ReplayVerdict): string {
  if (verdict.ok) return 'ok';
  if (verdict.goOn) return 'go on';
  return `${verdict.again ? 'again' : 'no'}: ${verdict.why}`;
}

const FAILURES: {
  what: string;
  target: RecoveryTarget;
  replay: Replay;
  known?: { completeUntilMs?: number; needsProof?: boolean };
  expect: RegExp;
}[] = [
  {
    what: 'a time after the last transaction',
    target: time(20),
    replay: replay({ endedBefore: true }),
    expect: /^go on$/,
  },
  {
    what: 'the same, where later ones may lie in what is taken away',
    target: time(20),
    replay: replay({ endedBefore: true, lastTransaction: text(15) }),
    known: { needsProof: true },
    expect: /^no: .*last transaction there is of .*nothing tells: without a target/,
  },
  {
    what: 'a transaction that is not there',
    target: { xid: '9' },
    replay: replay({ endedBefore: true, notFound: FILE }),
    expect: /^no: .*transaction 9.*3 is not in the archive/,
  },
  {
    what: 'a repository that went away in the middle',
    target: { xid: '9' },
    replay: replay({ endedBefore: true, fetchErrors: [AWAY] }),
    expect: /^again: .*unable to connect/,
  },
  {
    what: 'the same, with a time',
    target: time(20),
    replay: replay({ endedBefore: true, fetchErrors: [AWAY] }),
    expect: /^again: .*unable to connect/,
  },
  {
    what: 'a file that is damaged',
    target: time(20),
    replay: replay({ endedBefore: true, fetchErrors: [AWAY, DAMAGED] }),
    expect: /^no: .*zst error/,
  },
  { what: 'a server that was killed', target: {}, replay: replay(), expect: /^again: .*without a word/ },
];

for (const { what, expect, ...given } of FAILURES)
  test(`after a failure: ${what}`, () => {
    assert.match(words(afterFailure(catalogue, given.target, given.replay, given.known)), expect);
  });

const PROMOTIONS: {
  what: string;
  target?: RecoveryTarget;
  after?: number;
  replay?: Replay;
  reached: Reached;
  expect: RegExp;
}[] = [
  {
    what: 'at the target',
    target: time(20),
    replay: replay({ stopped: 'recovery stopping before commit' }),
    reached: { lsn: '0/2000200' },
    expect: /^ok$/,
  },
  { what: 'elsewhere', target: time(20), reached: { lsn: '0/3000200' }, expect: /^no: .*without saying/ },
  { what: 'at the end', reached: { lsn: '0/3000200' }, expect: /^ok$/ },
  { what: 'before the end', reached: { lsn: '0/3000000' }, expect: /^no: .*goes on to/ },
  {
    what: 'before the end, for the repository went away',
    replay: replay({ fetchErrors: [AWAY] }),
    reached: { lsn: '0/3000000' },
    expect: /^again: .*unable to connect/,
  },
  {
    what: 'at the end, before the time that was wanted',
    after: at(20),
    reached: { lsn: '0/3000200', time: text(19) },
    expect: /^ok$/,
  },
  {
    what: 'at the end, which has become a later one',
    after: at(20),
    reached: { lsn: '0/4000200', time: text(21) },
    expect: /^again: WAL came to the archive meanwhile/,
  },
];

for (const { what, expect, replay: said = replay(), reached, ...end } of PROMOTIONS)
  test(`after a promotion: ${what}`, () => {
    assert.match(words(afterPromotion({ catalogue, timeline: 1, ...end }, said, reached)), expect);
  });

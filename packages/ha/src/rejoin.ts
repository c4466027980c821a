/** The way back into replication: follow, else rewind, else a fresh copy; each a bounded number of times (ELECTION 8). */
import { elapsed } from './clock.ts';
import { ruleText } from './commit-rule.ts';
import {
  backOff,
  begin,
  type Context,
  mayRetry,
  note,
  recordOf,
  settingsOf,
  waitFor,
  wakeIn,
  within,
} from './context.ts';
import type { Following, Upstream } from './events.ts';
import { leaderToFollow } from './lease.ts';
import { parseLsn } from './lsn.ts';
import { ruleToApply } from './membership.ts';
import { isPromoted, isPromotedByHand, isRecorded } from './positions.ts';
import { MAX_REWINDS } from './rules/times.ts';
import { joiningName } from './rules.ts';
import type { Rejoin, Rung } from './state.ts';
import type { View } from './types.ts';

/** How long a standby may run without streaming from a proven leader before the next rung. */
const FOLLOW_MS = 10_000;
/** The same before it has replayed what it has of its own: a single WAL file, or a query in the way, may take long. */
const REPLAY_MS = 60_000;
/** The same when it is known that the histories have parted; a receiver that is only restarting streams by then. */
const PARTED_MS = 2_000;
/** Who is stopped for a rewind or a copy waits this long for a leader that proves itself. */
const UNPROVEN_MS = 2_000;
/** How long who led before lets its successor be promoted in peace. */
export const PROMOTION_MS = 2_000;
const MANY_COPIES = 3;
const ASK_AGAIN_MS = 150;
const WAL_FILE = /^[0-9A-F]{24}$/;

/** Whom to follow and under which name. Without a known leader the upstream stays as it is. */
export function standby(c: Context): Following & { sealed?: boolean } {
  const { s } = c;
  const record = recordOf(s);
  const syncNames = record ? ruleText(ruleToApply(c, record.members)) : '';
  if (s.promise)
    return { upstream: null, applicationName: joiningName(s.self.name), syncNames, sealed: true };
  const leader = leaderToFollow(c);
  const counts =
    record !== undefined &&
    isRecorded(record, s.self.name, s.view?.incarnation) &&
    s.proven === record.epoch &&
    !isPromotedByHand(s);
  return {
    upstream: leader ? { name: leader.name, address: leader.address } : null,
    applicationName: counts ? s.self.name : joiningName(s.self.name),
    syncNames,
  };
}

export function runsAsWanted(c: Context): boolean {
  const { s } = c;
  const wanted = standby(c);
  if (wanted.sealed) return s.following === null;
  // Nobody leads: the WAL receiver finds nobody, and is left alone until somebody does.
  if (!wanted.upstream) return true;
  return (
    s.following?.name === wanted.upstream.name &&
    s.following.address === wanted.upstream.address &&
    s.following.applicationName === wanted.applicationName &&
    s.following.syncNames === wanted.syncNames
  );
}

/** Where the ladder stands under the present leadership; a new leader starts it again. */
function ladder(c: Context): Rejoin {
  const { s } = c;
  const epoch = recordOf(s)?.epoch ?? 0;
  if (s.rejoin?.epoch !== epoch) s.rejoin = { epoch, rung: 'follow', rewinds: 0, copies: 0 };
  return s.rejoin!;
}

/** True of who led until a moment ago, while its successor is promoted and commits can do without us. */
export function letsLeaderGoFirst(c: Context): boolean {
  const { s } = c;
  const record = recordOf(s);
  const leader = record?.leader?.name;
  if (!record?.holder || leader === s.self.name || isPromoted(record)) return false;
  const needed = record.rules.some(
    ({ names, number }) => names.filter((name) => name !== s.self.name && name !== leader).length < number,
  );
  return !needed && s.deadSince !== undefined && within(c, s.deadSince, PROMOTION_MS);
}

export function rejoinStopped(c: Context): void {
  const { s } = c;
  const rejoin = ladder(c);
  const data = s.view!.data;
  const rung: Rung = data === 'empty' || data === 'damaged' ? 'copy' : rejoin.rung;
  if (rung === 'follow' || (data === 'present' && leaderIsGone(c, rejoin))) {
    startStandby(c);
    return;
  }
  if (rung === 'rewind') {
    rewind(c, rejoin);
    return;
  }
  copy(c, rejoin);
}

/**
 * There is nobody to rewind or to copy from. A standby that is stopped cannot say how far it is, and an election may
 * need to know: it runs again, with the data it has, until there is a leader again that it cannot follow.
 */
function leaderIsGone(c: Context, rejoin: Rejoin): boolean {
  const { s, now, rules } = c;
  if (leaderToFollow(c) && rules.isProvenLeader(recordOf(s)!, s, settingsOf(s), now).ok) {
    rejoin.unprovenSince = undefined;
    return false;
  }
  rejoin.unprovenSince ??= now;
  if (within(c, rejoin.unprovenSince, UNPROVEN_MS) || !mayRetry(c, 'runAgain')) return false;
  // Where PostgreSQL does not even start with these data, that is not tried for ever.
  backOff(s, 'runAgain', now, 60_000);
  s.rejoin = { ...rejoin, rung: 'follow', stuckSince: undefined, unprovenSince: undefined };
  return true;
}

function startStandby(c: Context): void {
  const { s } = c;
  if (!mayRetry(c, 'startStandby')) {
    waitFor(c, `another try to start PostgreSQL: ${s.error?.message ?? 'it ended by itself'}`);
    if ((s.retries.startStandby?.count ?? 0) >= 3 && leaderToFollow(c)) climb(c, 'it does not stay up');
    return;
  }
  begin(c, { kind: 'startStandby', ...standby(c) });
}

function rewind(c: Context, rejoin: Rejoin): void {
  const { s, now, rules } = c;
  if (!leaderToFollow(c)) {
    waitFor(c, 'a leader to follow');
    return;
  }
  if (rejoin.rewinds >= MAX_REWINDS) {
    climb(c, `rewinding was tried ${rejoin.rewinds} times`);
    return;
  }
  const verdict = rules.mayOverwrite(recordOf(s)!, s, settingsOf(s), now);
  if (!verdict.ok) {
    askLeader(c, `a rewind: ${verdict.why}`);
    return;
  }
  if (!mayRetry(c, 'rewind')) {
    waitFor(c, `another try to rewind: ${s.error?.message ?? 'it failed'}`);
    return;
  }
  begin(c, { kind: 'rewind', source: source(c) });
}

function copy(c: Context, rejoin: Rejoin): void {
  const { s, now, rules } = c;
  const record = recordOf(s);
  if (!record || s.promise) {
    waitFor(c, record ? 'a leader to follow' : 'the Lease');
    return;
  }
  const nothingToLose = s.view!.data === 'empty';
  rejoin.since ??= now;
  const rule = nothingToLose ? rules.isProvenLeader : rules.mayOverwrite;
  const verdict = rule.call(rules, record, s, settingsOf(s), now);
  if (!verdict.ok) {
    askLeader(
      c,
      (record.systemID ?? settingsOf(s).systemID)
        ? `a copy: ${verdict.why}`
        : 'the first instance to be initialised',
    );
    return;
  }
  if (!mayRetry(c, 'copy')) {
    waitFor(c, `another try to copy: ${s.error?.message ?? 'it failed'}`);
    return;
  }
  if (rejoin.copies === MANY_COPIES && s.error)
    note(
      c,
      'Warning',
      'CopyFails',
      `${s.self.name} failed ${rejoin.copies} times to copy: ${s.error.message}`,
    );
  if (!nothingToLose) {
    if (mayRetry(c, 'wipe')) begin(c, { kind: 'wipe', source: source(c) });
    else waitFor(c, `another try to copy: ${s.error?.message ?? 'it failed'}`);
    return;
  }
  begin(c, { kind: 'copy', source: source(c) });
}

function source(c: Context): Upstream {
  const leader = leaderToFollow(c)!;
  return { name: leader.name, address: leader.address };
}

/** Asks the leader for its word, until it proves itself. */
function askLeader(c: Context, what: string): void {
  const { s, now } = c;
  waitFor(c, what);
  if (!leaderToFollow(c)) return;
  const age = s.lastAsked ? elapsed(s.lastAsked, now) : Number.POSITIVE_INFINITY;
  if (age >= ASK_AGAIN_MS) s.askDue = true;
  else wakeIn(c, ASK_AGAIN_MS - age);
}

/** A standby that runs as wanted: fine while it streams; if it does not although its leader is there, the next rung. */
export function rejoinRunning(c: Context): void {
  const { s, now, rules } = c;
  const leader = leaderToFollow(c);
  if (!leader) {
    waitFor(c, 'a leader to follow');
    return;
  }
  const rejoin = ladder(c);
  // On a timeline that happens to bear the number of the leader's it may even stream.
  if (s.view!.streaming && !isPromotedByHand(s)) {
    streams(c, rejoin);
    return;
  }
  const replays = replayOf(s.view!, rejoin.replaysAt);
  if (replays !== undefined && replays !== rejoin.replaysAt) rejoin.stuckSince = now;
  rejoin.replaysAt = replays;
  rejoin.stuckSince ??= now;
  const proven = rules.isProvenLeader(recordOf(s)!, s, settingsOf(s), now);
  const { receiverError } = s.view!;
  askLeader(c, `WAL from ${leader.name}${receiverError ? `: ${receiverError}` : ''}`);
  // Nobody streams from a PostgreSQL that hangs or starts: that says nothing about our data.
  const word = s.peers[leader.name]?.report;
  if (word?.leader && (word.role !== 'primary' || word.currentLsn === undefined))
    rejoin.stuckSince = undefined;
  if (!proven.ok || !rejoin.stuckSince) return;
  const parted = rules.hasParted(recordOf(s)!, s);
  const gone = s.view!.missingWal;
  const hopeless = parted || (gone && !s.view!.archive);
  const patience = hopeless ? PARTED_MS : replays === undefined ? FOLLOW_MS : REPLAY_MS;
  if (within(c, rejoin.stuckSince, patience)) return;
  // A rewind would fetch no WAL either.
  if (gone && !parted) {
    climb(c, gone, 'copy');
    return;
  }
  const why = parted ? `its history goes beyond the point where ${leader.name}'s began` : 'it did not stream';
  climb(c, `${why}, for ${patience / 1000} s`);
}

/**
 * How far a standby is that still replays what it has of its own: only then it asks its leader for more. Stopped before,
 * it would not even know that there is something to be rewound. Undefined once it has replayed all.
 */
function replayOf(
  { process, recovering, replayedAll, replayedLsn }: View,
  before: string | undefined,
): string | undefined {
  // Between two looks for the same file, which may be in vain, it names none.
  if (process === 'starting') return recovering ?? (WAL_FILE.test(before ?? '') ? before : undefined);
  return replayedAll ? undefined : replayedLsn;
}

function streams(c: Context, rejoin: Rejoin): void {
  const { s } = c;
  rejoin.stuckSince = undefined;
  delete s.retries.startStandby;
  delete s.retries.runAgain;
  s.error = undefined;
  s.lost = undefined;
  const { replayedLsn } = s.view!;
  if (!replayStands(c, rejoin)) s.waiting = undefined;
  else waitFor(c, `its replay, which stands at ${replayedLsn} although there is more to replay`);
}

/** Whoever reads there reads old data, and it could not be promoted: it is to be known. */
function replayStands(c: Context, rejoin: Rejoin): boolean {
  const { receivedLsn, replayedLsn } = c.s.view!;
  const behind = (parseLsn(replayedLsn) ?? 0n) < (parseLsn(receivedLsn) ?? 0n);
  if (!behind || rejoin.replaysAt !== replayedLsn) rejoin.standsSince = undefined;
  rejoin.replaysAt = replayedLsn;
  if (!behind) return false;
  rejoin.standsSince ??= c.now;
  return !within(c, rejoin.standsSince, REPLAY_MS);
}

/** Takes the next rung. A running standby is stopped for it. */
function climb(c: Context, why: string, to?: Rung): void {
  const { s } = c;
  const rejoin = ladder(c);
  const next = to ?? (rejoin.rung === 'follow' && rejoin.rewinds < MAX_REWINDS ? 'rewind' : 'copy');
  if (rejoin.rung === next) return;
  note(c, 'Warning', 'Rejoining', `${s.self.name} cannot follow by itself (${why}): next try is a ${next}`);
  s.rejoin = { ...rejoin, rung: next, since: rejoin.since ?? c.now };
  s.rejoin.stuckSince = undefined;
  delete s.retries.startStandby;
  if (s.view!.process !== 'stopped')
    begin(c, { kind: 'stop', fastMs: settingsOf(s).fastStopMs, immediateMs: 5_000 });
  else wakeIn(c, 1);
}

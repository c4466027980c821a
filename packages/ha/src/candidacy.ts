/** A candidate under a required rule: promises cut the quorum of a leader that has fallen silent (ELECTION 5). */
import { elapsed, elapsedForTaker } from './clock.ts';
import { type Context, delaysFailover, refused, refusedStill, settingsOf, wakeIn } from './context.ts';
import { beginPromise, sealedPosition } from './granting.ts';
import { take } from './lease.ts';
import { comparePositions, parseLsn } from './lsn.ts';
import { goesFirst } from './positions.ts';
import { givenOn } from './rules/promises.ts';
import { QUIET_MS, TIE_MS } from './rules/times.ts';
import { PROMISE_MS } from './rules.ts';
import type { KnownLease } from './state.ts';
import { firstNo, type LeaseState, no, type Verdict, yes } from './types.ts';

const ASK_AGAIN_MS = 200;

/** Looks again when the Lease will have been quiet long enough. */
export function awaitQuiet(c: Context, lease: KnownLease): void {
  const { s, now } = c;
  if (s.sight?.version !== lease.version) return;
  const left = settingsOf(s).renewMs + QUIET_MS - elapsedForTaker(s.sight.since, now);
  if (left > 0) wakeIn(c, left);
}

/**
 * Asks first who else has heard nothing, so that a leader that lives keeps its standbys; then cuts its own WAL and has
 * the others cut theirs; then takes the Lease from exactly the state that was promised on.
 */
export function seekPromises(c: Context, lease: KnownLease): void {
  const { s, now, rules } = c;
  const { record, version } = lease;
  const settings = settingsOf(s);
  const since = s.election!.since;
  if (delaysFailover(c, since)) return;
  refusedStill(c);
  if (!s.lastAsked || s.lastAsked.mono < since.mono) {
    s.askDue = true;
    return;
  }
  const state: LeaseState = { epoch: record.epoch, version };
  const heard = firstNo(rules.nobodyLeads(s, since.mono), () =>
    rules.enoughAreQuiet(lease, s, settings, now),
  );
  if (heard !== undefined) {
    lookAgain(c, heard);
    return;
  }
  beginPromise(c, state);
  askPromises(c, lease, state);
  const mine = s.promise?.version === version ? sealedPosition(s) : undefined;
  const verdict = firstNo(
    mine ? yes : no('this instance has not cut its WAL yet, or does not know how far it is'),
    () => rules.promisesSuffice(record, s, state),
    () => rules.behindNoPromise(record, s, state, mine!),
    () => goesNext(c, lease, state),
  );
  if (verdict === undefined) take(c, lease, false);
  else lookAgain(c, verdict);
}

function lookAgain(c: Context, why: string): void {
  const { s, now } = c;
  refused(c, `cannot take over (quiet): ${why}`);
  if (s.asking) return;
  const age = s.lastAsked ? elapsed(s.lastAsked, now) : ASK_AGAIN_MS;
  if (age >= ASK_AGAIN_MS) s.askDue = true;
  else wakeIn(c, ASK_AGAIN_MS - age);
  if (s.promise && sealedPosition(s) === undefined) s.observeDue = true;
}

function askPromises(c: Context, { record }: KnownLease, state: LeaseState): void {
  const { s, now } = c;
  if (s.askingPromises && elapsed(s.askingPromises, now) < 2 * PROMISE_MS) return;
  const given = new Set(givenOn(record, s, state).map((each) => each.name));
  const names = record.members
    .map((member) => member.name)
    .filter((name) => name !== s.self.name && name !== record.leader?.name && !given.has(name));
  if (names.length === 0) return;
  s.askingPromises = now;
  c.actions.push({ type: 'askPromises', names, ...state, timeoutMs: PROMISE_MS });
}

/** Among those that are as far the one of higher priority, or the better name, goes first, for a bounded time. */
function goesNext({ s, now }: Context, { record }: KnownLease, state: LeaseState): Verdict {
  const mine = sealedPosition(s)!;
  const settings = settingsOf(s);
  if (elapsed(s.election!.since, now) >= TIE_MS) return yes;
  const better = givenOn(record, s, state).find(
    (each) =>
      comparePositions({ timeline: each.timeline, lsn: parseLsn(each.lsn) ?? 0n }, mine) === 0 &&
      !settings.fenced.includes(each.name) &&
      settings.priorities?.[each.name] !== 0 &&
      goesFirst(s, each.name, s.self.name),
  );
  return better ? no(`${better.name} is as far and goes first`) : yes;
}

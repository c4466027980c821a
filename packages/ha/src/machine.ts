/** The machine: a pure function from a state, an event and the clocks to the next state and what is to be done. */
import { absorb } from './absorb.ts';
import { beat } from './beats.ts';
import type { Now } from './clock.ts';
import { elapsed } from './clock.ts';
import { type Context, wakeIn } from './context.ts';
import type { Action, Event } from './events.ts';
import { tendPromises } from './granting.ts';
import { mayWrite, tendHeld } from './lease.ts';
import { poll } from './polls.ts';
import { RULES, type Rules } from './rules.ts';
import { tendDatabase } from './situations.ts';
import { tendUnheld } from './standing.ts';
import { heldSince, type State } from './state.ts';

export interface Step {
  state: State;
  /** To be carried out in this order. */
  actions: Action[];
  /** Monotonic milliseconds at which a `tick` is due if no other event comes first. */
  wakeAt: number;
  /** The situation the database is in, by its name in the list of situations. */
  situation?: string;
}

/** With nothing else to wait for, the machine looks again after this long. */
const LONGEST_SLEEP_MS = 5_000;

/**
 * One step. Neither `state` nor `event` is changed. `rules` are given only by tests that take one away.
 */
export function step(state: State, event: Event, now: Now, rules: Rules = RULES): Step {
  return advance(copyOf(state), event, now, rules);
}

/** The same, but changes `s` itself, at the top and in what `copyOf` copies: for the simulator, which keeps no old state. */
export function advance(s: State, event: Event, now: Now, rules: Rules): Step {
  const c: Context = {
    s,
    now,
    rules,
    actions: [],
    wakeAt: now.mono + LONGEST_SLEEP_MS,
    waitedFor: s.waiting,
  };
  s.grantsSince ??= now;
  absorb(c, event);
  endLeadership(c);
  proveHistory(c);
  tendPromises(c);
  const situation = s.settings || s.deathNeeded ? tendDatabase(c) : undefined;
  if (s.lease && mayWrite(c)) {
    if (s.held) tendHeld(c, s.lease);
    else tendUnheld(c, s.lease);
  }
  poll(c);
  beat(c);
  return { state: s, actions: c.actions, wakeAt: c.wakeAt, ...(situation ? { situation } : {}) };
}

/** A state to work on: what the machine changes in place is copied, all else is replaced and never changed. */
function copyOf(state: State): State {
  const { held, handover, rejoin, promising } = state;
  return {
    ...state,
    peers: { ...state.peers },
    joining: { ...state.joining },
    asides: { ...state.asides },
    retries: { ...state.retries },
    held: held && { ...held },
    handover: handover && { ...handover },
    rejoin: rejoin && { ...rejoin },
    promising: promising && { ...promising },
  };
}

/** Once proven for an epoch, our history stays a part of its leader's: all further WAL comes from there. */
function proveHistory({ s, rules }: Context): void {
  const record = s.lease?.record;
  if (record && !s.held && rules.historyIsTheLeaders(record, s)) s.proven = record.epoch;
}

/** Leadership that is neither renewed nor granted ends by our own clocks, whatever the Lease still says (ELECTION 1). */
function endLeadership(c: Context): void {
  const { s, now, rules } = c;
  if (!s.held || !s.settings) return;
  const { t0, grantedAt } = s.held;
  if ([t0, grantedAt].some((since) => since && rules.leadershipHolds(since, s.settings!, now))) {
    wakeIn(c, s.settings.stopMs - elapsed(heldSince(s.held), now));
    return;
  }
  const seconds = s.settings.stopMs / 1000;
  const why = `the Lease could not be renewed for ${seconds} s, and not every member lets this instance go on`;
  s.lost = { why, taken: false };
  c.actions.push({ type: 'note', severity: 'Warning', reason: 'LeadershipLost', message: s.lost.why });
  s.held = undefined;
  s.handover = undefined;
  s.release = undefined;
  s.readDue = true;
}

/** What an instance answers to a leader that cannot renew, and to a candidate; and what it makes of their answers. */
import { elapsed } from './clock.ts';
import { type Context, settingsOf, wakeIn } from './context.ts';
import type { Event } from './events.ts';
import { formatLsn, type Position } from './lsn.ts';
import { ownPosition } from './positions.ts';
import { PROMISE_MS } from './rules.ts';
import type { State } from './state.ts';
import type { LeaseState } from './types.ts';

type Of<T extends Event['type']> = Extract<Event, { type: T }>;

// --- grants -------------------------------------------------------------------------------------------------------

export function grantAsked(c: Context, { id, leader, epoch }: Of<'grantAsked'>): void {
  const { s, now, rules } = c;
  const verdict = s.settings ? rules.mayGrant(s, leader, epoch) : { ok: false as const, why: 'not ready' };
  if (!verdict.ok) {
    c.actions.push({ type: 'answerGrant', id, answer: { name: s.self.name, refused: verdict.why } });
    return;
  }
  s.grant = { to: leader, epoch, at: now };
  s.epochSeen = Math.max(s.epochSeen, epoch);
  const granted = { to: leader, epoch, forMs: rules.grantMs(settingsOf(s)) };
  const incarnation = s.view?.incarnation;
  c.actions.push({
    type: 'answerGrant',
    id,
    answer: { name: s.self.name, ...(incarnation ? { incarnation } : {}), granted },
  });
}

/** With grants of all members leadership counts from before they were asked. */
export function grantsCame({ s, rules }: Context, { askedAt, epoch, answers }: Of<'grants'>): void {
  s.askingGrants = undefined;
  if (!s.held || s.held.epoch !== epoch || !s.lease) return;
  const members = [...s.lease.record.members, ...(s.perhapsMembers ?? [])];
  if (!rules.allGrant(members, s.self.name, answers, s.self.identity, epoch)) return;
  if (s.held.grantedAt && s.held.grantedAt.mono >= askedAt.mono) return;
  s.held = { ...s.held, grantedAt: askedAt };
}

// --- promises -----------------------------------------------------------------------------------------------------

export function promiseAsked({ s, now }: Context, { id, epoch, version }: Of<'promiseAsked'>): void {
  s.promiseCallers = [...s.promiseCallers, { id, since: now, state: { epoch, version } }];
}

export function promisesCame({ s }: Context, { epoch, version, answers }: Of<'promises'>): void {
  s.askingPromises = undefined;
  const given = s.promises?.state.version === version ? { ...s.promises.given } : {};
  for (const [name, answer] of Object.entries(answers))
    if (answer && 'promised' in answer && answer.promised.version === version) given[name] = answer;
  s.promises = { state: { epoch, version }, given };
}

/** Our position as it counts in a promise: seen after the WAL was cut. */
export function sealedPosition(s: State): Position | undefined {
  if (!s.promise || s.view?.receiverRunning !== false) return undefined;
  if (s.cutAt && (!s.viewAt || s.viewAt.mono < s.cutAt.mono)) return undefined;
  return ownPosition(s.view);
}

/** Begins the making of a promise on this state of the Lease; what is known of the Lease must be read for it. */
export function beginPromise({ s, now }: Context, state: LeaseState): void {
  if (s.promise?.version === state.version || s.promising?.version === state.version) return;
  s.promising = { ...state, since: now };
  s.readDue = true;
}

/** Each step: whoever waits for our promise is answered as soon as can be, and not later than they wait. */
export function tendPromises(c: Context): void {
  const { s } = c;
  if (!s.settings) return;
  watchPromising(c);
  s.promiseCallers = s.promiseCallers.filter((caller) => !answered(c, caller));
}

/** The Lease has been read since the promise was asked for: it is made, or refused. */
function watchPromising(c: Context): void {
  const { s, now, rules } = c;
  const { promising } = s;
  if (!promising || promising.ready) return;
  if (elapsed(promising.since, now) >= PROMISE_MS) {
    s.promising = undefined;
    return;
  }
  if (!s.readOk || s.readOk.mono < promising.since.mono) return;
  const fits = s.lease?.version === promising.version;
  if (fits && rules.mayPromise(s.lease!, s, settingsOf(s), now).ok) promising.ready = true;
  else s.promising = undefined;
}

function answered(c: Context, caller: State['promiseCallers'][number]): boolean {
  const { s, now, rules } = c;
  const age = elapsed(caller.since, now);
  const refuse = (why: string) => {
    c.actions.push({ type: 'answerPromise', id: caller.id, answer: { name: s.self.name, refused: why } });
    return true;
  };
  if (s.promise?.version === caller.state.version) {
    const mine = sealedPosition(s);
    const incarnation = s.view?.incarnation;
    if (mine && incarnation) {
      const { timeline, lsn } = mine;
      const answer = {
        name: s.self.name,
        incarnation,
        promised: { ...s.promise },
        timeline,
        lsn: formatLsn(lsn),
      };
      c.actions.push({ type: 'answerPromise', id: caller.id, answer });
      return true;
    }
    if (age >= PROMISE_MS) return refuse('this instance does not yet know how far it is');
    s.observeDue = true;
    wakeIn(c, 50);
    return false;
  }
  if (age >= PROMISE_MS) return refuse('the WAL could not be cut in time');
  wakeIn(c, PROMISE_MS - age);
  const known = s.lease?.version === caller.state.version ? s.lease : undefined;
  const readSince = s.readOk !== undefined && s.readOk.mono >= caller.since.mono;
  if (!known) {
    if (readSince) return refuse('the Lease has another version');
    s.readDue = true;
    return false;
  }
  if (s.promising || s.job?.job.kind === 'cutWal') return false;
  const verdict = rules.mayPromise(known, s, settingsOf(s), now);
  if (!verdict.ok) return refuse(verdict.why);
  beginPromise(c, caller.state);
  return false;
}

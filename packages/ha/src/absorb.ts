/** What each event changes in what the machine knows. Nothing is decided here, except what an answer itself proves. */

import { failed, jobDone, STARTS } from './absorb-jobs.ts';
import type { Now } from './clock.ts';
import { backOff, type Context, note } from './context.ts';
import type { Event, LeaseReadOutcome, Seen } from './events.ts';
import { grantAsked, grantsCame, promiseAsked, promisesCame } from './granting.ts';
import { seeDisk } from './hung.ts';
import { isPromotedByHand } from './positions.ts';
import type { State } from './state.ts';
import type { LeaseRecord } from './types.ts';

type Of<T extends Event['type']> = Extract<Event, { type: T }>;
type Absorb = { [T in Event['type']]: (c: Context, event: Of<T>) => void };

/** Takes one event in. */
export function absorb(c: Context, event: Event): void {
  (ABSORB[event.type] as (c: Context, event: Event) => void)(c, event);
}

const ABSORB: Absorb = {
  tick() {},

  settings({ s }, { settings }) {
    s.settings = settings;
    s.epochSeen = Math.max(s.epochSeen, settings.epochFloor);
  },

  self({ s }, { address, containerID }) {
    s.self = { ...s.self, ...(address ? { address } : {}), ...(containerID ? { containerID } : {}) };
  },

  pods({ s }, { pods }) {
    s.pods = pods;
  },

  leaseHint(c, { version, record }) {
    const { s, rules } = c;
    if (version !== undefined && s.lease?.version === version) return;
    s.readDue = true;
    if (version === undefined || !record || !rules.mayTakeUnread(record, s)) return;
    // It counts neither as a sight of its silence nor as read for a promise.
    anotherVersion(s, version);
    s.lease = { version, record };
  },

  leaseRead(c, { sentAt, outcome }) {
    const { s } = c;
    s.reading = undefined;
    s.lastRead = sentAt;
    if (outcome.kind === 'found') s.readOk = sentAt;
    readOutcome(c, outcome);
  },

  leaseWritten(c, { id, sentAt, outcome }) {
    const { s, now } = c;
    if (s.write?.id !== id) return;
    const { purpose, record } = s.write;
    s.write = undefined;
    if (outcome.kind !== 'ok') {
      backOff(s, 'write', now, 500);
      if (outcome.kind === 'unknown' && purpose === 'renew') {
        // It is swapped again from the same version: a read would only cost time. It may yet have come through.
        s.perhapsMembers = [...(s.perhapsMembers ?? []), ...record.members];
        return;
      }
      // What the Lease says now is unknown: nothing is written before it has been read again.
      s.readDue = true;
      s.staleLease = true;
      return;
    }
    delete s.retries.write;
    const reserved = outcome.record.reserved;
    if (s.held && s.held.timeline === undefined && reserved !== s.lease?.record.reserved)
      s.held = { ...s.held, ...(reserved === undefined ? {} : { timeline: reserved }) };
    // What we gave up ourselves is not lost.
    if (purpose === 'release') s.held = undefined;
    know(c, outcome.version, outcome.record);
    if (purpose === 'take') taken(c, outcome.record, sentAt);
    else if (purpose === 'renew' && s.held) s.held = { ...s.held, t0: sentAt };
    else if (purpose === 'release') released(c, outcome.record);
  },

  peers({ s }, { askedAt, answers, more }) {
    for (const [name, report] of Object.entries(answers)) {
      const known = s.peers[name];
      // A late answer says more than none to a later question, and less than one to that.
      const outdated = known?.report && known.askedAt.mono > askedAt.mono;
      if (!outdated) s.peers[name] = { report, askedAt };
    }
    if (more) return;
    s.asking = undefined;
    if (s.askingOnly) s.askingOnly = false;
    else {
      s.askDue = false;
      s.lastAsked = askedAt;
    }
  },

  observed(c, { startedAt, view }) {
    const { s } = c;
    // One made for somebody else may have begun before something happened that it was to be looked at for.
    if (s.observing && startedAt.mono >= s.observing.mono) s.observing = undefined;
    see(c, { startedAt, view });
  },

  exited(c, { expected, reason }) {
    const { s, now } = c;
    s.observeDue = true;
    s.applied = undefined;
    if (expected) {
      if (s.job?.job.kind === 'stop') s.exitedAt = now;
      return;
    }
    s.deathNeeded = true;
    const running = s.job?.job;
    // Making the death certain takes the place of the start: nobody would hear that it failed, and count it.
    if (running && STARTS.has(running.kind))
      failed(c, running, { code: 'Ended', message: `PostgreSQL ended: ${reason}` });
    // A standby that starts and ends by itself, again and again, is no better than one that does not start.
    else if (!s.primaryMaybe) backOff(s, 'startStandby', now);
  },

  jobDone(c, event) {
    const { s } = c;
    if (s.job?.id !== event.id) return;
    const { job } = s.job;
    s.job = undefined;
    // A standby has come up for good only when it streams.
    if (job.kind !== 'startStandby') delete s.retries[job.kind];
    s.error = undefined;
    jobDone(c, job, event);
    seenAfterJob(c, event.seen);
  },

  jobFailed(c, { id, code, message, seen }) {
    const { s } = c;
    if (s.job?.id !== id) return;
    const { job } = s.job;
    seenAfterJob(c, seen);
    failed(c, job, { code, message });
  },

  asideDone({ s, now }, { kind, ok }) {
    s.asides[kind] = false;
    if (ok) return;
    if (kind === 'slots') s.slotsFor = undefined;
    // Nobody can be rewound to us before it is done.
    else s.checkpointDue = s.held !== undefined;
    backOff(s, kind, now);
  },

  grantAsked,
  grants: grantsCame,
  promiseAsked,
  promises: promisesCame,

  routed({ s, now }, { epoch, outcome }) {
    s.routing = false;
    if (outcome === 'ok') s.routed = { epoch, at: now };
    // Somebody with a higher epoch has pointed the Service at itself: the Lease will say who.
    if (outcome === 'refused') s.readDue = true;
  },

  terminate({ s, now }, { graceMs }) {
    s.terminating ??= { since: now, graceMs };
  },
};

function readOutcome(c: Context, outcome: LeaseReadOutcome): void {
  const { s } = c;
  if (outcome.kind === 'failed') {
    s.sight = undefined;
    return;
  }
  s.staleLease = false;
  if (outcome.kind === 'missing') {
    s.lease = null;
    s.sight = undefined;
    anotherVersion(s, undefined);
    return;
  }
  know(c, outcome.version, outcome.record);
}

/** Takes note of the Lease as it is now, and of what that says about our own leadership. */
function know(c: Context, version: string, record: LeaseRecord): void {
  const { s, now, rules } = c;
  const since = rules.silenceBegins(s.sight, version, s.settings, now);
  s.sight = { version, since, last: now };
  if (s.lease?.version !== version) anotherVersion(s, version);
  s.lease = { version, record };
  // A Lease made anew while we hold it is ours to take again; one that names another, or nobody, is lost.
  const madeAnew = !rules.isGenuine(record, s.epochSeen);
  if (s.held && !rules.isHeldBy(record, s.self.identity) && !madeAnew) {
    s.held = undefined;
    // A plan of this leadership must not go on in a later one.
    s.handover = undefined;
    s.release = undefined;
    s.lost = {
      why: record.leader ? `the Lease was taken by ${record.leader.name}` : 'the Lease was taken',
      taken: true,
    };
    note(c, 'Warning', 'LeadershipLost', s.lost.why);
  }
  s.epochSeen = Math.max(s.epochSeen, record.epoch);
}

/** Whatever hung on the version before is void: promises, and writes that might yet have come through. */
function anotherVersion(s: State, version: string | undefined): void {
  s.perhapsMembers = undefined;
  if (s.promise?.version !== version) s.promise = undefined;
  if (s.promises?.state.version !== version) s.promises = undefined;
}

function taken(c: Context, record: LeaseRecord, sentAt: Now): void {
  const { s, now } = c;
  const continuing = s.takingOver?.continuing === true;
  const timeline = continuing ? undefined : record.reserved;
  s.held = {
    epoch: record.epoch,
    t0: sentAt,
    since: now,
    continuing,
    ...(timeline === undefined ? {} : { timeline }),
  };
  if (s.takingOver?.forced) s.promoteDone = s.takingOver.forced;
  if (s.takingOver?.tardy) s.tardy = { name: s.takingOver.tardy, at: now };
  s.takingOver = undefined;
  s.lost = undefined;
  s.failingSince = undefined;
  s.giveUp = undefined;
  s.stayLeader = undefined;
  s.standAfter = undefined;
  s.election = undefined;
  s.rejoin = undefined;
  s.promotedByHand = undefined;
  s.slotsFor = undefined;
  s.mark = undefined;
  s.joining = {};
  s.retries = {};
  note(c, 'Normal', 'LeadershipTaken', `${s.self.name} leads, epoch ${record.epoch}`);
}

function released(c: Context, record: LeaseRecord): void {
  const { s, now } = c;
  const to = record.handover?.to;
  // Who gave up because it could not start lets others try first.
  if (!to && s.handover?.reason !== 'fence') s.standAfter = now;
  s.held = undefined;
  s.handover = undefined;
  s.release = undefined;
  note(
    c,
    'Normal',
    to ? 'HandedOver' : 'LeadershipReleased',
    to ? `leadership handed to ${to}` : 'leadership released',
  );
}

/**
 * Takes an observation in. The timeline a standby follows is remembered: PostgreSQL forgets it with its WAL
 * receiver, until the next restart point.
 */
function see(c: Context, seen: Seen): void {
  const { s } = c;
  if (s.viewAt && seen.startedAt.mono < s.viewAt.mono) return;
  const { incarnation, timeline } = seen.view;
  const before = s.timelineSeen?.incarnation === incarnation ? (s.timelineSeen?.timeline ?? 0) : 0;
  const highest = Math.max(timeline ?? 0, before);
  seeDisk(s, seen);
  const news = seen.view.promotedByHand && !s.view?.promotedByHand && !s.promotedByHand;
  s.view = { ...seen.view, ...(timeline ? { timeline: highest } : {}) };
  if (timeline) s.timelineSeen = { incarnation, timeline: highest };
  if (news && isPromotedByHand(s)) noteByHand(c);
  s.viewAt = seen.startedAt;
  if (seen.view.inRecovery === false)
    s.streamed = seen.view.replication.filter((row) => row.state === 'streaming').map((row) => row.name);
  if (seen.view.silent) s.silentSince ??= seen.startedAt;
  else s.silentSince = undefined;
  noteMark(s);
}

function noteByHand(c: Context): void {
  const { name } = c.s.self;
  c.s.proven = undefined;
  note(
    c,
    'Warning',
    'PromotedByHand',
    `PostgreSQL on ${name} was made a primary without the Lease, and has ended since: what it wrote is given up`,
  );
}

/** What was seen after a job makes an observation that is still under way, or was due, worthless. */
function seenAfterJob(c: Context, seen: Seen | undefined): void {
  const { s } = c;
  if (!seen) {
    s.observeDue = true;
    return;
  }
  s.observing = undefined;
  s.observeDue = false;
  see(c, seen);
}

/** The first LSN seen after the rule came into force: older rules end where enough standbys have passed it. */
function noteMark(s: State): void {
  const running = s.view?.process === 'running' && s.view.inRecovery === false;
  if (!s.held || !running || s.applied === undefined || s.mark !== undefined) return;
  if (s.appliedAt && s.viewAt && s.viewAt.mono >= s.appliedAt.mono) s.mark = s.view!.currentLsn;
}

/** What each event changes in what the machine knows. Nothing is decided here, except what an answer itself proves. */
import type { Now } from './clock.ts';
import { backOff, type Context, note } from './context.ts';
import type { Event, Job, LeaseReadOutcome, Seen } from './events.ts';
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

  leaseHint({ s }, { version }) {
    if (version === undefined || s.lease?.version !== version) s.readDue = true;
  },

  leaseRead(c, { sentAt, outcome }) {
    const { s } = c;
    delete s.reading;
    s.lastRead = sentAt;
    readOutcome(c, outcome);
  },

  leaseWritten(c, { id, sentAt, outcome }) {
    const { s, now } = c;
    if (s.write?.id !== id) return;
    const { purpose } = s.write;
    delete s.write;
    if (outcome.kind !== 'ok') {
      // What the Lease says now is unknown: nothing is written before it has been read again.
      s.readDue = true;
      s.staleLease = true;
      backOff(s, 'write', now, 500);
      return;
    }
    delete s.retries.write;
    // What we gave up ourselves is not lost.
    if (purpose === 'release') delete s.held;
    know(c, outcome.version, outcome.record);
    if (purpose === 'take') taken(c, outcome.record, sentAt);
    else if (purpose === 'renew' && s.held) s.held = { ...s.held, t0: sentAt };
    else if (purpose === 'release') released(c, outcome.record);
  },

  peers({ s }, { askedAt, answers }) {
    delete s.asking;
    s.askDue = false;
    s.lastAsked = askedAt;
    for (const [name, report] of Object.entries(answers)) s.peers[name] = { report, askedAt };
  },

  observed({ s }, { startedAt, view }) {
    delete s.observing;
    see(s, { startedAt, view });
  },

  exited({ s }, { expected }) {
    s.observeDue = true;
    delete s.applied;
    if (!expected) s.deathNeeded = true;
  },

  jobDone(c, event) {
    const { s } = c;
    if (s.job?.id !== event.id) return;
    const { job } = s.job;
    delete s.job;
    delete s.retries[job.kind];
    delete s.error;
    jobDone(c, job, event);
    seenAfterJob(s, event.seen);
  },

  jobFailed(c, { id, code, message, seen }) {
    const { s, now } = c;
    if (s.job?.id !== id) return;
    const { job } = s.job;
    delete s.job;
    seenAfterJob(s, seen);
    s.error = { code, message };
    backOff(s, job.kind, now, job.kind === 'setSync' || job.kind === 'promote' ? 500 : 10_000);
    jobFailed(c, job, message);
  },

  asideDone({ s, now }, { kind, ok }) {
    s.asides[kind] = false;
    if (ok) return;
    if (kind === 'slots') delete s.slotsFor;
    backOff(s, kind, now);
  },

  grantAsked({ s, actions }, { id }) {
    actions.push({ type: 'answerGrant', id, answer: { name: s.self.name, refused: 'not asked for' } });
  },

  promiseAsked({ s, actions }, { id }) {
    actions.push({ type: 'answerPromise', id, answer: { name: s.self.name, refused: 'not asked for' } });
  },

  grants({ s }) {
    delete s.askingGrants;
  },

  promises({ s }) {
    delete s.askingPromises;
  },

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
    delete s.sight;
    return;
  }
  s.staleLease = false;
  if (outcome.kind === 'missing') {
    s.lease = null;
    delete s.sight;
    return;
  }
  know(c, outcome.version, outcome.record);
}

/** Takes note of the Lease as it is now, and of what that says about our own leadership. */
function know(c: Context, version: string, record: LeaseRecord): void {
  const { s, now, rules } = c;
  const since = rules.silenceBegins(s.sight, version, s.settings, now);
  s.sight = { version, since, last: now };
  s.lease = { version, record };
  // A Lease made anew while we hold it is ours to take again; one that names another, or nobody, is lost.
  const madeAnew = !rules.isGenuine(record, s.epochSeen);
  if (s.held && !rules.isHeldBy(record, s.self.identity) && !madeAnew) {
    delete s.held;
    s.lost = {
      why: record.leader ? `the Lease was taken by ${record.leader.name}` : 'the Lease was taken',
      taken: true,
    };
    note(c, 'Warning', 'LeadershipLost', s.lost.why);
  }
  s.epochSeen = Math.max(s.epochSeen, record.epoch);
}

function taken(c: Context, record: LeaseRecord, sentAt: Now): void {
  const { s, now } = c;
  const continuing = s.takingOver?.continuing === true;
  s.held = { epoch: record.epoch, t0: sentAt, since: now, continuing };
  delete s.takingOver;
  delete s.lost;
  delete s.failingSince;
  delete s.giveUp;
  delete s.stayLeader;
  delete s.standAfter;
  delete s.election;
  delete s.rejoin;
  delete s.slotsFor;
  delete s.mark;
  s.joining = {};
  s.retries = {};
  note(c, 'Normal', 'LeadershipTaken', `${s.self.name} leads, epoch ${record.epoch}`);
}

function released(c: Context, record: LeaseRecord): void {
  const { s, now } = c;
  const to = record.handover?.to;
  delete s.held;
  delete s.handover;
  delete s.release;
  if (!to) s.standAfter = now;
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
function see(s: State, seen: Seen): void {
  if (s.viewAt && seen.startedAt.mono < s.viewAt.mono) return;
  const { incarnation, timeline } = seen.view;
  const before = s.timelineSeen?.incarnation === incarnation ? (s.timelineSeen?.timeline ?? 0) : 0;
  const highest = Math.max(timeline ?? 0, before);
  s.view = { ...seen.view, ...(timeline ? { timeline: highest } : {}) };
  if (timeline) s.timelineSeen = { incarnation, timeline: highest };
  s.viewAt = seen.startedAt;
  noteMark(s);
}

/** What was seen after a job makes an observation that is still under way, or was due, worthless. */
function seenAfterJob(s: State, seen: Seen | undefined): void {
  if (!seen) {
    s.observeDue = true;
    return;
  }
  delete s.observing;
  s.observeDue = false;
  see(s, seen);
}

/** The first LSN seen after the rule came into force: older rules end where enough standbys have passed it. */
function noteMark(s: State): void {
  const running = s.view?.process === 'running' && s.view.inRecovery === false;
  if (!s.held || !running || s.applied === undefined || s.mark !== undefined) return;
  if (s.appliedAt && s.viewAt && s.viewAt.mono >= s.appliedAt.mono) s.mark = s.view!.currentLsn;
}

function inForce({ s, now }: Context, names: string, seen: Seen | undefined): void {
  s.applied = names;
  s.appliedAt = seen?.startedAt ?? now;
  delete s.mark;
}

function jobDone(c: Context, job: Job, result: Of<'jobDone'>): void {
  const { s, now } = c;
  switch (job.kind) {
    case 'die':
    case 'stop':
      s.deathNeeded = false;
      s.primaryMaybe = false;
      s.deadSince = now;
      delete s.applied;
      if (s.handover?.stage === 'stopping') s.handover.stage = 'verifying';
      return;
    case 'startPrimary':
    case 'promote':
      inForce(c, job.syncNames, result.seen);
      s.checkpointDue = job.kind === 'promote';
      if (s.held) s.held = { ...s.held, continuing: true };
      delete s.failingSince;
      delete s.following;
      if (job.kind === 'promote')
        note(
          c,
          'Normal',
          'Promoted',
          `${s.self.name} is primary on timeline ${result.timeline ?? 'unknown'}`,
        );
      return;
    case 'setSync':
      inForce(c, job.names, result.seen);
      return;
    case 'startStandby':
      // Slots that were used while this was a primary would hold WAL here for ever: they are seen to anew.
      delete s.slotsFor;
      s.following = job.upstream && { ...job.upstream, applicationName: job.applicationName };
      return;
    case 'follow':
      s.following = job.upstream && { ...job.upstream, applicationName: job.applicationName };
      return;
    case 'checkpoint':
      if (s.handover?.stage === 'checkpoint') s.handover.stage = 'stopping';
      return;
    case 'rewind':
      delete s.proven;
      delete s.timelineSeen;
      if (s.rejoin) s.rejoin = { ...s.rejoin, rung: 'follow', rewinds: s.rejoin.rewinds + 1 };
      delete s.rejoin?.stuckSince;
      note(c, 'Warning', 'Rewound', rewoundText(s.self.name, result.discarded));
      return;
    case 'copy':
      delete s.proven;
      delete s.timelineSeen;
      if (s.rejoin) s.rejoin = { ...s.rejoin, rung: 'follow' };
      delete s.rejoin?.stuckSince;
      note(c, 'Normal', 'Copied', `${s.self.name} has a fresh copy from ${job.source.name}`);
      return;
    default:
      return;
  }
}

function rewoundText(name: string, discarded: { from: string; to: string } | undefined): string {
  if (!discarded) return `${name} was rewound; it had nothing of its own`;
  return `${name} was rewound; discarded its WAL from ${discarded.from} to ${discarded.to}`;
}

function jobFailed(c: Context, job: Job, message: string): void {
  const { s, now } = c;
  note(c, 'Warning', 'JobFailed', `${job.kind} failed: ${message}`);
  switch (job.kind) {
    case 'die':
      s.undead = message;
      return;
    // A stop that failed, or a start that did, may have left something alive.
    case 'startPrimary':
      s.failingSince ??= now;
      s.deathNeeded = true;
      return;
    case 'stop':
    case 'startStandby':
      s.deathNeeded = true;
      return;
    case 'promote':
      s.failingSince ??= now;
      return;
    case 'checkpoint':
      if (s.handover?.stage === 'checkpoint') s.handover.stage = 'stopping';
      return;
    case 'rewind':
      if (s.rejoin) s.rejoin = { ...s.rejoin, rewinds: s.rejoin.rewinds + 1 };
      return;
    case 'copy':
      if (s.rejoin) s.rejoin = { ...s.rejoin, copies: s.rejoin.copies + 1 };
      return;
    default:
      return;
  }
}

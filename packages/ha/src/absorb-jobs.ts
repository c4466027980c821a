/** What the end of a job changes in what the machine knows. */
import { backOff, type Context, note } from './context.ts';
import type { Event, Following, Job, Seen } from './events.ts';
import { MAX_REWINDS } from './rules/times.ts';
import type { State } from './state.ts';

type Of<T extends Event['type']> = Extract<Event, { type: T }>;

function inForce({ s, now }: Context, names: string, seen: Seen | undefined): void {
  s.applied = names;
  s.appliedAt = seen?.startedAt ?? now;
  s.mark = undefined;
}

/** A standby that was told anew whom to follow has all the time again that it may take. */
function patientAgain({ rejoin }: State): void {
  if (rejoin) rejoin.stuckSince = undefined;
}

export function jobDone(c: Context, job: Job, result: Of<'jobDone'>): void {
  const { s, now } = c;
  switch (job.kind) {
    case 'die':
    case 'stop':
      s.deathNeeded = false;
      s.primaryMaybe = false;
      s.deadSince = now;
      s.undead = undefined;
      s.applied = undefined;
      if (s.handover?.stage === 'stopping') s.handover.stage = 'verifying';
      return;
    case 'startPrimary':
    case 'promote':
      inForce(c, job.syncNames, result.seen);
      s.checkpointDue = job.kind === 'promote';
      if (s.held) {
        s.held = { ...s.held, continuing: true };
        s.held.timeline = undefined;
      }
      s.failingSince = undefined;
      s.following = undefined;
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
    case 'cutWal':
      s.promise = { ...job.promise };
      s.cutAt = result.seen?.startedAt ?? now;
      s.following = null;
      s.promising = undefined;
      return;
    case 'startStandby':
      // Slots that were used while this was a primary would hold WAL here for ever: they are seen to anew.
      s.slotsFor = undefined;
      s.following = followed(job);
      return;
    case 'follow':
      s.following = followed(job);
      return;
    case 'checkpoint':
      if (s.handover?.stage === 'checkpoint') s.handover.stage = 'stopping';
      return;
    case 'rewind':
      s.proven = undefined;
      // Killed soon after its promotion, its control file does not know of the new timeline: only a copy helps.
      if (result.rewound !== false) s.promotedByHand = undefined;
      s.timelineSeen = undefined;
      // Where there was nothing to rewind, another try would change nothing either.
      if (s.rejoin)
        s.rejoin = {
          ...s.rejoin,
          rung: 'follow',
          rewinds: result.rewound === false ? MAX_REWINDS : s.rejoin.rewinds + 1,
        };
      patientAgain(s);
      note(c, 'Warning', 'Rewound', rewoundText(s.self.name, result));
      return;
    case 'copy':
      s.proven = undefined;
      s.promotedByHand = undefined;
      s.timelineSeen = undefined;
      if (s.rejoin) s.rejoin = { ...s.rejoin, rung: 'follow' };
      patientAgain(s);
      note(c, 'Normal', 'Copied', `${s.self.name} has a fresh copy from ${job.source.name}`);
      return;
    default:
      return;
  }
}

function followed({ upstream, applicationName, syncNames }: Following): State['following'] {
  return upstream && { ...upstream, applicationName, syncNames };
}

function rewoundText(name: string, { rewound, discarded }: Of<'jobDone'>): string {
  if (rewound === false) return `pg_rewind found nothing to rewind on ${name}`;
  if (!discarded) return `${name} was rewound; it had nothing of its own`;
  return `${name} was rewound; discarded its WAL from ${discarded.from} to ${discarded.to}`;
}

/** Jobs after which PostgreSQL runs, unless it ends while they are under way. */
export const STARTS: ReadonlySet<Job['kind']> = new Set(['startPrimary', 'startStandby', 'promote']);

/** The job that is under way has failed: the next try of its kind waits. */
export function failed(c: Context, job: Job, error: { code: string; message: string }): void {
  const { s, now } = c;
  s.job = undefined;
  s.error = error;
  backOff(s, job.kind, now, job.kind === 'setSync' || job.kind === 'promote' ? 500 : 10_000);
  jobFailed(c, job, error.message);
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
      // Its number may have been used.
      if (s.held) s.held.timeline = undefined;
      return;
    case 'cutWal':
      // Whom it follows now is not known: it is told again.
      s.following = undefined;
      s.promising = undefined;
      return;
    case 'checkpoint':
      if (s.handover?.stage === 'checkpoint') s.handover.stage = 'stopping';
      return;
    case 'rewind':
      if (s.rejoin) s.rejoin = { ...s.rejoin, rewinds: s.rejoin.rewinds + 1 };
      return;
    case 'wipe':
      // The data are still there: with them it can be read, and say how far it is, until the next try.
      if (s.rejoin) s.rejoin = { ...s.rejoin, rung: 'follow' };
      patientAgain(s);
      return;
    case 'copy':
      if (s.rejoin) s.rejoin = { ...s.rejoin, copies: s.rejoin.copies + 1 };
      return;
    default:
      return;
  }
}

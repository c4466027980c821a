/**
 * What to do with the database, as one list read from top to bottom: the first situation that applies decides.
 *
 * Safety comes first (death that is not certain, leadership that was lost), then what is under way, then stopping,
 * leading, bootstrap, and at last following. Whether the Lease may be taken is decided beside this list (lease.ts):
 * taking it needs no change to the database.
 */
import { begin, type Context, note, recordOf, settingsOf, waitFor, within } from './context.ts';
import { beginHandover, continueHandover, isFenced, wantsHandover } from './handover.ts';
import { whyHung } from './hung.ts';
import { promote, retrying, ruleChange, stopInTime, watchJob } from './leading.ts';
import { runsAsPrimary } from './membership.ts';
import {
  letsLeaderGoFirst,
  PROMOTION_MS,
  rejoinRunning,
  rejoinStopped,
  runsAsWanted,
  standby,
} from './rejoin.ts';
import { fullVolume, waitForSpace } from './space.ts';
import { succeedAfterDeath } from './succession.ts';

export interface Situation {
  name: string;
  /** What harm or loss of time this entry prevents. */
  why: string;
  when(c: Context): boolean;
  act(c: Context): void;
}

const stopped = (c: Context) => c.s.view?.process === 'stopped';
const noData = (c: Context) => c.s.view?.data === 'empty' || c.s.view?.data === 'damaged';
const notOurs = (c: Context) => noData(c) || isForeign(c);
/** An observation made before the last change of the process says nothing about it. */
const seenSince = (c: Context) => !c.s.observeDue && c.s.observing === undefined && c.s.view !== undefined;

export const SITUATIONS: readonly Situation[] = [
  // --- safety -------------------------------------------------------------------------------------------------
  {
    name: 'death is impossible to make certain',
    why: 'processes that cannot be killed may go on acknowledging: the container must end',
    when: (c) => c.s.undead !== undefined && c.s.acted === true,
    act: (c) => exit(c, 1, `cannot make the death of PostgreSQL certain: ${c.s.undead}`),
  },
  {
    name: 'death is not certain',
    why: "a postmaster's exit is not death, and neither is a predecessor's (ELECTION 3)",
    when: (c) => c.s.deathNeeded && c.s.job?.job.kind !== 'die',
    // What a manager finds at its start has been killed by the guard already: it waits for the kernel to let it go.
    act: (c) => retrying(c, 'die', () => begin(c, { kind: 'die' })),
  },
  {
    name: 'leadership was lost to somebody',
    why: 'another leads: not one more commit may be acknowledged here',
    when: (c) => mustStop(c) && c.s.lost?.taken === true && c.s.job?.job.kind !== 'die',
    act: (c) => begin(c, { kind: 'die' }),
  },
  {
    name: 'leadership ran out',
    why: 'a primary that cannot prove that it still leads stops before anyone else can lead (ELECTION 1)',
    when: (c) => mustStop(c) && !isEnding(c),
    act: stopInTime,
  },
  {
    name: 'PostgreSQL does not answer',
    why: 'a hung database acknowledges nothing, yet holds the place of one that would',
    // A job may wait for the same disk, without end.
    when: (c) => c.s.view?.process === 'running' && !isEnding(c) && whyHung(c) !== undefined,
    act: (c) => {
      note(c, 'Warning', 'Hung', `${whyHung(c)}: PostgreSQL is killed`);
      begin(c, { kind: 'die' });
    },
  },
  {
    name: 'a job is under way',
    why: 'the executor does one thing at a time; only what stands above interrupts it',
    when: (c) => c.s.job !== undefined,
    act: watchJob,
  },
  {
    name: 'nothing is known yet',
    why: 'no decision without the Cluster, the Lease and a look at the volume',
    when: (c) => !c.s.settings || c.s.lease === undefined || !seenSince(c),
    act: (c) => {
      if (!c.s.settings) waitFor(c, 'the Cluster');
      else if (c.s.lease === undefined) waitFor(c, 'the Lease');
      // A candidate looks again and again: what it waits for in truth is to be read, and since when.
      else if (!c.s.waiting) waitFor(c, 'a look at the database');
    },
  },
  {
    name: 'the data directory is gone under a running database',
    why: 'PostgreSQL may linger on deleted files: it is dead from now on, and never initialised anew',
    when: (c) => !stopped(c) && noData(c),
    act: (c) => {
      note(
        c,
        'Warning',
        'DataLost',
        `the data directory of ${c.s.self.name} is ${c.s.view!.data}: ${c.s.view!.damage ?? 'its files are gone'}`,
      );
      begin(c, { kind: 'die' });
    },
  },
  {
    name: 'another database in the place of ours',
    why: 'somebody has exchanged the data directory: nothing may run on it, and it is never overwritten',
    when: (c) => !stopped(c) && isForeign(c),
    act: (c) => {
      noteForeign(c);
      begin(c, { kind: 'die' });
    },
  },
  {
    name: 'a primary that nobody made one',
    why: 'a database that came out of recovery without the Lease is not ours to keep running',
    when: (c) => !c.s.held && runsAsPrimary(c),
    act: (c) => {
      note(
        c,
        'Warning',
        'PromotedByHand',
        `PostgreSQL on ${c.s.self.name} became a primary on timeline ${c.s.view!.timeline} without the Lease: it is killed, and what it wrote is given up`,
      );
      c.s.proven = undefined;
      c.s.promotedByHand = true;
      begin(c, { kind: 'die' });
    },
  },
  {
    name: 'a promise is asked for',
    why: 'whoever promises receives no more WAL: the old leader can acknowledge nothing any more (ELECTION 5)',
    when: (c) => c.s.promising?.ready === true,
    act: (c) => {
      const { epoch, version } = c.s.promising!;
      begin(c, { kind: 'cutWal', promise: { epoch, version } });
    },
  },

  // --- leading ------------------------------------------------------------------------------------------------
  {
    name: 'leader: the Lease is gone',
    why: 'members and rules are not known: nothing changes until it is made anew and taken again',
    when: (c) => c.s.held !== undefined && c.s.lease === null,
    act: (c) => waitFor(c, 'the Lease to be made anew'),
  },
  {
    name: 'leadership is being given up',
    why: 'the Lease says so first; then the database follows whoever takes it',
    when: (c) => c.s.held !== undefined && c.s.release !== undefined,
    act: (c) => waitFor(c, 'the Lease to be released'),
  },
  {
    name: 'leader: fresh data claimed',
    why: 'the Lease names our system identifier: from now on an empty volume means a copy (ELECTION 8)',
    when: (c) => c.s.held !== undefined && c.s.view!.data === 'unclaimed',
    act: (c) => retrying(c, 'claim', () => begin(c, { kind: 'claim' })),
  },
  {
    name: 'leader: no data',
    why: 'another has them; we come back by copy',
    when: (c) => c.s.held !== undefined && stopped(c) && notOurs(c),
    act: succeedAfterDeath,
  },
  {
    name: 'leader: handing over',
    why: 'a planned change of leader loses nothing and takes a fraction of a second',
    when: (c) => c.s.held !== undefined && c.s.handover !== undefined,
    act: continueHandover,
  },
  {
    name: 'leader: asked to hand over',
    why: 'a wish, or this pod is being stopped: better before the stop than after it',
    when: (c) => c.s.held !== undefined && wantsHandover(c),
    act: beginHandover,
  },
  {
    name: 'leader: PostgreSQL is dead',
    why: 'a synchronous replica that has everything is faster than crash recovery; else restart in place',
    when: (c) => c.s.held !== undefined && stopped(c),
    act: succeedAfterDeath,
  },
  {
    name: 'leader: still a standby',
    why: 'promoted only now: the Lease is ours, and the commit rule is recorded before it is in force',
    when: (c) => c.s.held !== undefined && c.s.view!.process === 'running' && c.s.view!.inRecovery === true,
    act: promote,
  },
  {
    name: 'leader: another commit rule is wanted',
    why: 'applied only after it was recorded (ELECTION 5.5)',
    when: (c) => c.s.held !== undefined && runsAsPrimary(c) && ruleChange(c) !== undefined,
    act: (c) => retrying(c, 'setSync', () => begin(c, { kind: 'setSync', names: ruleChange(c)! })),
  },
  {
    name: 'leader: running',
    why: '',
    when: (c) => c.s.held !== undefined,
    act: (c) => {
      if (runsAsPrimary(c)) c.s.waiting = undefined;
      else waitFor(c, 'PostgreSQL to answer');
    },
  },

  // --- stopping -----------------------------------------------------------------------------------------------
  {
    name: 'stopping: PostgreSQL runs',
    why: 'a replica just stops',
    when: (c) => (c.s.terminating !== undefined || isFenced(c)) && !stopped(c),
    act: (c) => begin(c, { kind: 'stop', fastMs: settingsOf(c.s).fastStopMs, immediateMs: 5_000 }),
  },
  {
    name: 'stopping: done',
    why: '',
    when: (c) => c.s.terminating !== undefined,
    act: (c) => exit(c, 0, 'stopped as asked'),
  },
  {
    name: 'fenced',
    why: 'fenced by hand: neither leads nor follows',
    when: isFenced,
    act: (c) => waitFor(c, 'the fence to be lifted'),
  },

  // --- bootstrap ----------------------------------------------------------------------------------------------
  {
    name: 'data of another database',
    why: 'never overwritten: somebody may want them (ELECTION 8)',
    when: isForeign,
    act: (c) => {
      noteForeign(c);
      waitFor(c, 'the foreign data to be taken away by hand');
    },
  },
  {
    name: 'fresh data that another instance was faster with',
    why: 'nobody ever opened them: they hold nothing',
    when: (c) =>
      c.s.view!.data === 'unclaimed' && knownSystem(c) !== undefined && knownSystem(c) !== c.s.view!.systemID,
    act: (c) => retrying(c, 'wipe', () => begin(c, { kind: 'wipe' })),
  },
  {
    name: 'fresh data that the Lease names already',
    why: 'we crashed between the swap and the claim',
    when: (c) => c.s.view!.data === 'unclaimed' && knownSystem(c) === c.s.view!.systemID,
    act: (c) => retrying(c, 'claim', () => begin(c, { kind: 'claim' })),
  },
  {
    name: 'fresh data waiting to be claimed',
    why: '',
    when: (c) => c.s.view!.data === 'unclaimed',
    act: (c) => waitFor(c, 'the Lease to record the new system identifier'),
  },
  {
    name: 'to be initialised here',
    why: 'once in the life of a cluster (ELECTION 8)',
    when: (c) => c.s.lease !== null && c.rules.mayInitialise(recordOf(c.s)!, c.s, settingsOf(c.s)).ok,
    act: (c) => retrying(c, 'initialise', () => begin(c, { kind: 'initialise' })),
  },

  // --- following ----------------------------------------------------------------------------------------------
  {
    name: 'no data',
    why: 'ever after the first time an empty volume means a copy',
    when: noData,
    act: rejoinStopped,
  },
  {
    name: 'standby: a volume is full',
    why: 'PostgreSQL would end again at its next segment; copying or rewinding needs space too',
    when: (c) => stopped(c) && fullVolume(c.s.view) !== undefined,
    act: (c) => waitForSpace(c, fullVolume(c.s.view)!),
  },
  {
    name: 'handed over, not yet taken',
    why: 'if the named successor does not come, we lead again, and a standby would have to be promoted for it',
    when: (c) => stopped(c) && justHandedOver(c),
    act: (c) => waitFor(c, `${recordOf(c.s)!.handover!.to} to take the Lease`),
  },
  {
    name: 'standby: its leader is being promoted',
    why: 'to start takes from the leader what it needs for its promotion, where they share a machine or its disk',
    when: (c) => stopped(c) && letsLeaderGoFirst(c),
    act: (c) => waitFor(c, `${recordOf(c.s)!.leader!.name} to be promoted`, PROMOTION_MS),
  },
  {
    name: 'standby is stopped',
    why: '',
    when: stopped,
    act: rejoinStopped,
  },
  {
    name: 'standby runs, but not as wanted',
    why: 'another leader, another name',
    when: (c) => c.s.view!.process === 'running' && !runsAsWanted(c),
    act: (c) => retrying(c, 'follow', () => begin(c, { kind: 'follow', ...standby(c) })),
  },
  {
    name: 'standby runs',
    why: '',
    when: () => true,
    act: rejoinRunning,
  },
];

function isForeign(c: Context): boolean {
  return c.rules.isForeign(recordOf(c.s) ?? NO_RECORD, c.s, settingsOf(c.s));
}

function noteForeign(c: Context): void {
  const wanted = recordOf(c.s)?.systemID ?? settingsOf(c.s).systemID;
  const message = `the volume of ${c.s.self.name} holds system ${c.s.view!.systemID}, the cluster is system ${wanted}`;
  if (c.s.error?.code !== 'ForeignData') note(c, 'Warning', 'ForeignData', message);
  c.s.error = { code: 'ForeignData', message };
}

const NO_RECORD = { holder: null, epoch: 0, members: [], rules: [] };

/** Carries out the first situation that applies. Returns its name. */
export function tendDatabase(c: Context): string | undefined {
  if (c.s.exiting) return undefined;
  const situation = SITUATIONS.find((each) => each.when(c));
  situation?.act(c);
  return situation?.name;
}

function isEnding({ s }: Context): boolean {
  return s.job?.job.kind === 'die' || s.job?.job.kind === 'stop';
}

function mustStop({ s }: Context): boolean {
  return s.primaryMaybe && !s.deathNeeded && s.held === undefined;
}

function exit(c: Context, code: number, why: string): void {
  c.s.exiting = true;
  c.actions.push({ type: 'exit', code, why });
}

function knownSystem(c: Context): string | undefined {
  return recordOf(c.s)?.systemID ?? settingsOf(c.s).systemID;
}

function justHandedOver(c: Context): boolean {
  const record = recordOf(c.s);
  if (!record || record.holder !== null || !record.handover || record.leader?.name !== c.s.self.name)
    return false;
  return c.s.deadSince !== undefined && within(c, c.s.deadSince, 2 * settingsOf(c.s).renewMs + 5_000);
}

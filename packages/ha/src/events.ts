/** What the machine is told (events) and what it asks for (actions). */
import type { Now } from './clock.ts';
import type {
  GrantAnswer,
  LeaseRecord,
  LeaseState,
  PeerReport,
  PodFact,
  PromiseAnswer,
  Settings,
  View,
} from './types.ts';

export interface Upstream {
  name: string;
  address: string;
}

/** How a standby is to run. */
export interface Following {
  upstream: Upstream | null;
  applicationName: string;
  /** The commit rule it is to lead by, should it come to that: in force beforehand, it costs a promotion no time. */
  syncNames: string;
}

/** A request to the database's executor. One at a time; `die` and a preempting `stop` interrupt any other. */
export type Job =
  | { kind: 'die' }
  /** `heir`: another is to lead, and to archive what is left of the WAL. */
  | { kind: 'stop'; fastMs: number; immediateMs: number; heir?: boolean }
  | { kind: 'initialise' }
  | { kind: 'claim' }
  | { kind: 'startPrimary'; syncNames: string }
  /** `sealed`: a promise is outstanding, so no WAL may come from anywhere, the archive (restore_command) included. */
  | ({ kind: 'startStandby'; sealed?: boolean } & Following)
  | ({ kind: 'follow' } & Following)
  /**
   * For a promise. Done only when: primary_conninfo and restore_command are cleared on disk, the WAL receiver
   * process is gone, WAL senders of this standby are ended, and `promise` is noted outside PGDATA (fsync). The
   * manager gives the note to `initialState` after a restart; a later note replaces it, nothing ever deletes it.
   * Before PostgreSQL 13 the standby is stopped instead. `seen` must come with the end of the job.
   */
  | { kind: 'cutWal'; promise: LeaseState }
  | { kind: 'setSync'; names: string }
  /**
   * The new timeline must bear this number, or a higher one if a history file of this number is there already. It
   * was reserved on the Lease, so that no two histories bear the same.
   */
  | { kind: 'promote'; syncNames: string; timeline: number }
  | { kind: 'copy'; source: Upstream }
  | { kind: 'rewind'; source: Upstream }
  /** `source`: what is there is given up only if a copy can be made of it. */
  | { kind: 'wipe'; source?: Upstream }
  | { kind: 'checkpoint' };

/** Requests that run beside a job and change nothing that leadership depends on. */
export type Aside =
  | { kind: 'checkpoint' }
  /** `primary`: on a standby, whose slots ours are to keep up with. */
  | { kind: 'slots'; instances: string[]; primary?: Upstream };

export type WritePurpose = 'take' | 'renew' | 'release';

/** An observation, and when it began. */
export interface Seen {
  startedAt: Now;
  view: View;
}

export type Event =
  | { type: 'tick' }
  | { type: 'settings'; settings: Settings }
  | { type: 'self'; address?: string; containerID?: string }
  | { type: 'pods'; pods: PodFact[] }
  /**
   * The watch saw the Lease at this version: a reason to read it, never a fact. What it saw is enough for one thing: to
   * take what is handed to us, for the swap is refused if it is out of date.
   */
  | { type: 'leaseHint'; version?: string; record?: LeaseRecord }
  | { type: 'leaseRead'; sentAt: Now; outcome: LeaseReadOutcome }
  | { type: 'leaseWritten'; id: number; sentAt: Now; outcome: LeaseWriteOutcome }
  /**
   * What came back of `askPeers`: all answers, with null for whoever gave none in time. `more`: one of them, fed as soon
   * as it is there, also if it comes late.
   */
  | { type: 'peers'; askedAt: Now; answers: Record<string, PeerReport | null>; more?: boolean }
  /** What came of `observe`, or of a look that was made for a peer who asked. */
  | { type: 'observed'; startedAt: Now; view: View }
  | { type: 'exited'; expected: boolean; reason: string }
  /** `seen`: an observation that was made after the job had ended. */
  | {
      type: 'jobDone';
      id: number;
      seen?: Seen;
      timeline?: number;
      /** Of a rewind: false when the histories had not parted. */
      rewound?: boolean;
      discarded?: { from: string; to: string };
    }
  | { type: 'jobFailed'; id: number; seen?: Seen; code: string; message: string }
  | { type: 'asideDone'; kind: Aside['kind']; ok: boolean }
  /**
   * A leader that cannot renew asks whether it may go on (`GET /grant?leader=IDENTITY&epoch=N`). Answered in the same
   * step by `answerGrant` with this id; the answer must not wait for a look at the database.
   */
  | { type: 'grantAsked'; id: string; leader: string; epoch: number }
  /** What came back of `askGrants`; `askedAt` is read before the first question is sent. */
  | { type: 'grants'; askedAt: Now; epoch: number; answers: Record<string, GrantAnswer | null> }
  /** A candidate asks (`POST /promise`). Answered later by `answerPromise` with this id, within PROMISE_MS. */
  | { type: 'promiseAsked'; id: string; candidate: string; epoch: number; version: string }
  /** What came back of `askPromises`: fed once per answer or for all of them together. */
  | { type: 'promises'; epoch: number; version: string; answers: Record<string, PromiseAnswer | null> }
  | { type: 'routed'; epoch: number; outcome: 'ok' | 'refused' | 'failed' }
  | { type: 'terminate'; graceMs: number };

export type LeaseReadOutcome =
  | { kind: 'found'; version: string; record: LeaseRecord }
  | { kind: 'missing' }
  | { kind: 'failed'; message: string };

export type LeaseWriteOutcome =
  | { kind: 'ok'; version: string; record: LeaseRecord }
  /** Somebody else wrote first, or the Lease is gone: nothing was changed by us. */
  | { kind: 'conflict' }
  /** No answer, or one that does not say: it may or may not have been written. */
  | { kind: 'unknown'; message: string };

export type Action =
  | { type: 'readLease'; timeoutMs: number }
  /** Times (acquireTime, renewTime, handover.at) are filled in by whoever sends it. */
  | {
      type: 'writeLease';
      id: number;
      version: string;
      purpose: WritePurpose;
      record: LeaseRecord;
      timeoutMs: number;
    }
  | { type: 'askPeers'; names: string[]; timeoutMs: number }
  /** To each of the names, in parallel: may this manager go on leading? */
  | { type: 'askGrants'; names: string[]; epoch: number; timeoutMs: number }
  | { type: 'answerGrant'; id: string; answer: GrantAnswer }
  /** To each of the names, in parallel: stop receiving WAL, and say how far you are. */
  | { type: 'askPromises'; names: string[]; epoch: number; version: string; timeoutMs: number }
  | { type: 'answerPromise'; id: string; answer: PromiseAnswer }
  | { type: 'observe' }
  /** The guard kills `afterMs` after `since` (by the clock that says more has passed); null: it need not watch. */
  | { type: 'beat'; deadline: { since: Now; afterMs: number } | null }
  | { type: 'job'; id: number; job: Job }
  | { type: 'aside'; aside: Aside }
  | { type: 'route'; epoch: number }
  | { type: 'note'; severity: 'Normal' | 'Warning'; reason: string; message: string }
  /** Ends the manager. The guard starts it anew, unless the pod is being stopped. */
  | { type: 'exit'; code: number; why: string };

/** All the machine remembers. Plain data: it can be printed, compared and stored. */
import type { Now } from './clock.ts';
import type { Job, WritePurpose } from './events.ts';
import type {
  LeaseMember,
  LeaseRecord,
  LeaseState,
  PeerReport,
  PodFact,
  PromiseAnswer,
  Self,
  Settings,
  SwitchoverOutcome,
  View,
} from './types.ts';

/** The Lease by our last successful uncached read or write. */
export interface KnownLease {
  version: string;
  record: LeaseRecord;
}

/** Our own belief to lead. */
export interface Held {
  epoch: number;
  /** Both clocks just before the last renewal that is known to have succeeded was sent. */
  t0: Now;
  /** The same just before all members were asked that then granted to go on: counts as a renewal. */
  grantedAt?: Now;
  /** The timeline number that was reserved for the promotion to come; gone once it may have been used. */
  timeline?: number;
  /** When this leadership began. */
  since: Now;
  /** True when nobody else led between our last leadership and this one: our data need no new timeline. */
  continuing: boolean;
}

/** What leadership is counted from: the last renewal, or the last grants. */
export function heldSince({ t0, grantedAt }: Held): Now {
  return grantedAt && grantedAt.mono > t0.mono ? grantedAt : t0;
}

/** Whom we let go on without the API, and when we said so. */
export interface Grant {
  to: string;
  epoch: number;
  at: Now;
}

/** What is known of grants that managers before this one gave in the same place. */
export interface GrantNotes {
  /** Since when every grant was noted. */
  since: Now;
  last?: Grant;
}

/** A hand-over under way, by a wish or because this pod is being stopped. */
export interface HandoverPlan {
  reason: 'switchover' | 'shutdown' | 'fence' | 'leaving' | 'full';
  id?: string;
  force?: boolean;
  to?: string;
  since: Now;
  stage: 'choosing' | 'checkpoint' | 'stopping' | 'verifying';
}

/** The decision to give the Lease up; the database is certainly dead. */
export interface ReleasePlan {
  to?: string;
  position?: string;
  why: string;
}

export type Rung = 'follow' | 'rewind' | 'copy';

/** How far the way back into replication has got, for one leadership. */
export interface Rejoin {
  epoch: number;
  rung: Rung;
  /** Since when more than to follow is needed. */
  since?: Now;
  rewinds: number;
  copies: number;
  /** Since when the standby runs without streaming, and replays nothing of its own either, while its leader is known. */
  stuckSince?: Now;
  /** Where its replay was when it was last seen. */
  replaysAt?: string;
  /** It streams: since when its replay has stood there although there is more to replay. */
  standsSince?: Now;
  /** Since when it is stopped for a rewind or a copy, and nobody proves to be the leader it could come from. */
  unprovenSince?: Now;
}

export interface State {
  self: Self;
  settings?: Settings;
  /** Undefined until the first successful read; null when the Lease does not exist. */
  lease?: KnownLease | null;
  /** A write's fate is unknown: the Lease must be read before the next write. */
  staleLease?: boolean;
  /** First and last sight of the same version of the Lease, by our own uncached reads. */
  sight?: { version: string; since: Now; last: Now };
  /** Highest epoch ever seen, by us or in Cluster status. */
  epochSeen: number;
  held?: Held;
  /** Since when every grant that was given here is known: this manager's start, or an earlier one's that left notes. */
  grantsSince?: Now;
  /** Members named in writes of ours whose fate is not known: one of them may be recorded by now. */
  perhapsMembers?: LeaseMember[];
  /** The last grant we gave, and when. */
  grant?: Grant;
  askingGrants?: Now;
  lastGrantsAsked?: Now;
  /** The state of the Lease that we have promised on; ends only when a read shows another. */
  promise?: LeaseState;
  /** A promise that is being made: the Lease is read, then the WAL is cut. */
  promising?: LeaseState & { since: Now; ready?: boolean };
  /** When the look at the database began that saw the WAL cut; a position counts in a promise only from then on. */
  cutAt?: Now;
  /** Those who wait for our promise. */
  promiseCallers: { id: string; since: Now; state: LeaseState }[];
  /** Promises of others that we have been given as a candidate. */
  promises?: { state: LeaseState; given: Record<string, Extract<PromiseAnswer, { promised: unknown }>> };
  askingPromises?: Now;
  /** Why leadership was lost, for the report. */
  lost?: { why: string; taken: boolean };
  write?: { id: number; purpose: WritePurpose; record: LeaseRecord };
  reading?: Now;
  lastRead?: Now;
  /** When the last read that succeeded was sent. */
  readOk?: Now;
  readDue: boolean;
  lastWriteTry?: Now;
  view?: View;
  /** When the observation behind `view` began. */
  viewAt?: Now;
  /** The highest timeline these data were seen on. */
  timelineSeen?: { incarnation: string | undefined; timeline: number };
  observing?: Now;
  observeDue: boolean;
  pods: PodFact[];
  peers: Record<string, { report: PeerReport | null; askedAt: Now }>;
  asking?: Now;
  askDue?: boolean;
  /** Only this peer's word is needed. */
  askOnly?: string;
  askingOnly?: boolean;
  lastAsked?: Now;
  /** PostgreSQL here may acknowledge commits: from before it starts as primary until its certain death. */
  primaryMaybe: boolean;
  /** Something of PGDATA may live that we did not start or that has lost its postmaster. */
  deathNeeded: boolean;
  /** Since when nothing of PGDATA lives. */
  deadSince?: Now;
  /** Who streamed from us when this was a primary and was last looked at. */
  streamed?: string[];
  /** When the postmaster that we stopped ended. */
  exitedAt?: Now;
  job?: { id: number; job: Job; since: Now };
  nextId: number;
  asides: { checkpoint: boolean; slots: boolean };
  checkpointDue: boolean;
  /** The instances that slots are kept for, as last done. */
  slotsFor?: string[];
  /** The primary whose slots a standby's were last moved after. */
  slotsAfter?: string | undefined;
  /** The instances that slots are wanted for, and what that was made of: it is asked at each step. */
  slotsOf?: {
    pods: PodFact[];
    members: LeaseMember[] | undefined;
    names: readonly string[] | undefined;
    wanted: string[];
  };
  /** When the slots were last seen to. */
  slotsAt?: Now;
  /** Since when PostgreSQL runs without an answer of any kind. */
  silentSince?: Now;
  /** Since when, as the leader, nothing that is written to a volume comes back, PostgreSQL's own WAL included. */
  stuckDiskSince?: Now;
  /** synchronous_standby_names confirmed in force in every WAL sender. */
  applied?: string;
  appliedAt?: Now;
  /** Our LSN at an observation after `applied` came into force. */
  mark?: string;
  /** Standbys on volumes the Lease does not know: our LSN when no one else bore the name (ELECTION 5.6). */
  joining: Record<string, { incarnation: string; mark: string }>;
  /** What the take under way found out about our data. */
  takingOver?: { continuing: boolean; forced?: string; tardy?: string };
  /** Who was named to lead next and did not take the Lease in its time, and when we took it instead. */
  tardy?: { name: string; at: Now };
  /** Certain death could not be made: this container must end. */
  undead?: string;
  /** This manager has begun something in PGDATA: what lives there may be of its own making. */
  acted?: boolean;
  election?: { version: string; since: Now; opening: string; refused?: string };
  handover?: HandoverPlan;
  /** What became of the last switchover wish that was meant for us; it is not tried again. */
  switchoverOutcome?: SwitchoverOutcome;
  /** The forced promotion that was carried out or given up. */
  promoteDone?: string;
  release?: ReleasePlan;
  /** A switchover failed: for a while, start in place rather than look for a successor. */
  stayLeader?: Now;
  /** The start in place took too long. */
  giveUp?: boolean;
  /** Since when starts or promotions fail under this leadership. */
  failingSince?: Now;
  /** Not to stand again before this, after having given up leadership. */
  standAfter?: Now;
  rejoin?: Rejoin;
  /** The epoch whose leader's history ours is proven to be a part of. */
  proven?: number;
  /**
   * PostgreSQL here was seen to be a primary without the Lease (pg_promote): until it is rewound or copied its history
   * is none of the cluster's, and its timeline, higher than all others, says nothing about who has which commit. Once
   * it is stopped the volume says so too, to the managers after this one as well (View.promotedByHand).
   */
  promotedByHand?: boolean;
  /** Whom the standby was last told to follow; null: nobody. */
  following?: { name: string; address: string; applicationName: string; syncNames: string } | null;
  retries: Record<string, { count: number; notBefore: Now }>;
  routed?: { epoch: number; at: Now };
  routing: boolean;
  lastRouteTry?: Now;
  /** The deadline the guard was last told: t0.mono, or null for none. Undefined: never told. */
  beat?: number | null;
  terminating?: { since: Now; graceMs: number };
  exiting: boolean;
  waiting?: { what: string; since: Now; withinMs?: number };
  error?: { code: string; message: string };
}

type Optional = { [K in keyof State]-?: undefined extends State[K] ? K : never }[keyof State];

/** Every field is there from the beginning, and none is ever deleted: what has the same fields in the same order is quick. */
const UNSET: Record<Optional, undefined> = {
  settings: undefined,
  lease: undefined,
  staleLease: undefined,
  sight: undefined,
  held: undefined,
  grantsSince: undefined,
  perhapsMembers: undefined,
  grant: undefined,
  askingGrants: undefined,
  lastGrantsAsked: undefined,
  promise: undefined,
  promising: undefined,
  cutAt: undefined,
  promises: undefined,
  askingPromises: undefined,
  lost: undefined,
  write: undefined,
  reading: undefined,
  lastRead: undefined,
  readOk: undefined,
  lastWriteTry: undefined,
  view: undefined,
  viewAt: undefined,
  timelineSeen: undefined,
  observing: undefined,
  asking: undefined,
  askDue: undefined,
  askOnly: undefined,
  askingOnly: undefined,
  lastAsked: undefined,
  deadSince: undefined,
  streamed: undefined,
  exitedAt: undefined,
  job: undefined,
  slotsFor: undefined,
  slotsAfter: undefined,
  slotsOf: undefined,
  slotsAt: undefined,
  silentSince: undefined,
  stuckDiskSince: undefined,
  applied: undefined,
  appliedAt: undefined,
  mark: undefined,
  takingOver: undefined,
  tardy: undefined,
  undead: undefined,
  acted: undefined,
  election: undefined,
  handover: undefined,
  switchoverOutcome: undefined,
  promoteDone: undefined,
  release: undefined,
  stayLeader: undefined,
  giveUp: undefined,
  failingSince: undefined,
  standAfter: undefined,
  rejoin: undefined,
  proven: undefined,
  promotedByHand: undefined,
  following: undefined,
  routed: undefined,
  lastRouteTry: undefined,
  beat: undefined,
  terminating: undefined,
  waiting: undefined,
  error: undefined,
};

/**
 * The state of a manager that has just started. It holds nothing, whatever the Lease says about its predecessor,
 * and takes PostgreSQL to be running as a primary until its death is certain (ELECTION 1, 3).
 *
 * @param promise the note that the last `cutWal` left on the volume, if there is one (ELECTION 5.1)
 * @param grants what is noted of grants; without it none is known that was given before the first step
 */
export function initialState(self: Self, promise?: LeaseState, grants?: GrantNotes): State {
  return {
    ...UNSET,
    self,
    promise,
    grantsSince: grants?.since,
    grant: grants?.last,
    promiseCallers: [],
    epochSeen: 0,
    readDue: true,
    observeDue: true,
    pods: [],
    peers: {},
    primaryMaybe: true,
    deathNeeded: true,
    nextId: 1,
    asides: { checkpoint: false, slots: false },
    checkpointDue: false,
    joining: {},
    retries: {},
    routing: false,
    exiting: false,
  };
}

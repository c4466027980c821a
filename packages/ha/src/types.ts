/** The vocabulary: what the machine is told about the world, apart from how the world is asked. */

/** See @pgherd/api lease-record.ts, which gives these their home in a Kubernetes Lease. */
export interface LeaseMember {
  name: string;
  incarnation: string;
}

export interface CommitRule {
  method: 'any' | 'first';
  /** 0: commits do not wait (asynchronous). */
  number: number;
  names: string[];
  required: boolean;
}

export interface LeaseLeader {
  name: string;
  podUID: string;
  address: string;
  containerID?: string;
}

/** What the leader of an epoch says of its history: when it takes the Lease, and again once it runs as primary. */
export interface SettledHistory {
  /** The epoch whose leader says so: an older word proves nothing about the present leader. */
  epoch: number;
  /** The timeline that the leader's branched off from, and the LSN where it did; absent on the first timeline. */
  parent?: number;
  start?: string;
}

export interface LeaseRecord {
  holder: string | null;
  epoch: number;
  acquireTime?: string;
  renewTime?: string;
  designated?: string;
  begunAnew?: number;
  systemID?: string;
  leader?: LeaseLeader;
  timeline?: number;
  /** The highest timeline number that is used or reserved: each take that leads to a promotion reserves the next. */
  reserved?: number;
  settled?: SettledHistory;
  position?: string;
  members: LeaseMember[];
  rules: CommitRule[];
  handover?: { to: string; position: string; at: string };
}

/** Who this manager is. */
export interface Self {
  name: string;
  podUID: string;
  /** `podUID/managerStart`; a restarted manager is another. */
  identity: string;
  address: string;
  /** Known once the kubelet has said it of this very container. */
  containerID?: string;
}

/** What the Cluster wishes, with all defaults computed. Times in milliseconds. */
export interface Settings {
  /** How many instances are wanted. */
  instances: number;
  /** The instances that exist by the operator's word; undefined while it has not said. */
  instanceNames?: string[];
  sync?: { method: 'any' | 'first'; number: number; required: boolean; maxNames?: number };
  renewMs: number;
  stopMs: number;
  guardMs: number;
  takeMs: number;
  failoverDelayMs: number;
  maximumLagBytes?: bigint;
  /** How long a restart in place may take before leadership is given up. */
  primaryStartMs: number;
  /** How long a switchover may wait for its target. */
  switchoverMs: number;
  /** How long a fast stop may take before it becomes an immediate one. */
  fastStopMs: number;
  /** From Cluster status: set once and for all when the cluster was initialised. */
  systemID?: string;
  /** From Cluster status: no epoch below it is believed. */
  epochFloor: number;
  /** Instances that may neither lead nor run. */
  fenced: string[];
  /**
   * A wish to move leadership, honoured only while `from` leads; to itself: it restarts and leads on. `force`: wait for a
   * target that lags or is not ready. `untilWall`: milliseconds since 1970, by any clock; it is not begun after that.
   */
  switchover?: { id: string; from: string; to?: string; force?: boolean; untilWall?: number };
  /** Nobody takes a Lease that another holds or held; the leader goes on as long as it safely can. */
  maintenance?: boolean;
  /** Among instances that are as far, the higher number leads; 0: never leads. Without an entry: 1. */
  priorities?: Record<string, number>;
  /**
   * Somebody accepts the loss of commits: `to`, and nobody else, may lead although nobody can know that it has
   * everything; only while the Lease's epoch is still `epoch`.
   */
  promote?: { id: string; to: string; epoch: number };
}

/** One state of the Lease: what a promise is made on. */
export interface LeaseState {
  epoch: number;
  /** The Lease's resourceVersion. */
  version: string;
}

/** The answer to a leader that cannot reach the API and asks whether it may go on. */
export type GrantAnswer =
  /** For `forMs` of its own clock from now on the instance neither promises nor takes the Lease. */
  | { name: string; incarnation?: string; granted: { to: string; epoch: number; forMs: number } }
  | { name: string; refused: string };

/** The answer to a candidate. */
export type PromiseAnswer =
  /**
   * The instance receives no more WAL, from anywhere, until the Lease has another version, and this is all it has:
   * no commit can be acknowledged by it any more.
   */
  | { name: string; incarnation: string; promised: LeaseState; timeline: number; lsn: string }
  | { name: string; refused: string };

/** The database as last seen; a subset of the executor's view. */
export interface View {
  data: 'empty' | 'unclaimed' | 'copying' | 'present' | 'damaged';
  damage?: string;
  incarnation?: string;
  systemID?: string;
  timeline?: number;
  controlState?: string;
  checkpointLsn?: string;
  /** As a primary: the timeline that ours branched off from, and where; absent on the first timeline. */
  branch?: { parent: number; start: string };
  process: 'stopped' | 'starting' | 'running' | 'stopping';
  /** While it starts: the WAL file that its recovery is at. */
  recovering?: string;
  sqlReachable: boolean;
  inRecovery?: boolean;
  currentLsn?: string;
  receivedLsn?: string;
  replayedLsn?: string;
  replayedAll?: boolean;
  streaming: boolean;
  upstream?: string;
  receiverRunning: boolean;
  replication: readonly ReplicationRow[];
  syncNames?: string;
  volumes?: readonly VolumeFact[];
  /** The process runs, but nothing answers at its socket. */
  silent?: boolean;
  /** The upstream no longer has the WAL that comes next, in its words. */
  missingWal?: string;
  /** As a standby it can fetch WAL from an archive, too. */
  archive?: boolean;
  /** Why nothing comes from the upstream, in PostgreSQL's words. */
  receiverError?: string;
  /** As a standby it was made a primary by somebody else's hand, and has been neither rewound nor copied since. */
  promotedByHand?: boolean;
}

export interface VolumeFact {
  readonly name: string;
  /** `full`: PostgreSQL must not be started on it. */
  readonly level: 'fine' | 'low' | 'full';
  readonly usedBytes: number;
  readonly sizeBytes: number;
  /** What is written there does not come back. */
  readonly hung?: boolean;
}

export interface ReplicationRow {
  readonly name: string;
  readonly address?: string;
  readonly state: string;
  readonly syncState: string;
  readonly flushLsn?: string;
}

/** What a peer says of itself; a subset of its report. */
export interface PeerReport {
  readonly name: string;
  readonly podUID: string;
  readonly identity: string;
  readonly role: 'primary' | 'replica' | 'none';
  readonly state: string;
  readonly leader: boolean;
  readonly systemID?: string;
  readonly incarnation?: string;
  readonly timeline?: number;
  readonly currentLsn?: string;
  /** Present only when it is certain that this is all the WAL the peer has. */
  readonly receivedLsn?: string;
  readonly replayedLsn?: string;
  readonly streaming: boolean;
  readonly dataEmpty: boolean;
  readonly volumes?: readonly VolumeFact[];
  /** Whom it has granted to go on leading without the API, while that grant lasts. */
  readonly grantsTo?: { readonly identity: string; readonly epoch: number };
  /** The state of the Lease that it has promised on, while that is the state of the Lease. */
  readonly promised?: LeaseState;
  /** The state of the Lease that it would promise on if it were asked now: it has not heard of the leader for long. */
  readonly wouldPromise?: LeaseState;
  /** What became of the last wish for a switchover that was meant for it. */
  readonly switchover?: SwitchoverOutcome;
}

/** Said by the instance that led when the switchover was asked for. */
export interface SwitchoverOutcome {
  readonly id: string;
  readonly outcome: 'done' | 'failed';
  readonly why?: string;
}

/** A sibling's pod (or our own), from the pods cache. */
export interface PodFact {
  instance: string;
  uid: string;
  address?: string;
  deleting: boolean;
  /** Marked by the operator as to be removed from the cluster. */
  leaving: boolean;
  /** IDs of containers of this pod that the kubelet reports terminated, with a reason it can vouch for. */
  terminated: string[];
}

/** Either yes, or no with the reason in words for status and events. */
export type Verdict = { ok: true } | { ok: false; why: string };
export const yes: Verdict = { ok: true };
export const no = (why: string): Verdict => ({ ok: false, why });

/** The reason of the first verdict that says no, asking no further; undefined when all say yes. */
export function firstNo(first: Verdict, ...rest: (() => Verdict)[]): string | undefined {
  if (!first.ok) return first.why;
  for (const rule of rest) {
    const verdict = rule();
    if (!verdict.ok) return verdict.why;
  }
  return undefined;
}

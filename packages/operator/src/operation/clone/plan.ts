/** How a cluster is cloned: a new Cluster that begins with the data of this one. Pure. */
import {
  ANNOTATION_CLONE_OF,
  API_VERSION,
  CLUSTER_KIND,
  type Cluster,
  describeTarget,
  parseTargetTime,
} from '@pgherd/api';
import { leaderName } from '../../cluster/facts.ts';
import type { ClusterObject } from '../../cluster/kind.ts';
import { noRepository, ownRepository } from '../../cluster/recovery-source.ts';
import type { BaseFacts, Outcome } from '../handler.ts';
import { isArchived, type Reachable } from '../reachable.ts';
import type { Sealed } from '../seal.ts';

export const STEPS = ['check', 'create the cluster', 'copy the data', 'replicas stream'] as const;
const [CHECK, CREATE, COPY, REPLICAS] = STEPS;

/** So long is waited for the last WAL of the source to be archived, and for somebody who can look into the archive. */
const CHECK_MS = 60_000;
/** And for a volume of an earlier cluster of that name to go. */
const CLAIM_MS = 30_000;

export interface CloneFacts extends BaseFacts {
  /** The new cluster, if there is one of its name. */
  copy?: ClusterObject;
  /** A volume claim with the name that its first volume is to have; looked for before anything is made. */
  claimed?: string;
  /** What its primary says of bringing its last WAL to the archive; asked only in the first step. */
  seal?: Sealed;
  /** What an instance of the source says of the target; undefined where none can be asked. */
  check?: Reachable;
}

export type CloneAction =
  | { do: 'createCluster'; object: Pick<Cluster, 'apiVersion' | 'kind' | 'metadata' | 'spec'> }
  | { do: 'deleteCluster'; name: string; uid: string };

type CloneOutcome = Outcome<CloneAction>;

const fail = (reason: string, message: string, actions: CloneAction[] = []): CloneOutcome => ({
  next: 'fail',
  reason,
  message,
  actions,
});

export function planClone(facts: CloneFacts): CloneOutcome {
  const { copy, operation, notes } = facts;
  const { name } = operation.spec.clone!;
  if (!notes.asked) return begin(facts);
  if (!copy) {
    // Noted, but not made: the operator was ended in between.
    if (notes.seen) return fail('Deleted', `cluster ${name} was deleted before it was whole`);
    return { next: 'step', step: CREATE, message: `creates cluster ${name}`, actions: [create(facts)] };
  }
  if (!isOurs(facts, copy))
    return fail('NameTaken', `there is a cluster ${name} already: choose another name`);
  return follow(facts, copy);
}

function follow(facts: CloneFacts, copy: ClusterObject): CloneOutcome {
  const { name } = facts.operation.spec.clone!;
  const seen = { notes: { seen: 'true' } };
  const { phase, phaseReason = '', recovered, restoration } = copy.status ?? {};
  if (phase === 'Failed') {
    const actions = abandonClone(facts);
    const end = actions.length > 0 ? '; it was deleted again' : '';
    return fail('CloneFailed', `cluster ${name}: ${phaseReason}${end}`, actions);
  }
  if (phase === 'Ready' && recovered) {
    const { time, lsn, xid, backup, timeline, stopped } = recovered;
    const result: Record<string, string> = { cluster: name, from: backup, timeline: String(timeline) };
    if (time) result.reachedTime = time;
    if (lsn) result.reachedLSN = lsn;
    if (xid) result.reachedXID = xid;
    if (stopped) result.stopped = stopped;
    return { next: 'succeed', message: `cluster ${name} is ready: ${phaseReason}`, result, ...seen };
  }
  const told = phaseReason || restoration?.message || 'the operator has not begun with it yet';
  const step = recovered ? REPLICAS : COPY;
  return { next: 'step', step, message: told, afterMs: 500, ...seen };
}

function isOurs({ operation }: Pick<CloneFacts, 'operation'>, copy: ClusterObject): boolean {
  return copy.metadata.annotations?.[ANNOTATION_CLONE_OF] === operation.metadata.uid;
}

/** Without it, the latest point would be that of the last WAL file that happened to be full. */
export function isToCheck(facts: BaseFacts): boolean {
  return !facts.notes.asked && isFromRepository(facts) && refusal(facts) === undefined;
}

/** What the archive lacks of what was committed; undefined when it has all, or nobody can add anything to it. */
function unsealed({ seal, check, operation, now }: CloneFacts): CloneOutcome | undefined {
  if (!seal || 'at' in seal || isArchived(operation.spec.clone?.recoveryTarget, check)) return undefined;
  const message = `the last WAL of the source is not archived: ${seal.problem}`;
  if (now - Date.parse(operation.status?.startedAt ?? '') > CHECK_MS) return fail('NotArchived', message);
  return { next: 'step', step: CHECK, message, afterMs: 500 };
}

/** Why the target is not reached, while nothing has been made yet. Where nobody can look, the clone itself finds out. */
function unreachable({ check, operation, now }: CloneFacts): CloneOutcome | undefined {
  if (!check) return undefined;
  if (!('unreachable' in check)) return check.ok ? undefined : fail('OutsideWindow', check.why);
  if (now - Date.parse(operation.status?.startedAt ?? '') > CHECK_MS) return undefined;
  return { next: 'step', step: CHECK, message: check.unreachable, afterMs: 500 };
}

/** What needs no look into the repository. */
function refusal({ operation, cluster }: BaseFacts): CloneOutcome | undefined {
  const { recoveryTarget, repository } = operation.spec.clone!;
  const { name } = cluster.cluster.metadata;
  if (!isFromRepository({ operation, cluster }))
    return leaderName(cluster)
      ? undefined
      : fail('NoPrimary', `cluster ${name} has no primary at the moment: nothing can be copied live`);
  if (!cluster.cluster.spec.backup)
    return fail('NoBackups', `cluster ${name} has no spec.backup: only a live clone of it can be made`);
  if (!ownRepository(cluster.cluster, repository))
    return fail('NoRepository', noRepository(cluster.cluster, repository));
  try {
    if (recoveryTarget?.targetTime) parseTargetTime(recoveryTarget.targetTime);
  } catch (error) {
    return fail('BadTarget', (error as Error).message);
  }
  return undefined;
}

/** What a deleted cluster left goes by itself; anything else would hold the clone up for ever. */
function isOccupied({ claimed, operation, now }: CloneFacts): CloneOutcome | undefined {
  if (!claimed) return undefined;
  const message = `there is a volume claim ${claimed} already: delete it, or choose another name`;
  if (now - Date.parse(operation.status?.startedAt ?? '') > CLAIM_MS) return fail('NameTaken', message);
  return { next: 'step', step: CHECK, message, afterMs: 500 };
}

function begin(facts: CloneFacts): CloneOutcome {
  const { operation, copy } = facts;
  const { name, recoveryTarget } = operation.spec.clone!;
  if (copy) return fail('NameTaken', `there is a cluster ${name} already: choose another name`);
  const occupied = isOccupied(facts);
  if (occupied) return occupied;
  const fromRepository = isFromRepository(facts);
  const waits = refusal(facts) ?? (fromRepository ? (unsealed(facts) ?? unreachable(facts)) : undefined);
  if (waits) return waits;
  const from = fromRepository ? `from its backups at ${describeTarget(recoveryTarget)}` : 'live';
  return {
    next: 'step',
    step: CREATE,
    message: `creates cluster ${name}, ${from}`,
    notes: { asked: 'true' },
    actions: [create(facts)],
  };
}

function isFromRepository({ operation, cluster }: Pick<BaseFacts, 'operation' | 'cluster'>): boolean {
  const { live, recoveryTarget, repository } = operation.spec.clone!;
  if (live !== undefined) return !live;
  return (
    cluster.cluster.spec.backup !== undefined || recoveryTarget !== undefined || repository !== undefined
  );
}

/** The same topology; but passwords and certificates of its own, and no destination that two would write to. */
function create(facts: CloneFacts): CloneAction {
  const { operation, cluster } = facts;
  const { name, recoveryTarget, repository } = operation.spec.clone!;
  const given = cluster.cluster.spec;
  // Certificates that somebody made for the old one have its names, and so have priorities those of its instances.
  const {
    backup: _,
    superuserSecret: __,
    bootstrap: ___,
    certificates: ____,
    failoverPriority: _____,
    ...spec
  } = given;
  const { database, owner } = cluster.spec.initdb;
  const source = { cluster: operation.spec.cluster };
  return {
    do: 'createCluster',
    object: {
      apiVersion: API_VERSION,
      kind: CLUSTER_KIND,
      metadata: {
        name,
        namespace: operation.metadata.namespace,
        annotations: { [ANNOTATION_CLONE_OF]: operation.metadata.uid },
      },
      spec: {
        ...spec,
        bootstrap: isFromRepository(facts)
          ? {
              recovery: {
                source: { ...source, ...(repository ? { repositoryName: repository } : {}) },
                ...(recoveryTarget ? { recoveryTarget } : {}),
                database,
                owner,
              },
            }
          : { pg_basebackup: { source, database, owner } },
      },
    },
  };
}

/** A clone that never served anybody goes again. */
export function abandonClone({ operation, copy }: Pick<CloneFacts, 'operation' | 'copy'>): CloneAction[] {
  if (!copy || !isOurs({ operation }, copy) || copy.status?.recovered) return [];
  return [{ do: 'deleteCluster', name: copy.metadata.name, uid: copy.metadata.uid }];
}

/** What becomes of a clone whose source is gone: what was never restored can come to nothing. */
export function withoutSource({ operation, copy }: Pick<CloneFacts, 'operation' | 'copy'>): string {
  const { name } = operation.spec.clone!;
  if (!copy || !isOurs({ operation }, copy)) return `cluster ${name} was not made`;
  if (copy.status?.recovered) return `cluster ${name} has its data, and goes on by itself`;
  return `cluster ${name} had not all of its data yet, and was deleted again. If ${operation.spec.cluster} had backups, bootstrap.recovery makes a new cluster of them`;
}

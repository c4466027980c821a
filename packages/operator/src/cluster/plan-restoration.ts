/**
 * A recovery of a whole cluster, step by step: of a new one out of a backup, or in place, where the old volumes are
 * kept until the restored primary answers and come back if it never does. Pure. Where it stands is in the status of
 * the Cluster, so that any operator carries on from there.
 */
import {
  type ClusterRestoration,
  type ClusterStatus,
  instanceName,
  LABEL_CLUSTER,
  LABEL_INSTANCE,
  LABEL_KEPT_FROM,
  type LeaseRecord,
  type RestoreMark,
  restoreMark,
} from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import type { Action } from './actions.ts';
import { type Facts, type InstanceFacts, isHealthy, isLeader, isTerminating, leaderName } from './facts.ts';
import { designatedInstance } from './specs/lease.ts';
import { unstoppable } from './stuck.ts';

/** The recovery that a new cluster begins with, as opposed to one that an Operation asks for. */
export const BOOTSTRAP_ID = 'bootstrap';

export interface RestorationPlan {
  /** What the status is to say; undefined: nothing is being restored any more. */
  next?: ClusterRestoration;
  /** Further fields of the status that change with it. */
  status: Pick<ClusterStatus, 'systemID' | 'recovered'>;
  actions: Action[];
  /** The instances are left alone otherwise. */
  hold: boolean;
  /** Facts for the plan of the instances where they are not: only so many are to be there. */
  instances?: number;
}

const WITHOUT_OLD = ['restoring', 'rebuilding', 'cleaning', 'returning'];

/** Instances from before, whose volumes only wait: they are no part of the cluster now. */
export function isOld(cluster: { status?: ClusterStatus }, name: string): boolean {
  const { restoration } = cluster.status ?? {};
  if (!restoration || !WITHOUT_OLD.includes(restoration.stage)) return false;
  return restoration.old?.includes(name) === true;
}

/** Undefined while nothing is to be restored. */
export function planRestoration(facts: Facts): RestorationPlan | undefined {
  const { restoration } = facts.cluster.status ?? {};
  const mark = restoreMark(facts.cluster);
  if (!restoration) return begin(facts, mark);
  const back = mark?.id === restoration.id && mark.back === true;
  switch (restoration.stage) {
    case 'stopping':
      return back ? leave(restoration, 'returning') : stopping(facts, restoration);
    case 'restoring': {
      const next = restoring(facts, restoration);
      // Whoever has begun to serve is not taken away again.
      return back && next.next?.stage === 'restoring' ? leave(restoration, 'returning') : next;
    }
    case 'rebuilding':
      return rebuilding(facts, restoration);
    case 'cleaning':
      return cleaning(facts, restoration);
    case 'returning':
      return returning(facts, restoration);
    default:
      return over(restoration, mark);
  }
}

function plan(next: ClusterRestoration | undefined, more: Partial<RestorationPlan> = {}): RestorationPlan {
  return { ...(next ? { next } : {}), status: {}, actions: [], hold: false, ...more };
}

/** On to another stage: the next look does what is to be done there. */
function leave(restoration: ClusterRestoration, stage: ClusterRestoration['stage'], message?: string) {
  const { message: _, ...rest } = restoration;
  return plan({ ...rest, stage, ...(message ? { message } : {}) }, { hold: true });
}

function begin(facts: Facts, mark: RestoreMark | undefined): RestorationPlan | undefined {
  const { cluster, lease } = facts;
  const { name } = cluster.metadata;
  if (mark && !mark.back) {
    const { operation: _, back: __, id, source, keepOldVolumes } = mark;
    return plan(
      {
        id,
        stage: 'stopping',
        instance: instanceName(name, facts.highestSerial + 1),
        source: JSON.stringify(source),
        old: facts.instances.map((instance) => instance.name),
        ...(keepOldVolumes ? { keepOldVolumes } : {}),
      },
      { hold: true },
    );
  }
  const { recovery } = facts;
  if (!recovery || cluster.status?.recovered || lease?.systemID || cluster.status?.systemID) return undefined;
  // Until it is known what is to be restored, nobody may begin with anything else.
  if ('problem' in recovery) return undefined;
  return plan({
    id: BOOTSTRAP_ID,
    stage: 'restoring',
    instance: lease?.designated ?? designatedInstance(name),
    source: JSON.stringify(recovery),
  });
}

/** Replicas first, then the primary, whose end archives its last WAL; then the Lease begins anew. */
function stopping(facts: Facts, restoration: ClusterRestoration): RestorationPlan {
  const { lease } = facts;
  const running = facts.instances.filter(({ pod }) => pod);
  if (running.length > 0) {
    const stuck = running.filter(({ pod }) => isTerminating(pod)).map((each) => unstoppable(facts, each));
    const why = stuck.find(Boolean);
    // Nothing has begun anew yet: those that have stopped start again.
    if (why) return leave(restoration, 'returning', why);
    const leader = running.find(({ name }) => name === leaderName(facts));
    const replicas = running.filter((instance) => instance !== leader);
    const next = replicas.length > 0 ? replicas : running;
    const message = `waits for ${next.map(({ name }) => name).join(', ')} to stop`;
    return plan({ ...restoration, message }, { hold: true, actions: next.flatMap(deletePod) });
  }
  if (restoration.record === undefined)
    return plan({ ...restoration, record: JSON.stringify(lease ?? null) }, { hold: true });
  if (!isBegunAnew(lease, restoration.instance))
    return plan(restoration, { hold: true, actions: beginAnew(facts, restoration) });
  return leave(restoration, 'restoring');
}

function isBegunAnew(lease: LeaseRecord | undefined, instance: string): boolean {
  return lease?.designated === instance && lease.systemID === undefined && lease.begunAnew === lease.epoch;
}

/** A Lease as of a new cluster, above every epoch that was seen. */
function beginAnew(facts: Facts, { instance }: ClusterRestoration): Action[] {
  const { lease, leaseVersion, cluster } = facts;
  // One that is missing is made first.
  if (!lease || leaseVersion === undefined) return [];
  const epoch = Math.max(lease.epoch, cluster.status?.leaseEpoch ?? 0) + 1;
  const record: LeaseRecord = {
    holder: null,
    epoch,
    begunAnew: epoch,
    designated: instance,
    // A number that was ever given to a timeline is not given again.
    ...(lease.timeline === undefined ? {} : { timeline: lease.timeline }),
    ...(lease.reserved === undefined ? {} : { reserved: lease.reserved }),
    members: [],
    rules: [],
  };
  return [{ do: 'lease', record, version: leaseVersion, why: 'the cluster is restored from a backup' }];
}

function restoring(facts: Facts, restoration: ClusterRestoration): RestorationPlan {
  const restored = facts.instances.find(({ name }) => name === restoration.instance);
  const recovered = restored?.report?.recovered;
  if (
    restored &&
    isLeader(facts, restored) &&
    restored.report?.role === 'primary' &&
    recovered?.id === restoration.id
  ) {
    const { id: _, ...reached } = recovered;
    const operation = restoreMark(facts.cluster)?.operation;
    const next = leave(restoration, 'rebuilding');
    return { ...next, status: { recovered: { ...(operation ? { operation } : {}), ...reached } } };
  }
  const { message: _, ...rest } = restoration;
  const told = restored?.report?.progress?.doing ?? restored?.report?.error?.message;
  const next = { ...rest, ...(told ? { message: `${restoration.instance}: ${told}` } : {}) };
  // In place, replicas would only wait, on volumes that are needed twice until then.
  return plan(next, restoration.id === BOOTSTRAP_ID ? {} : { instances: 1 });
}

function rebuilding(facts: Facts, restoration: ClusterRestoration): RestorationPlan {
  const whole =
    facts.instances.length === facts.spec.instances &&
    facts.instances.every((instance) => isHealthy(facts, instance));
  if (whole) return { ...leave(restoration, 'cleaning'), hold: false };
  const ill = facts.instances.filter((instance) => !isHealthy(facts, instance)).map(({ name }) => name);
  const replicas = ill.filter((name) => name !== restoration.instance);
  const primaryAlone = ill.length > 0 && replicas.length === 0;
  const waitsFor = primaryAlone ? `${ill[0]} to be ready` : `${replicas.join(', ') || 'replicas'} to stream`;
  return plan({ ...restoration, message: `waits for ${waitsFor}` });
}

/** The old volumes go, or become nobody's. */
function cleaning(facts: Facts, restoration: ClusterRestoration): RestorationPlan {
  const claims = (facts.old ?? []).flatMap(claimsOf);
  if (claims.length === 0) return { ...leave(restoration, 'done'), hold: false };
  const { keepOldVolumes } = restoration;
  const { name } = facts.cluster.metadata;
  return plan(restoration, {
    actions: claims
      .filter((claim) => !isTerminating(claim))
      .map(({ metadata }): Action => {
        if (!keepOldVolumes)
          return {
            do: 'delete',
            kind: kinds.PersistentVolumeClaim,
            name: metadata.name,
            uid: metadata.uid ?? '',
            why: 'the cluster was restored to other volumes',
          };
        const labels = { [LABEL_CLUSTER]: null, [LABEL_INSTANCE]: null, [LABEL_KEPT_FROM]: name };
        return {
          do: 'patch',
          kind: kinds.PersistentVolumeClaim,
          name: metadata.name,
          body: { metadata: { labels, ownerReferences: null } },
          why: 'kept from before a restore',
        };
      }),
  });
}

function claimsOf({ data, wal }: InstanceFacts) {
  return [data, wal].filter((claim) => claim !== undefined);
}

/** What was begun is taken away; then the Lease says again what it said, and the old instances come back. */
function returning(facts: Facts, restoration: ClusterRestoration): RestorationPlan {
  const begun = facts.instances.filter(({ name }) => !restoration.old?.includes(name));
  const pods = begun.filter(({ pod }) => pod);
  if (pods.length > 0)
    return plan(
      { ...restoration, message: `takes back ${pods.map(({ name }) => name).join(', ')}` },
      { hold: true, actions: pods.flatMap(deletePod) },
    );
  const claims = begun.flatMap(claimsOf);
  if (claims.length > 0)
    return plan(restoration, {
      hold: true,
      actions: claims.flatMap(({ metadata }): Action[] =>
        metadata.deletionTimestamp
          ? []
          : [
              {
                do: 'delete',
                kind: kinds.PersistentVolumeClaim,
                name: metadata.name,
                uid: metadata.uid ?? '',
                why: 'the restore is taken back',
              },
            ],
      ),
    });
  const saved = savedRecord(restoration);
  const { lease, leaseVersion } = facts;
  if (saved && lease && leaseVersion !== undefined && lease.designated === restoration.instance) {
    const { handover: _, begunAnew: __, ...rest } = saved;
    const timeline = Math.max(saved.timeline ?? 0, lease.timeline ?? 0);
    const reserved = Math.max(saved.reserved ?? 0, lease.reserved ?? 0);
    const record: LeaseRecord = {
      ...rest,
      holder: null,
      epoch: Math.max(saved.epoch, lease.epoch, facts.cluster.status?.leaseEpoch ?? 0) + 1,
      ...(timeline > 0 ? { timeline } : {}),
      ...(reserved > 0 ? { reserved } : {}),
    };
    return plan(restoration, {
      hold: true,
      actions: [
        { do: 'lease', record, version: leaseVersion, why: 'the state from before the restore comes back' },
      ],
    });
  }
  const systemID = saved?.systemID;
  return { ...leave(restoration, 'returned', restoration.message), status: systemID ? { systemID } : {} };
}

function savedRecord({ record }: ClusterRestoration): LeaseRecord | undefined {
  return record ? ((JSON.parse(record) as LeaseRecord | null) ?? undefined) : undefined;
}

/** Done or returned: it is kept in the status for whoever asked, as long as that one has not seen it. */
function over(restoration: ClusterRestoration, mark: RestoreMark | undefined): RestorationPlan {
  if (mark?.id !== restoration.id) return plan(undefined);
  return plan(restoration);
}

function deletePod({ pod, name }: InstanceFacts): Action[] {
  if (!pod || isTerminating(pod)) return [];
  return [
    { do: 'delete', kind: kinds.Pod, name, uid: pod.metadata.uid ?? '', why: 'the cluster is restored' },
  ];
}

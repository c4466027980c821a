/** Which instances there are to be, and what to do next to get there. Pure. */
import {
  ANNOTATION_DESTROY,
  ANNOTATION_KEEP,
  ANNOTATION_LEAVING,
  ANNOTATION_SERIAL,
  instanceLabels,
  instanceName,
  instanceSerial,
  isFenced,
  LABEL_CLUSTER,
  LABEL_INSTANCE,
  LABEL_KEPT_FROM,
  LABEL_ROLE,
  type Role,
} from '@pgherd/api';
import { kinds, type PersistentVolumeClaim } from '@pgherd/kube';
import { quantity } from '@pgherd/kube/quantity';
import type { Action, Intent } from './actions.ts';
import {
  type Facts,
  type InstanceFacts,
  isBootstrapping,
  isCounted,
  isDestroyed,
  isHealthy,
  isHeld,
  isLeader,
  isPodOver,
  isPodReady,
  isTerminating,
  isToSleep,
  isWaking,
  leaderName,
  leavingSince,
  systemID,
} from './facts.ts';
import { planSleep, planWaking } from './plan-hibernation.ts';
import { planRoll } from './plan-roll.ts';
import { volumeClaims } from './specs/claims.ts';
import { designatedInstance } from './specs/lease.ts';
import { changed } from './specs/metadata.ts';
import { instancePod } from './specs/pod.ts';
import { isReplaced, isStuck } from './stuck.ts';

export interface InstancesPlan {
  actions: Action[];
  intent: Intent;
}

/** How long the leader may take to let go of an instance before the wait is called out. */
const LEAVE_DEADLINE_MS = 60_000;

export interface Roster {
  /** Instances that are to stay, those that were lost (no pod, no volume) among them. */
  staying: InstanceFacts[];
  leaving: InstanceFacts[];
  /** Serials of instances to be made. */
  fresh: number[];
}

/**
 * Instances of the cluster: those that have a pod or a volume; those the Lease still counts, which come back
 * under their own name so that nothing waits for a ghost; and, before the database exists, the one that is to
 * initialise it.
 */
function knownInstances(facts: Facts): InstanceFacts[] {
  const cluster = facts.cluster.metadata.name;
  const known = new Map(facts.instances.map((instance) => [instance.name, instance]));
  const expected = (facts.lease?.members ?? []).map(({ name }) => name);
  if (facts.lease?.designated && !systemID(facts)) expected.push(facts.lease.designated);
  for (const name of expected) {
    const serial = instanceSerial(cluster, name);
    if (serial !== undefined && !known.has(name)) known.set(name, { name, serial });
  }
  return [...known.values()].sort((a, b) => a.serial - b.serial);
}

/** Who stays, who leaves, and which numbers are to be made. */
function roster(facts: Facts): Roster {
  const known = knownInstances(facts);
  const target = isHeld(facts) ? known.length : facts.spec.instances;
  const leader = leaderName(facts);
  const isLeaving = (instance: InstanceFacts) =>
    instance.name !== leader &&
    (leavingSince(instance) !== undefined || isDestroyed(instance) || isStuck(facts, instance));
  const staying = known.filter((instance) => !isLeaving(instance));
  const leaving = known.filter(isLeaving);
  const mayStay = (instance: InstanceFacts) =>
    !isTerminating(instance.pod) && !isDestroyed(instance) && !isReplaced(instance);
  // Wanted again before it went: the lowest number first.
  while (staying.length < target && leaving.some(mayStay)) {
    const back = leaving.findIndex(mayStay);
    staying.push(...leaving.splice(back, 1));
  }
  staying.sort((a, b) => a.serial - b.serial);
  // One that is well does not go while another is ill: who is left has to confirm commits.
  const well = leaving.findIndex(
    (instance) => mayStay(instance) && isHealthy(facts, instance) && isCounted(facts, instance.name),
  );
  const ill = staying.findLastIndex((instance) => isIll(facts, instance));
  if (well !== -1 && ill !== -1 && staying.length === target)
    staying.splice(ill, 1, ...leaving.splice(well, 1, staying[ill]!));
  while (staying.length > target && leaving.length === 0) {
    const ailing = staying.findLastIndex((instance) => isIll(facts, instance));
    const victim = ailing === -1 ? staying.findLastIndex((instance) => mayLeave(facts, instance)) : ailing;
    if (victim === -1) break;
    leaving.push(...staying.splice(victim, 1));
  }
  // A number is never given twice: a name stands for one volume's history.
  const first = Math.max(facts.highestSerial, ...known.map(({ serial }) => serial), 0) + 1;
  const missing = Math.max(0, target - staying.length);
  return { staying, leaving, fresh: Array.from({ length: missing }, (_, index) => first + index) };
}

/** Never the primary, and nobody while it is not known who that is. */
function mayLeave(facts: Facts, instance: InstanceFacts): boolean {
  const leader = leaderName(facts);
  return leader !== undefined && leader !== instance.name;
}

/** The better choice to leave: known not to be well. A fenced one is kept for whoever looks at it. */
function isIll(facts: Facts, instance: InstanceFacts): boolean {
  if (!mayLeave(facts, instance) || isFenced(facts.cluster, instance.name)) return false;
  const { pod, report, silent } = instance;
  // Whoever was not asked yet since the operator was started is not ill.
  return !isPodReady(pod) || silent !== undefined || (report !== undefined && !isHealthy(facts, instance));
}

/** The next steps for the instances. */
export function planInstances(facts: Facts): InstancesPlan {
  if (isToSleep(facts)) return planSleep(facts);
  if (isWaking(facts)) return planWaking(facts, (instance) => keep(facts, instance));
  const { staying, leaving, fresh } = roster(facts);
  // What is stuck on a dead node holds up nothing else.
  const going = leaving.filter((instance) => !isStuck(facts, instance));
  const made = [
    ...staying.flatMap((instance) => keep(facts, instance)),
    ...fresh.map((serial) =>
      create(facts, { name: instanceName(facts.cluster.metadata.name, serial), serial }),
    ),
  ];
  const left = leaving.flatMap((instance) => remove(facts, instance));
  const roll = planRoll(
    facts,
    staying,
    made.length + left.length > 0 || going.length > 0 || fresh.length > 0,
  );
  return {
    actions: [
      ...made,
      ...left,
      ...facts.instances.flatMap((instance) => metadata(facts, instance)),
      ...staying.flatMap((instance) => resize(facts, instance)),
      ...roll.actions,
    ],
    intent: intentOf(facts, { staying, leaving: going, fresh }, roll.intent),
  };
}

function intentOf(facts: Facts, { staying, leaving, fresh }: Roster, rolling: Intent | undefined): Intent {
  const instances = fresh.map((serial) => instanceName(facts.cluster.metadata.name, serial));
  if (!systemID(facts)) return { what: 'creating', instances };
  if (leaving[0]) return leavingIntent(facts, leaving[0]);
  const growing = staying.filter((instance) => !isHealthy(facts, instance) && isNew(facts, instance));
  if (fresh.length > 0 || (growing.length > 0 && !isBootstrapping(facts)))
    return { what: 'scalingUp', instances: [...growing.map(({ name }) => name), ...instances] };
  return rolling ?? { what: 'steady' };
}

/** It has no copy of the database yet, as far as is known. */
function isNew(facts: Facts, instance: InstanceFacts): boolean {
  return (
    !isCounted(facts, instance.name) &&
    leaderName(facts) !== instance.name &&
    instance.report?.streaming !== true
  );
}

function leavingIntent(facts: Facts, instance: InstanceFacts): Intent {
  const since = leavingSince(instance);
  if (!isCounted(facts, instance.name)) return { what: 'scalingDown', instance: instance.name };
  const leader = leaderName(facts);
  return {
    what: 'scalingDown',
    instance: instance.name,
    waitsFor: {
      what: leader ? `${leader} to stop counting on ${instance.name}` : 'a primary',
      ...(since ? { deadline: new Date(Date.parse(since) + LEAVE_DEADLINE_MS).toISOString() } : {}),
    },
  };
}

/** What an instance that stays lacks. */
function keep(facts: Facts, instance: InstanceFacts): Action[] {
  const { pod, data } = instance;
  if (isTerminating(pod)) return [];
  if (pod && isPodOver(pod))
    return [
      deletion(kinds.Pod, pod, `its containers ended for good: ${pod.status?.reason ?? pod.status?.phase}`),
    ];
  if (pod && data) {
    if (leavingSince(instance)) return [patchLeaving(instance.name, null, 'it is to stay after all')];
    // Its volume was deleted by hand: Kubernetes keeps it as long as the pod runs.
    return [];
  }
  // A volume that is going must be gone before its name is free.
  if (isTerminating(data) || isTerminating(instance.wal)) return [];
  return [create(facts, instance)];
}

/** Volumes (those that are missing) and pod of an instance. */
function create(facts: Facts, instance: InstanceFacts, leaving = false): Action {
  const present = new Set([instance.data, instance.wal].map((claim) => claim?.metadata.name));
  return {
    do: 'createInstance',
    name: instance.name,
    serial: instance.serial,
    claims: volumeClaims(facts, instance.serial).filter((claim) => !present.has(claim.metadata.name)),
    pod: instancePod(facts, {
      serial: instance.serial,
      ...roleOfNewPod(facts, instance.serial),
      ...(leaving ? { leavingSince: new Date(facts.now).toISOString() } : {}),
    }),
  };
}

/** The steps by which an instance leaves: announced, let go by the leader, its pod, its volumes. */
function remove(facts: Facts, instance: InstanceFacts): Action[] {
  const { pod, name } = instance;
  const counted = isCounted(facts, name);
  if (pod) {
    if (isTerminating(pod)) return isStuck(facts, instance) ? replaceStuck(facts, instance) : [];
    if (!leavingSince(instance))
      return [patchLeaving(name, new Date(facts.now).toISOString(), 'fewer instances are wanted')];
    return counted ? [] : [deletion(kinds.Pod, pod, 'fewer instances are wanted')];
  }
  // Only a pod can carry the announcement.
  if (counted) return [create(facts, instance, true)];
  return [instance.data, instance.wal]
    .filter((claim) => claim !== undefined && !isTerminating(claim))
    .map((claim) => discard(facts.cluster.metadata.name, claim!));
}

/** The leader lets go of it by the mark on its pod; the one on its volumes stays when the pod goes at last. */
function replaceStuck(facts: Facts, instance: InstanceFacts): Action[] {
  const why = `its pod does not stop on node ${instance.pod?.spec.nodeName}: another takes its place`;
  const since = new Date(facts.now).toISOString();
  const body = { metadata: { annotations: { [ANNOTATION_LEAVING]: since } } };
  const unmarked = [instance.data, instance.wal].filter(
    (claim) => claim && claim.metadata.annotations?.[ANNOTATION_LEAVING] === undefined,
  );
  return [
    ...(leavingSince({ ...instance, data: undefined }) ? [] : [patchLeaving(instance.name, since, why)]),
    ...unmarked.map((claim): Action => {
      const { name } = claim!.metadata;
      return { do: 'patch', kind: kinds.PersistentVolumeClaim, name, body, why };
    }),
  ];
}

/** Deleted; or, if it is to be kept, no longer the cluster's: it outlives that and nobody takes it for an instance. */
function discard(cluster: string, claim: PersistentVolumeClaim): Action {
  const { name, annotations = {} } = claim.metadata;
  if (annotations[ANNOTATION_KEEP] === undefined)
    return deletion(kinds.PersistentVolumeClaim, claim, 'its instance was removed');
  const metadata = {
    ownerReferences: null,
    labels: { [LABEL_KEPT_FROM]: cluster, [LABEL_CLUSTER]: null, [LABEL_INSTANCE]: null },
    annotations: { [ANNOTATION_SERIAL]: null, [ANNOTATION_DESTROY]: null, [ANNOTATION_KEEP]: null },
  };
  const why = 'its instance was removed, and it is to be kept';
  return { do: 'patch', kind: kinds.PersistentVolumeClaim, name, body: { metadata }, why };
}

function patchLeaving(name: string, value: string | null, why: string): Action {
  const body = { metadata: { annotations: { [ANNOTATION_LEAVING]: value } } };
  return { do: 'patch', kind: kinds.Pod, name, body, why };
}

type Deletable = { metadata: { name: string; uid?: string } };

function deletion(
  kind: typeof kinds.Pod | typeof kinds.PersistentVolumeClaim,
  object: Deletable,
  why: string,
): Action {
  return { do: 'delete', kind, name: object.metadata.name, uid: object.metadata.uid ?? '', why };
}

/** The role a living pod's label is to show; undefined while that is not known. */
function roleOf(facts: Facts, instance: InstanceFacts): Role | undefined {
  if (!leaderName(facts)) return undefined;
  return isLeader(facts, instance) ? 'primary' : 'replica';
}

/** A new pod leads nobody; but the one that is to initialise the database should not pass for a replica. */
function roleOfNewPod(facts: Facts, serial: number): { role?: Role } {
  const { name } = facts.cluster.metadata;
  const first = facts.lease?.designated ?? designatedInstance(name);
  return !systemID(facts) && instanceName(name, serial) === first ? {} : { role: 'replica' };
}

/** Labels and annotations of a pod that may change while it lives. */
function metadata(facts: Facts, instance: InstanceFacts): Action[] {
  const { pod } = instance;
  if (!pod || isTerminating(pod)) return [];
  const role = roleOf(facts, instance);
  const { labels: inheritedLabels, annotations: inheritedAnnotations } = facts.spec.inheritedMetadata;
  const labels = changed(
    {
      ...inheritedLabels,
      ...instanceLabels(facts.cluster.metadata.name, instance.name),
      ...(role ? { [LABEL_ROLE]: role } : {}),
    },
    pod.metadata.labels,
  );
  const annotations = changed(inheritedAnnotations, pod.metadata.annotations);
  if (!labels && !annotations) return [];
  const body = { metadata: { ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) } };
  const why = labels?.[LABEL_ROLE] ? `it is ${role} now` : 'inherited metadata changed';
  return [{ do: 'patch', kind: kinds.Pod, name: instance.name, body, why }];
}

/** Volumes grow before anything else needs them to; they never shrink. */
function resize(facts: Facts, { data, wal }: InstanceFacts): Action[] {
  const grow = (claim: PersistentVolumeClaim | undefined, size: string | undefined): Action[] => {
    // A claim without a volume cannot change: it is refused until it is bound.
    if (!claim || !size || isTerminating(claim) || claim.status?.phase !== 'Bound') return [];
    if (!(quantity(size) > quantity(claim.spec.resources?.requests?.storage))) return [];
    const body = { spec: { resources: { requests: { storage: size } } } };
    return [
      {
        do: 'patch',
        kind: kinds.PersistentVolumeClaim,
        name: claim.metadata.name,
        body,
        why: `grow to ${size}`,
      },
    ];
  };
  return [...grow(data, facts.spec.storage.size), ...grow(wal, facts.spec.walStorage?.size)];
}

/** The status of a cluster from what was found. Pure; the same facts give the same status, so that a steady cluster is not written. */
import {
  type ClusterCondition,
  type ClusterStatus,
  type ConditionStatus,
  clusterLabels,
  dataClaimName,
  type InstanceReportedState,
  isFenced,
  names,
  walClaimName,
} from '@pgherd/api';
import type { Intent } from '../actions.ts';
import {
  type Facts,
  type InstanceFacts,
  isHealthy,
  isLeader,
  isTerminating,
  leaderName,
  STOPPING,
  systemID,
} from '../facts.ts';
import { expirations } from '../plan-certificates.ts';
import { DATABASE_CONTAINER } from '../specs/pod.ts';
import { ARCHIVE_REASONS, archiveState, archiveStatus, backupStatus } from './archive.ts';
import { type Outcome, phaseOf, type Verdict } from './phase.ts';
import { podTrouble } from './trouble.ts';

const BACKUP_VERIFIED = 'BackupVerified';

/** The whole status; times of transitions are kept where nothing changed. */
export function deriveStatus(outcome: Outcome): ClusterStatus {
  const { facts } = outcome;
  const verdict = phaseOf(outcome);
  const { cluster, instances } = facts;
  const before = cluster.status ?? {};
  const own = names(cluster.metadata.name);
  const made = outcome.plan.actions.filter((action) => action.do === 'createInstance');
  // Those just made count at once: the leader drops a member that is listed here no more.
  const listed = new Map([...instances, ...made].map(({ name, serial }) => [name, serial]));
  const all = [...listed].sort(([, a], [, b]) => a - b).map(([name]) => name);
  return compact({
    phase: verdict.phase,
    phaseReason: verdict.reason,
    conditions: conditions(outcome, verdict),
    ...primary(facts),
    timelineID: timeline(facts) ?? before.timelineID,
    leaseEpoch: Math.max(before.leaseEpoch ?? 0, facts.lease?.epoch ?? 0),
    systemID: outcome.plan.restoration?.status.systemID ?? systemIDOf(outcome),
    restoration: restorationOf(outcome),
    recovered: outcome.plan.restoration?.status.recovered ?? before.recovered,
    image: image(facts) ?? before.image,
    instances: all.length,
    readyInstances: instances.filter((instance) => isHealthy(facts, instance)).length,
    instanceNames: all,
    instancesStatus: byHealth(facts),
    instancesReportedState: reported(facts),
    latestGeneratedNode: Math.max(facts.highestSerial, ...listed.values()),
    ...claims(facts),
    readService: own.r,
    writeService: own.rw,
    ...backupStatus(facts),
    certificates: { expirations: expirations(facts) },
    observedGeneration: cluster.metadata.generation,
    selector: Object.entries(clusterLabels(cluster.metadata.name))
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  });
}

/** What is being restored has no identity before the restored primary has recorded it. */
function systemIDOf({ facts, plan }: Outcome): string | undefined {
  return restorationOf({ facts, plan })?.stage === 'restoring' ? facts.lease?.systemID : systemID(facts);
}

/** It is kept as it is where nothing was planned. */
function restorationOf({ facts, plan }: Pick<Outcome, 'facts' | 'plan'>): ClusterStatus['restoration'] {
  return plan.restoration ? plan.restoration.next : facts.cluster.status?.restoration;
}

function compact<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function rfc3339(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Who leads by the Lease; the last one stays named while nobody does. */
function primary(facts: Facts): Partial<ClusterStatus> {
  const { status = {} } = facts.cluster;
  const leader = leaderName(facts);
  const target = leader ?? facts.lease?.handover?.to ?? status.targetPrimary;
  return {
    currentPrimary: leader ?? status.currentPrimary,
    currentPrimaryTimestamp:
      leader && leader !== status.currentPrimary ? rfc3339(facts.now) : status.currentPrimaryTimestamp,
    targetPrimary: target,
    targetPrimaryTimestamp:
      target && target !== status.targetPrimary ? rfc3339(facts.now) : status.targetPrimaryTimestamp,
  };
}

function timeline(facts: Facts): number | undefined {
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  return leader?.report?.role === 'primary' ? leader.report.timeline : facts.lease?.timeline;
}

/** What the primary runs; while a change is rolled out that is still the old one. */
function image(facts: Facts): string | undefined {
  const one = facts.instances.find((instance) => isLeader(facts, instance)) ?? facts.instances[0];
  return one?.pod?.spec.containers.find(({ name }) => name === DATABASE_CONTAINER)?.image;
}

function byHealth(facts: Facts): NonNullable<ClusterStatus['instancesStatus']> {
  const healthy: string[] = [];
  const replicating: string[] = [];
  const failed: string[] = [];
  for (const instance of facts.instances) {
    if (isHealthy(facts, instance)) healthy.push(instance.name);
    else if (isComing(instance)) replicating.push(instance.name);
    else failed.push(instance.name);
  }
  return compact({
    healthy: healthy.length > 0 ? healthy : undefined,
    replicating: replicating.length > 0 ? replicating : undefined,
    failed: failed.length > 0 ? failed : undefined,
  }) as NonNullable<ClusterStatus['instancesStatus']>;
}

/** On its way: nothing is known to be wrong with it. */
function isComing({ pod, report, silent }: InstanceFacts): boolean {
  if (!pod || isTerminating(pod) || podTrouble(pod)) return false;
  if (report) return report.state !== 'failed' && !report.error;
  return silent === undefined || pod.status?.phase !== 'Running';
}

function reported(facts: Facts): Record<string, InstanceReportedState> {
  return Object.fromEntries(
    facts.instances.flatMap(({ name, pod, report }) =>
      report
        ? [
            [
              name,
              compact({
                isPrimary: report.role === 'primary',
                timeLineID: report.timeline,
                ip: pod?.status?.podIP,
                state: report.state,
                waitingFor: report.waiting?.what,
              }),
            ],
          ]
        : [],
    ),
  );
}

function claims({ instances, spec }: Facts): Partial<ClusterStatus> {
  const present = instances.flatMap(({ data, wal, pod, name }) =>
    [
      data ? { name: dataClaimName(name), claim: data, pod } : undefined,
      wal && spec.walStorage ? { name: walClaimName(name), claim: wal, pod } : undefined,
    ].filter((entry) => entry !== undefined),
  );
  const named = (keep: (entry: (typeof present)[number]) => boolean) => {
    const kept = present.filter(keep).map(({ name }) => name);
    return kept.length > 0 ? kept : undefined;
  };
  const isResizing = (entry: (typeof present)[number]) =>
    entry.claim.status?.conditions?.some(({ type, status }) => /Resiz/.test(type) && status === 'True') ===
    true;
  return {
    pvcCount: present.length,
    healthyPVC: named(({ claim, pod }) => claim.status?.phase === 'Bound' && pod !== undefined),
    danglingPVC: named(({ pod }) => pod === undefined),
    resizingPVC: named(isResizing),
    unusablePVC: named(({ claim }) => claim.status?.phase === 'Lost'),
  };
}

function conditions({ facts, plan }: Outcome, { phase, reason }: Verdict): ClusterCondition[] {
  const ready = phase === 'Ready';
  const initialised = systemID(facts) !== undefined;
  const refused = facts.problems[0];
  return [
    condition(facts, 'Ready', ready, ready ? 'AllWell' : phase, reason),
    condition(
      facts,
      'Initialized',
      initialised,
      initialised ? 'DatabaseExists' : 'NoDatabaseYet',
      initialised ? 'the database was initialised' : 'the database was not initialised yet',
    ),
    condition(
      facts,
      'SpecAccepted',
      refused === undefined,
      refused ? 'Refused' : 'Accepted',
      refused ? `${refused.field}: ${refused.message}` : 'the spec is being followed',
    ),
    ...onRequest(facts, plan.intent),
    ...archiving(facts),
    ...verified(facts),
  ];
}

/** What somebody has asked for that is not the usual: said while it is so, and later that it is over. */
function onRequest(facts: Facts, { what }: Intent): ClusterCondition[] {
  const { cluster } = facts;
  const before = (type: string) => cluster.status?.conditions?.find((known) => known.type === type);
  const state = (type: string, is: boolean, message: string, reason = is ? 'Requested' : 'NotRequested') =>
    is || before(type) || reason === STOPPING
      ? [condition(facts, type, is, reason, is ? message : 'it is not so')]
      : [];
  const fenced = facts.instances.map(({ name }) => name).filter((name) => isFenced(cluster, name));
  const slept = before('Hibernated');
  const asleep = what === 'hibernated' || what === 'waking';
  return [
    ...(what === 'maintenance' && slept
      ? [slept]
      : state(
          'Hibernated',
          asleep,
          'every instance is stopped, volumes are kept',
          what === 'hibernating' ? STOPPING : undefined,
        )),
    ...state('Fenced', fenced.length > 0, `fenced: ${fenced.join(', ')}`),
    ...state('Maintenance', what === 'maintenance', 'left alone on request'),
  ];
}

function archiving(facts: Facts): ClusterCondition[] {
  const state = archiveState(facts);
  if (!state) return [];
  return [
    condition(facts, 'ContinuousArchiving', archiveStatus(state), ARCHIVE_REASONS[state.is], state.message),
  ];
}

/** What the last proof of a backup found: it stays until the next one. */
function verified(facts: Facts): ClusterCondition[] {
  const known = facts.cluster.status?.conditions?.find(({ type }) => type === BACKUP_VERIFIED);
  const { verified } = facts;
  if (!facts.spec.backup) return [];
  if (!verified) return known ? [known] : [];
  // A proof that could not be carried out says nothing about the backup.
  const is = verified.good ? 'True' : verified.reason === 'BackupNotGood' ? 'False' : 'Unknown';
  return [condition(facts, BACKUP_VERIFIED, is, verified.reason, verified.message)];
}

function condition(
  facts: Facts,
  type: string,
  is: boolean | ConditionStatus,
  reason: string,
  message: string,
): ClusterCondition {
  const status = typeof is === 'string' ? is : is ? 'True' : 'False';
  const before = facts.cluster.status?.conditions?.find((known) => known.type === type);
  const since = before?.status === status ? before.lastTransitionTime : undefined;
  return {
    type,
    status,
    reason,
    message,
    lastTransitionTime: since ?? rfc3339(facts.now),
    ...(facts.cluster.metadata.generation === undefined
      ? {}
      : { observedGeneration: facts.cluster.metadata.generation }),
  };
}

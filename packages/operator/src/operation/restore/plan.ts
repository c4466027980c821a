/** How a cluster is restored in place: what can be reached is asked first, then the Cluster is marked and followed. Pure. */
import {
  ANNOTATION_RESTORE,
  type ClusterRestoration,
  describeTarget,
  instanceName,
  isFenced,
  parseTargetTime,
  type RepositorySource,
  type RestorationStage,
  type RestoreMark,
} from '@pgherd/api';
import type { Action } from '../../cluster/actions.ts';
import { isHealthy, isLeader, leaderName } from '../../cluster/facts.ts';
import { ClusterKind } from '../../cluster/kind.ts';
import { noRepository, ownRepository, ownSource } from '../../cluster/recovery-source.ts';
import { fenceCommand } from '../../cluster/status/trouble.ts';
import { unstoppable } from '../../cluster/stuck.ts';
import type { BaseFacts, Outcome } from '../handler.ts';
import { isArchived, type Reachable } from '../reachable.ts';
import type { Sealed } from '../seal.ts';

export const STEPS = ['check', 'stop', 'restore', 'answer', 'rebuild replicas', 'clean up'] as const;
const [CHECK, STOP, RESTORE, ANSWER, REBUILD, CLEAN] = STEPS;

export interface RestoreFacts extends BaseFacts {
  /** What a pod that reaches the repository says of the target; asked only in the first step. */
  check?: Reachable;
  /** What the primary says of bringing its last WAL to the archive. */
  seal?: Sealed;
}

/** So long is waited for somebody who can look into the repository. */
const CHECK_MS = 60_000;
/** And for the old primary to serve again, before that is said to be open. */
export const BACK_MS = 120_000;

const fail = (reason: string, message: string, actions: Action[] = []): Outcome => ({
  next: 'fail',
  reason,
  message,
  actions,
});

export function planRestore(facts: RestoreFacts): Outcome {
  const { notes, operation } = facts;
  if (notes.source === undefined) return begin(facts);
  const { restoration } = facts.cluster.cluster.status ?? {};
  const mine = restoration?.id === operation.metadata.uid ? restoration : undefined;
  if (notes.failure) return goingBack(facts, mine, notes.failure);
  if (mine) return follow(facts, mine);
  if (notes.calledOffAt) return fail('CalledOff', 'nothing had begun');
  return ask(facts, JSON.parse(notes.source) as RepositorySource);
}

/** True while the first step needs to know what the repository says. */
export function isToCheck(facts: BaseFacts): boolean {
  return facts.notes.source === undefined && refusal(facts) === undefined;
}

/** What needs no look into the repository. */
function refusal({ operation, cluster }: BaseFacts): Outcome | undefined {
  const { recoveryTarget, repository } = operation.spec.restore ?? {};
  const { metadata, status } = cluster.cluster;
  if (!cluster.cluster.spec.backup)
    return fail('NoBackups', `cluster ${metadata.name} has no spec.backup: there is nothing to restore`);
  if (!ownRepository(cluster.cluster, repository))
    return fail('NoRepository', noRepository(cluster.cluster, repository));
  if (status?.restoration && !['done', 'returned'].includes(status.restoration.stage))
    return fail('Busy', `cluster ${metadata.name} is being restored already`);
  // Nobody would begin with it: a fence for all holds for the new instance too.
  if (isFenced(cluster.cluster, instanceName(metadata.name, cluster.highestSerial + 1)))
    return fail('Fenced', `cluster ${metadata.name} is fenced; ${fenceCommand(cluster, 'all')}`);
  const [stuck] = cluster.instances.map((each) => unstoppable(cluster, each)).filter(Boolean);
  if (stuck) return fail('CannotStop', `${stuck}. Nothing was stopped`);
  if (!recoveryTarget?.targetTime) return undefined;
  try {
    parseTargetTime(recoveryTarget.targetTime);
  } catch (error) {
    const { message, hint } = error as { message: string; hint: string };
    return fail('BadTarget', `${message} (${hint})`);
  }
  return undefined;
}

function begin(facts: RestoreFacts): Outcome {
  const refused = refusal(facts);
  if (refused) return refused;
  const { check, seal, operation, now } = facts;
  const waited = now - Date.parse(operation.status?.startedAt ?? '') > CHECK_MS;
  const wait = (message: string): Outcome => ({ next: 'step', step: CHECK, message, afterMs: 500 });
  if (!check || 'unreachable' in check) {
    const why = check?.unreachable ?? 'asks what can be restored';
    return waited ? blindly(facts, why) : wait(why);
  }
  const archived = isArchived(operation.spec.restore?.recoveryTarget, check);
  if (!seal && !archived && !waited)
    return wait('no primary serves yet that brings its last WAL to the archive');
  if (!check.ok) return fail('OutsideWindow', check.why);
  if (seal && 'problem' in seal) {
    if (!waited) return wait(`the last WAL is not archived yet: ${seal.problem}`);
    if (!archived)
      return fail(
        'NotArchived',
        `the last WAL cannot be archived: ${seal.problem}. Mend that first, take a repository that is away out of spec.backup, or restore to a time before ${text(check.window.lastMs)}`,
      );
  }
  // Without it, what was committed before the target may not have been archived, whatever has come there since.
  const complete = seal && 'at' in seal ? { completeUntil: seal.at } : { needsProof: true };
  return ask(facts, { ...sourceOf(facts), ...complete, chosen: check.chosen });
}

/** With the whole cluster down nobody can look: the restoring instance does, and it goes back if it has to. */
function blindly(facts: RestoreFacts, why: string): Outcome {
  const { targetTime } = facts.operation.spec.restore?.recoveryTarget ?? {};
  if (leaderName(facts.cluster) !== undefined)
    return fail('RepositoryUnreachable', `what can be restored is not known: ${why}`);
  if (targetTime && parseTargetTime(targetTime).ms > facts.now)
    return fail('OutsideWindow', `the target ${targetTime} lies in the future`);
  return ask(facts, { ...sourceOf(facts), needsProof: true });
}

function text(ms = 0): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** What is to be restored, out of the operation alone. */
export function sourceOf({ operation, cluster }: BaseFacts): RepositorySource {
  const { recoveryTarget, repository } = operation.spec.restore ?? {};
  return ownSource(cluster, repository, recoveryTarget)!;
}

/** Marks the Cluster; whoever was killed between noting it down and marking does so now. */
function ask(facts: RestoreFacts, source: RepositorySource): Outcome {
  return {
    next: 'step',
    step: STOP,
    message: `asks for the restore to ${describeTarget(source.target)}`,
    notes: { source: JSON.stringify(source) },
    actions: [marking(facts, markOf(facts, source))],
    afterMs: 100,
  };
}

function markOf({ operation }: BaseFacts, source: RepositorySource): RestoreMark {
  const { uid: id, name } = operation.metadata;
  const { keepOldVolumes = false } = operation.spec.restore ?? {};
  return { id, operation: name, source, ...(keepOldVolumes ? { keepOldVolumes } : {}) };
}

function marking({ operation, cluster }: BaseFacts, mark: RestoreMark | null): Action {
  return {
    do: 'patch',
    kind: ClusterKind,
    name: cluster.cluster.metadata.name,
    body: { metadata: { annotations: { [ANNOTATION_RESTORE]: mark && JSON.stringify(mark) } } },
    why: `operation ${operation.metadata.name}`,
  };
}

const BY_STAGE: Partial<Record<RestorationStage, (typeof STEPS)[number]>> = {
  stopping: STOP,
  restoring: RESTORE,
  rebuilding: REBUILD,
  cleaning: CLEAN,
};

function follow(facts: RestoreFacts, restoration: ClusterRestoration): Outcome {
  const { stage, instance } = restoration;
  if (stage === 'done') return finished(facts, instance);
  if (stage === 'returned' || stage === 'returning')
    return goingBack(facts, restoration, restoration.message ?? 'the restore was taken back');
  const restored = facts.cluster.instances.find(({ name }) => name === instance);
  const { error, progress, leader, recovered } = restored?.report ?? {};
  if (stage === 'restoring' && error?.code === 'RecoveryFailed')
    return goingBack(facts, restoration, error.message);
  const answers = stage === 'restoring' && leader;
  const quiet = restored?.report
    ? `${instance} ${recovered ? 'opens' : 'begins'}`
    : `the pod of ${instance} starts`;
  const begins = stage === 'cleaning' ? 'takes away what was before' : quiet;
  const doing = stage === 'restoring' && progress ? `${instance}: ${progress.doing}` : restoration.message;
  return {
    next: 'step',
    step: answers ? ANSWER : (BY_STAGE[stage] ?? RESTORE),
    message: answers ? `${instance} leads, and opens` : (doing ?? begins),
    ...(progress && progress.total > 0
      ? { progress: { done: progress.done, total: progress.total, unit: progress.unit } }
      : {}),
  };
}

/** The state from before comes back; only then the operation ends. */
function goingBack(
  facts: RestoreFacts,
  restoration: ClusterRestoration | undefined,
  failure: string,
): Outcome {
  const over = !restoration || restoration.stage === 'returned';
  if (over && servesAgain(facts))
    return fail('RestoreFailed', `${failure}; the cluster is as it was before`, [marking(facts, null)]);
  if (over) return waitForOld(facts, failure);
  const source = JSON.parse(facts.notes.source!) as RepositorySource;
  return {
    next: 'step',
    step: RESTORE,
    message: `${failure}; the state from before is coming back`,
    notes: { failure },
    actions: [marking(facts, { ...markOf(facts, source), back: true })],
  };
}

function servesAgain({ cluster }: RestoreFacts): boolean {
  return cluster.instances.some((each) => isLeader(cluster, each) && isHealthy(cluster, each));
}

/** What it says is to be true: the old primary has to start first. */
function waitForOld(facts: RestoreFacts, failure: string): Outcome {
  const { notes, now } = facts;
  const since = Number(notes.returned ?? now);
  const message = `${failure}; the volumes from before are back`;
  if (now - since > BACK_MS)
    return fail(
      'RestoreFailed',
      `${message}, and no primary serves from them yet: see the phase of the cluster`,
      [marking(facts, null)],
    );
  return {
    next: 'step',
    step: RESTORE,
    message: `${message}, and their primary starts`,
    notes: { failure, returned: String(since) },
  };
}

function finished(facts: RestoreFacts, instance: string): Outcome {
  const { recovered } = facts.cluster.cluster.status ?? {};
  const { time, lsn, xid, backup = '', timeline, stopped, target } = recovered ?? {};
  const result: Record<string, string> = { newPrimary: instance, backup };
  for (const [name, value] of Object.entries({
    target,
    reachedTime: time,
    reachedLSN: lsn,
    reachedXID: xid,
    timeline,
    stopped,
  }))
    if (value !== undefined) result[name] = String(value);
  const reached = time
    ? `the last transaction there is ${xid} of ${time}`
    : `no transaction after the backup is there`;
  return {
    next: 'succeed',
    message: `restored from ${backup}: ${reached}, LSN ${lsn}, now on timeline ${timeline}`,
    result,
    actions: [marking(facts, null)],
  };
}

/** Past the deadline: back, unless the restored primary has answered; then it goes on by itself. */
export function abandonRestore(facts: RestoreFacts): Action[] {
  const { restoration } = facts.cluster.cluster.status ?? {};
  const { source } = facts.notes;
  if (!source) return [];
  if (restoration?.id !== facts.operation.metadata.uid) return [marking(facts, null)];
  if (!['stopping', 'restoring', 'returning'].includes(restoration.stage)) return [];
  return [marking(facts, { ...markOf(facts, JSON.parse(source) as RepositorySource), back: true })];
}

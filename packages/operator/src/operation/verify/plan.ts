/** How a backup is proven: a pod of its own restores and looks; what it found is told, and it goes. Pure. */
import type { RepositorySource, VerifyAnswer } from '@pgherd/api';
import { kinds, type PersistentVolumeClaim, type Pod } from '@pgherd/kube';
import type { Action } from '../../cluster/actions.ts';
import { isTerminating } from '../../cluster/facts.ts';
import { noRepository, ownRepository } from '../../cluster/recovery-source.ts';
import { podTrouble } from '../../cluster/status/trouble.ts';
import type { BaseFacts, Outcome } from '../handler.ts';
import { verifyClaim, verifyName, verifyPod } from './pod.ts';

export const STEPS = ['prepare', 'restore', 'check'] as const;
const [PREPARE, RESTORE, CHECK] = STEPS;

export interface VerifyFacts extends BaseFacts {
  pod?: Pod;
  claim?: PersistentVolumeClaim;
  answer?: VerifyAnswer;
}

const fail = (reason: string, message: string, actions: Action[] = []): Outcome => ({
  next: 'fail',
  reason,
  message,
  actions,
});

export function planVerify(facts: VerifyFacts): Outcome {
  const { cluster, operation, notes, pod, answer } = facts;
  const { repository, backup } = operation.spec.verifyBackup ?? {};
  const found = ownRepository(cluster.cluster, repository);
  if (!found) {
    const { metadata, spec } = cluster.cluster;
    const why = spec.backup
      ? noRepository(cluster.cluster, repository)
      : `cluster ${metadata.name} has no spec.backup`;
    return fail('NoRepository', why, away(facts));
  }
  if (!pod) {
    if (notes.seen) return fail('PodGone', 'the pod that looked at the backup is gone', away(facts));
    return {
      next: 'step',
      step: PREPARE,
      message: 'makes a volume and a pod',
      actions: make(facts, found, backup),
    };
  }
  const seen = { notes: { seen: 'true' } };
  if (answer?.phase === 'failed' && answer.lacksTable)
    return fail(
      'TableMissing',
      `${answer.error}; otherwise the backup is good: ${told(answer)}`,
      away(facts),
    );
  if (answer?.phase === 'failed')
    return fail('BackupNotGood', `the backup is not good: ${answer.error}`, away(facts));
  if (answer?.phase === 'done')
    return {
      next: 'succeed',
      message: `the backup ${answer.found.backup} is good: ${told(answer)}`,
      result: answer.found,
      actions: away(facts),
    };
  if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded')
    return fail('PodEnded', `its pod ended: ${podTrouble(pod) ?? pod.status.phase}`, away(facts));
  if (!answer) {
    const message = podTrouble(pod) ?? 'waits for its pod to start';
    return { next: 'step', step: PREPARE, message, afterMs: 500, ...seen };
  }
  const { doing, progress } = answer;
  const step = answer.found.backup ? CHECK : RESTORE;
  return { next: 'step', step, message: doing, afterMs: 500, ...(progress ? { progress } : {}), ...seen };
}

function told({ found }: VerifyAnswer): string {
  return Object.entries(found)
    .filter(([what]) => what !== 'backup')
    .map(([what, text]) => `${what}: ${text}`)
    .join('; ');
}

function make(
  { cluster, operation }: VerifyFacts,
  found: Pick<RepositorySource, 'repository' | 'number'>,
  backup: string | undefined,
): Action[] {
  const systemID = cluster.lease?.systemID ?? cluster.cluster.status?.systemID;
  const source: RepositorySource = {
    from: 'repository',
    cluster: cluster.cluster.metadata.name,
    ...(systemID ? { systemID } : {}),
    ...found,
    // The backup itself is to be proven: no more WAL than it needs.
    target: { targetImmediate: true, ...(backup ? { backupID: backup } : {}) },
  };
  return [
    { do: 'ensure', kind: kinds.PersistentVolumeClaim, object: verifyClaim(cluster, operation) },
    { do: 'ensure', kind: kinds.Pod, object: verifyPod(cluster, operation, source) },
  ];
}

/** Nothing of it stays. */
export function away({ operation, pod, claim }: Pick<VerifyFacts, 'operation' | 'pod' | 'claim'>): Action[] {
  const name = verifyName(operation);
  const actions: Action[] = [];
  if (pod && !isTerminating(pod))
    actions.push({
      do: 'delete',
      kind: kinds.Pod,
      name,
      uid: pod.metadata.uid ?? '',
      why: 'the backup was looked at',
    });
  if (claim && !isTerminating(claim))
    actions.push({
      do: 'delete',
      kind: kinds.PersistentVolumeClaim,
      name,
      uid: claim.metadata.uid ?? '',
      why: 'the backup was looked at',
    });
  return actions;
}

/**
 * How an instance is removed by name: marked, let go by the primary, gone; then its successor is waited for. Each
 * step between the mark and the end is the cluster controller's, which does the same for one too many. Pure.
 */
import { ANNOTATION_DESTROY, ANNOTATION_KEEP, ANNOTATION_LEAVING } from '@pgherd/api';
import { type Kind, type KubeObject, kinds, type PersistentVolumeClaim } from '@pgherd/kube';
import type { Action } from '../../cluster/actions.ts';
import {
  type Facts,
  type InstanceFacts,
  isCounted,
  isHealthy,
  isLeader,
  leaderName,
} from '../../cluster/facts.ts';
import { instanceTrouble } from '../../cluster/status/trouble.ts';
import type { BaseFacts, Outcome } from '../handler.ts';

export const STEPS = ['check', 'primary lets go of it', 'remove it', 'a new instance streams'] as const;
const [, LET_GO, REMOVE, REPLACE] = STEPS;

/** The next step of a destroy. */
export function planDestroy(facts: BaseFacts): Outcome {
  const { cluster, operation, notes } = facts;
  const name = operation.spec.destroy!.instance;
  const instance = cluster.instances.find((each) => each.name === name);
  const known = instance !== undefined || isCounted(cluster, name);
  if (!notes.marked) return begin(facts, instance);
  if (!known) return replaced(facts, name);
  if (leaderName(cluster) === name)
    return {
      next: 'fail',
      reason: 'IsPrimary',
      message: `${name} has become the primary meanwhile, and stays`,
      actions: abandonDestroy(facts),
    };
  const step = isCounted(cluster, name) ? LET_GO : REMOVE;
  const message =
    step === LET_GO
      ? `waits for ${leaderName(cluster) ?? 'a primary'} to stop counting on ${name}`
      : `${name} is being removed`;
  return { next: 'step', step, message, actions: instance ? marks(facts, instance) : [] };
}

function begin(facts: BaseFacts, instance: InstanceFacts | undefined): Outcome {
  const { cluster, operation } = facts;
  const { instance: name } = operation.spec.destroy!;
  const { name: of, namespace } = cluster.cluster.metadata;
  if (!instance) {
    const names = cluster.instances.map((each) => each.name).join(', ') || 'none';
    return fail('InstanceUnknown', `there is no instance ${name}; there are: ${names}`);
  }
  if (leaderName(cluster) === name)
    return fail(
      'IsPrimary',
      `${name} is the primary, which is never removed: make another the primary first, with pgherd switchover ${of} -n ${namespace}`,
    );
  const leader = cluster.instances.find((each) => isLeader(cluster, each));
  if (leader?.report?.role !== 'primary' || !isHealthy(cluster, leader)) {
    const why = leader ? (instanceTrouble(cluster, leader) ?? 'it does not serve') : 'nobody leads';
    return fail('LastCopy', `no primary serves (${why}): ${name} may be the last copy of the data`);
  }
  return {
    next: 'step',
    step: LET_GO,
    message: `${name} is to leave`,
    notes: { marked: 'true' },
    actions: marks(facts, instance),
  };
}

/** What the cluster controller goes by: on the volumes too, for the pod goes first. Also on a pod made meanwhile. */
function marks({ operation, now }: BaseFacts, instance: InstanceFacts): Action[] {
  const { keepVolumes = false } = operation.spec.destroy!;
  const { uid } = operation.metadata;
  const keep: Record<string, string> = keepVolumes ? { [ANNOTATION_KEEP]: uid } : {};
  const leaving = { [ANNOTATION_LEAVING]: new Date(now).toISOString() };
  return [
    ...claimsOf(instance).flatMap((claim) =>
      annotate(operation, claims, claim, { [ANNOTATION_DESTROY]: uid, ...keep }),
    ),
    ...annotate(operation, kinds.Pod, instance.pod, { [ANNOTATION_DESTROY]: uid, ...leaving }),
  ];
}

const claims = kinds.PersistentVolumeClaim;

function claimsOf({ data, wal }: InstanceFacts): PersistentVolumeClaim[] {
  return [data, wal].filter((claim) => claim !== undefined);
}

/** Nothing where the mark is there already, or the object is not. */
function annotate(
  { metadata }: BaseFacts['operation'],
  kind: Kind,
  object: KubeObject | undefined,
  annotations: Record<string, string | null>,
): Action[] {
  const is = object?.metadata.annotations?.[ANNOTATION_DESTROY] !== undefined;
  if (!object || is === (annotations[ANNOTATION_DESTROY] !== null)) return [];
  const why = `operation ${metadata.name}`;
  return [{ do: 'patch', kind, name: object.metadata.name, body: { metadata: { annotations } }, why }];
}

function replaced({ cluster, operation }: BaseFacts, name: string): Outcome {
  const ill = cluster.instances.find((instance) => !isHealthy(cluster, instance));
  const missing = cluster.spec.instances - cluster.instances.length;
  if (ill || missing > 0) {
    const why = ill
      ? `${ill.name}: ${instanceTrouble(cluster, ill) ?? 'it is starting'}`
      : `${missing} to be created`;
    return { next: 'step', step: REPLACE, message: `${name} is gone; waits for ${why}` };
  }
  const kept = operation.spec.destroy?.keepVolumes ? '; its volumes are kept' : '';
  return { next: 'succeed', message: `${name} is gone${kept}`, result: { instances: namesOf(cluster) } };
}

function namesOf({ instances }: Facts): string {
  return instances.map(({ name }) => name).join(', ');
}

/** It stays after all. */
export function abandonDestroy({ cluster, operation }: BaseFacts): Action[] {
  const instance = cluster.instances.find(({ name }) => name === operation.spec.destroy?.instance);
  if (!instance) return [];
  const none = { [ANNOTATION_DESTROY]: null };
  return [
    ...annotate(operation, kinds.Pod, instance.pod, { ...none, [ANNOTATION_LEAVING]: null }),
    ...claimsOf(instance).flatMap((claim) =>
      annotate(operation, claims, claim, { ...none, [ANNOTATION_KEEP]: null }),
    ),
  ];
}

function fail(reason: string, message: string): Outcome {
  return { next: 'fail', reason, message };
}

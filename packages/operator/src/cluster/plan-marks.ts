/** The marks on the Cluster that the operator puts there and takes away by itself. Pure. */
import {
  ANNOTATION_PROMOTE,
  ANNOTATION_SWITCHOVER,
  isFenced,
  promoteMark,
  type SwitchoverMark,
  switchoverMark,
} from '@pgherd/api';
import type { Action } from './actions.ts';
import { type Facts, isHealthy, isLeader, isToSleep, leaderName, leavingSince } from './facts.ts';
import { ClusterKind } from './kind.ts';

/** Wishes that have had their time, and the wish to leave a node that is cordoned. */
export function planMarks(facts: Facts): Action[] {
  const stale = staleMarks(facts);
  if (stale.length > 0) {
    const body = { metadata: { annotations: Object.fromEntries(stale.map((key) => [key, null])) } };
    return [patch(facts, body, 'what was wished for has happened, or can no longer')];
  }
  return leaveCordonedNode(facts);
}

/** A wish that stayed would be carried out once more when the same instance leads again. */
function staleMarks(facts: Facts): string[] {
  const leader = leaderName(facts);
  const wish = switchoverMark(facts.cluster);
  const leave = promoteMark(facts.cluster);
  return [
    ...(wish && leader && (wish.from !== leader || isDone(facts, wish)) ? [ANNOTATION_SWITCHOVER] : []),
    ...(leave && facts.lease && facts.lease.epoch > leave.epoch ? [ANNOTATION_PROMOTE] : []),
  ];
}

/** A leader that was to restart, or to leave its node, has said what came of it. An Operation takes its own wish back. */
function isDone(facts: Facts, { id, from }: SwitchoverMark): boolean {
  const said = facts.instances.find(({ name }) => name === from)?.report?.switchover;
  return said?.id === id && /^(restart|cordon)-/.test(id);
}

/**
 * Whoever cordons a node is about to drain it: the primary moves before its pod is evicted, while nothing presses.
 * Once in a leadership: if it fails, the eviction is the next occasion.
 */
function leaveCordonedNode(facts: Facts): Action[] {
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  const node = leader?.pod?.spec.nodeName;
  if (!leader || !node || !facts.cordoned?.has(node) || !isHealthy(facts, leader)) return [];
  if (switchoverMark(facts.cluster) || isToSleep(facts)) return [];
  const id = `cordon-${node}-${facts.lease?.epoch}`;
  if (leader.report?.switchover?.id === id) return [];
  const target = facts.instances.find(
    (instance) =>
      instance !== leader &&
      isHealthy(facts, instance) &&
      !leavingSince(instance) &&
      !isFenced(facts.cluster, instance.name) &&
      !facts.cordoned?.has(instance.pod?.spec.nodeName ?? ''),
  );
  if (!target) return [];
  const wish = { id, from: leader.name, to: target.name };
  const body = { metadata: { annotations: { [ANNOTATION_SWITCHOVER]: JSON.stringify(wish) } } };
  return [patch(facts, body, `${node} is cordoned: ${leader.name} hands over to ${target.name}`)];
}

function patch({ cluster }: Facts, body: object, why: string): Action {
  return { do: 'patch', kind: ClusterKind, name: cluster.metadata.name, body, why };
}

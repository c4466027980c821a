/**
 * How lower values reach a cluster of settings that a standby must not be below its primary in: the primary restarts
 * in place (whoever is promoted runs with the old value), then the replicas, one at a time. Pure.
 */
import { ANNOTATION_SWITCHOVER, switchoverMark } from '@pgherd/api';
import type { Action, Intent } from './actions.ts';
import { type Facts, type InstanceFacts, isHealthy, isLeader } from './facts.ts';
import { ClusterKind } from './kind.ts';

export interface LoweringPlan {
  actions: Action[];
  intent?: Intent;
  /** The replica to be replaced now. */
  replica?: InstanceFacts;
}

/** `busy`: something else is under way with the instances, and goes first. */
export function planLowering(facts: Facts, staying: InstanceFacts[], busy: boolean): LoweringPlan {
  const raised = staying.filter(({ report }) => (report?.raisedSettings?.length ?? 0) > 0);
  if (raised.length === 0) return { actions: [] };
  const rolling: Intent = { what: 'rolling', instances: raised.map(({ name }) => name) };
  const waits = (what: string): LoweringPlan => ({ actions: [], intent: { ...rolling, waitsFor: { what } } });
  if (busy) return waits('other changes to finish');
  const ill = staying.find((instance) => !isHealthy(facts, instance));
  if (ill) return waits(`${ill.name} to be healthy`);
  const leader = raised.find((instance) => isLeader(facts, instance));
  if (leader) return restartInPlace(facts, leader, rolling);
  return { actions: [], intent: rolling, replica: raised.at(-1)! };
}

/** A leader that is asked to hand over to itself restarts. One try for each spec in each leadership. */
function restartInPlace(
  facts: Facts,
  leader: InstanceFacts,
  rolling: Intent & { what: 'rolling' },
): LoweringPlan {
  const { name, generation } = facts.cluster.metadata;
  const id = `restart-${facts.lease?.epoch}-${generation}`;
  const said = leader.report?.switchover;
  const settings = leader.report?.raisedSettings?.join(', ');
  const what =
    said?.id === id && said.outcome === 'failed'
      ? `a restart of ${leader.name} in place for lower ${settings}, which failed: ${said.why}`
      : `${leader.name} to restart in place for lower ${settings}`;
  const intent = { ...rolling, waitsFor: { what } };
  if (switchoverMark(facts.cluster) || said?.id === id) return { actions: [], intent };
  const wish = JSON.stringify({ id, from: leader.name, to: leader.name });
  const body = { metadata: { annotations: { [ANNOTATION_SWITCHOVER]: wish } } };
  return {
    actions: [
      {
        do: 'patch',
        kind: ClusterKind,
        name,
        body,
        why: `${leader.name} restarts in place for lower ${settings}`,
      },
    ],
    intent,
  };
}

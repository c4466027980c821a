/** How leadership is moved by hand: check, hand over, and see the new primary serve. Pure. */
import { ANNOTATION_PROMOTE, ANNOTATION_SWITCHOVER, isFenced, walBytesBetween } from '@pgherd/api';
import type { Action } from '../../cluster/actions.ts';
import {
  type Facts,
  type InstanceFacts,
  isHealthy,
  isLeader,
  lastLeader,
  leaderName,
  leavingSince,
} from '../../cluster/facts.ts';
import { ClusterKind } from '../../cluster/kind.ts';
import { isElectionSafe, neverLeaders } from '../../cluster/status/leadership.ts';
import { instanceTrouble } from '../../cluster/status/trouble.ts';
import type { BaseFacts, Outcome } from '../handler.ts';
import { timestamp } from '../progress.ts';

export const STEPS = ['check the target', 'hand over', 'new primary serves', 'old primary follows'] as const;
const [, HAND_OVER, SERVES, FOLLOWS] = STEPS;

/** Without `spec.maximumLag`, a target further behind than this would keep its old primary waiting for long. */
const MAX_LAG_BYTES = 64n << 20n;
/** How long it may take in all, in seconds, where nothing else is asked for. */
export const DEFAULT_DEADLINE_SECONDS = 180;
/** How long the old primary may take to follow before the switchover counts as done without it. */
const FOLLOW_MS = 60_000;

/** What the operation remembers of its beginning. */
interface Begun {
  from: string;
  epoch: number;
  to?: string;
  /** Leave to lead was given although nobody can know whether the target has everything. */
  forced: boolean;
}

function begun({ notes }: BaseFacts): Begun | undefined {
  const { from, epoch, to, forced } = notes;
  if (from === undefined || epoch === undefined) return undefined;
  return { from, epoch: Number(epoch), ...(to ? { to } : {}), forced: forced === 'true' };
}

/** The next step of a switchover. */
export function planSwitchover(facts: BaseFacts): Outcome {
  const memory = begun(facts);
  if (!memory) return begin(facts);
  const leader = facts.cluster.instances.find((instance) => isLeader(facts.cluster, instance));
  const changed = (facts.cluster.lease?.epoch ?? 0) > memory.epoch;
  if (!leader || leader.name === memory.from || (memory.forced && !changed))
    return handingOver(facts, memory);
  if (memory.to && leader.name !== memory.to)
    return fail('OtherPrimary', `${leader.name} became the primary, not ${memory.to}`, clear(facts));
  return taken(facts, memory, leader);
}

function begin(facts: BaseFacts): Outcome {
  const { target, force = false, acceptLoss = false } = facts.operation.spec.switchover ?? {};
  const { cluster } = facts;
  const leader = cluster.instances.find((instance) => isLeader(cluster, instance));
  const serves = leader?.report?.role === 'primary';
  if (target !== undefined && target === leader?.name && serves)
    return { next: 'succeed', message: `${target} is the primary already`, result: { newPrimary: target } };
  const alive = leader !== undefined && serves;
  // Without a primary nobody is well: what matters then is only whether the target is one at all.
  const refused = refusal(facts, target, force || !alive);
  if (refused) return refused;
  if (alive) return ask(facts, leader.name, target, false);
  if (!acceptLoss)
    return fail(
      'NoPrimary',
      `there is no primary to hand over: ${noPrimary(cluster)}; ${wayOn(facts, target)}`,
    );
  return ask(facts, lastLeader(cluster) ?? '', target, true);
}

function noPrimary(cluster: Facts): string {
  const name = lastLeader(cluster);
  const last = cluster.instances.find((instance) => instance.name === name);
  if (!last) return `${name ?? 'the last one'} is gone`;
  return `${last.name}: ${instanceTrouble(cluster, last) ?? 'it does not serve'}`;
}

/** An ordinary election takes seconds: nobody is to be talked into a loss for that. */
function wayOn({ cluster }: BaseFacts, target = 'INSTANCE'): string {
  const { name, namespace } = cluster.cluster.metadata;
  const command = `pgherd promote ${name} ${target} --accept-loss -n ${namespace}`;
  const loss = `to make one in spite of what may be lost: ${command}`;
  const resting = neverLeaders(cluster);
  if (resting.length > 0)
    return `nothing is lost if spec.failoverPriority, which is 0 for ${resting.join(', ')}, is raised for one; ${loss}`;
  if (!isElectionSafe(cluster)) return loss;
  return `the instances elect one, which takes seconds: ask again then. Only if none comes, and pgherd status ${name} -n ${namespace} says why: ${command}`;
}

/** Why the target, or every replica, is out of the question. */
function refusal(facts: BaseFacts, target: string | undefined, force: boolean): Outcome | undefined {
  const { cluster } = facts;
  const others = cluster.instances.filter((instance) => !isLeader(cluster, instance));
  if (target === undefined) {
    const able = others.some((instance) => !unfit(cluster, instance, force));
    if (able) return undefined;
    const why = others.map((instance) => `${instance.name} ${unfit(cluster, instance, force)?.message}`);
    return fail('NoTarget', `no replica can take over: ${why.join('; ') || 'there is none'}`);
  }
  const instance = cluster.instances.find(({ name }) => name === target);
  if (!instance) {
    const names = cluster.instances.map(({ name }) => name).join(', ');
    return fail('TargetUnknown', `there is no instance ${target}; there are: ${names || 'none'}`);
  }
  const why = unfit(cluster, instance, force);
  return why && fail(why.reason, `${target} ${why.message}`);
}

/** Why an instance cannot take over; `force` lets pass what may mend itself in time. */
function unfit(
  facts: Facts,
  instance: InstanceFacts,
  force: boolean,
): { reason: string; message: string } | undefined {
  const { cluster } = facts;
  if (isFenced(cluster, instance.name))
    return {
      reason: 'TargetFenced',
      message: `is fenced: lift that with pgherd fencing off ${cluster.metadata.name} ${instance.name}`,
    };
  if (leavingSince(instance)) return { reason: 'TargetLeaving', message: 'is being removed' };
  if (force) return undefined;
  if (facts.spec.failoverPriority[instance.name] === 0)
    return {
      reason: 'TargetNeverLeads',
      message: 'is never to lead by itself (0 in spec.failoverPriority): raise that, or name it with --force',
    };
  if (!isHealthy(facts, instance))
    return {
      reason: 'TargetNotReady',
      message: `is not ready: ${instanceTrouble(facts, instance) ?? 'it is starting'}`,
    };
  const lag = lagBytes(facts, instance.name);
  const limit = facts.spec.maximumLag ?? MAX_LAG_BYTES;
  if (lag !== undefined && lag > limit)
    return { reason: 'TargetLags', message: `is ${lag} bytes of WAL behind, more than ${limit}` };
  return undefined;
}

/** Bytes of WAL between what the primary has written and what it knows the replica to have; undefined when unknown. */
function lagBytes(facts: Facts, name: string): bigint | undefined {
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  const row = leader?.report?.replication.find((each) => each.name === name);
  return walBytesBetween(leader?.report?.currentLsn, row?.flushLsn);
}

/** Writes the wish that the instances act on. */
function ask(facts: BaseFacts, from: string, to: string | undefined, forced: boolean): Outcome {
  const epoch = facts.cluster.lease?.epoch ?? 0;
  const memory: Begun = { from, epoch, forced, ...(to ? { to } : {}) };
  return {
    next: 'step',
    step: HAND_OVER,
    message: forced
      ? `${to} is asked to lead, whatever is lost`
      : `${from} is asked to hand over to ${to ?? 'a replica'}`,
    notes: { from, epoch: String(epoch), forced: String(forced), ...(to ? { to } : {}) },
    actions: [mark(facts, memory)],
    afterMs: 50,
  };
}

function mark({ operation, cluster, now }: BaseFacts, { from, to, epoch, forced }: Begun): Action {
  const id = operation.metadata.uid;
  const { force = false } = operation.spec.switchover ?? {};
  const seconds = operation.spec.deadlineSeconds ?? DEFAULT_DEADLINE_SECONDS;
  const until = timestamp(Date.parse(operation.status?.startedAt ?? timestamp(now)) + seconds * 1000);
  const annotations = forced
    ? { [ANNOTATION_PROMOTE]: JSON.stringify({ id, to, epoch }) }
    : { [ANNOTATION_SWITCHOVER]: JSON.stringify({ id, from, to, ...(force ? { force } : {}), until }) };
  return {
    do: 'patch',
    kind: ClusterKind,
    name: cluster.cluster.metadata.name,
    body: { metadata: { annotations } },
    why: `operation ${operation.metadata.name}`,
  };
}

function handingOver(facts: BaseFacts, memory: Begun): Outcome {
  const { cluster, operation } = facts;
  const { from, to } = memory;
  const old = cluster.instances.find(({ name }) => name === from);
  const said = old?.report?.switchover;
  if (said?.id === operation.metadata.uid && said.outcome === 'failed' && isLeader(cluster, old!))
    return fail('NotHandedOver', said.why ?? `${from} could not hand over`, clear(facts));
  const annotation = memory.forced ? ANNOTATION_PROMOTE : ANNOTATION_SWITCHOVER;
  const asked = cluster.cluster.metadata.annotations?.[annotation]?.includes(operation.metadata.uid);
  const doing = old?.report?.waiting ? `${from} waits for ${old.report.waiting.what}` : `${from} hands over`;
  return {
    next: 'step',
    step: HAND_OVER,
    message:
      leaderName(cluster) === from && !memory.forced
        ? doing
        : `${to ?? 'a replica'} is to take over from ${from}`,
    // Whoever was killed between noting it down and asking asks now.
    actions: asked ? [] : [mark(facts, memory)],
    afterMs: 50,
  };
}

function taken(facts: BaseFacts, memory: Begun, leader: InstanceFacts): Outcome {
  const { cluster, notes, now } = facts;
  if (leader.report?.role !== 'primary' || !leader.report.ready)
    return { next: 'step', step: SERVES, message: `${leader.name} leads and is being promoted`, afterMs: 50 };
  const servesAt = Number(notes.servesAt ?? now);
  const result = { newPrimary: leader.name, ...outage(facts, memory, leader) };
  const old = cluster.instances.find(({ name }) => name === memory.from);
  const done = `${leader.name} is the primary now, after ${memory.from}`;
  // Where loss was accepted, the old one is out of reach.
  if (memory.forced || !old || isHealthy(cluster, old))
    return {
      next: 'succeed',
      message: `${done}${outageText(result)}`,
      result,
      skipped: memory.forced ? [FOLLOWS] : [],
      actions: clear(facts),
    };
  const why = instanceTrouble(cluster, old) ?? 'it is starting';
  if (now - servesAt > FOLLOW_MS)
    return {
      next: 'succeed',
      message: `${done}${outageText(result)}; ${memory.from} does not follow yet: ${why}`,
      result,
      skipped: [FOLLOWS],
      actions: clear(facts),
    };
  return {
    next: 'step',
    step: FOLLOWS,
    message: `${done}; ${memory.from}: ${why}`,
    result,
    notes: { servesAt: String(servesAt) },
  };
}

/** From the stop of the old primary to the first service of the new one, by their own clocks. */
function outage({ cluster }: BaseFacts, { from }: Begun, leader: InstanceFacts): { outageMs?: string } {
  const stopped = cluster.instances.find(({ name }) => name === from)?.report?.service?.until;
  const serves = leader.report?.service?.since;
  if (!stopped || !serves) return {};
  const ms = Date.parse(serves) - Date.parse(stopped);
  return ms >= 0 ? { outageMs: String(ms) } : {};
}

function outageText({ outageMs }: { outageMs?: string }): string {
  return outageMs === undefined ? '' : ` (${outageMs} ms without a primary)`;
}

/** Takes the wish back, if it is still ours. */
function clear({ cluster, operation }: BaseFacts): Action[] {
  const { annotations = {}, name } = cluster.cluster.metadata;
  const ours = [ANNOTATION_SWITCHOVER, ANNOTATION_PROMOTE].filter((key) =>
    annotations[key]?.includes(operation.metadata.uid),
  );
  if (ours.length === 0) return [];
  const body = { metadata: { annotations: Object.fromEntries(ours.map((key) => [key, null])) } };
  return [
    { do: 'patch', kind: ClusterKind, name, body, why: `operation ${operation.metadata.name} has ended` },
  ];
}

export function abandonSwitchover(facts: BaseFacts): Action[] {
  return clear(facts);
}

function fail(reason: string, message: string, actions: Action[] = []): Outcome {
  return { next: 'fail', reason, message, actions };
}

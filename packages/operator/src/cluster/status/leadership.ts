/** What there is to say when nobody serves as primary, or when its commits wait. Pure. */
import { isFenced, switchoverMark, waitsText, walBytesBetween } from '@pgherd/api';
import { type Facts, type InstanceFacts, isBootstrapping, isLeader, isTerminating } from '../facts.ts';
import type { Outcome, Verdict } from './phase.ts';
import { fenceCommand, instanceTrouble } from './trouble.ts';

/** There is a database, but nobody serves as primary. */
export function headless({ facts }: Outcome): Verdict | undefined {
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  const before = facts.lease?.leader?.name ?? facts.cluster.status?.currentPrimary;
  if (leader) return leaderNotServing(facts, leader);
  if (facts.instances.length > 0 && facts.instances.every(({ name }) => isFenced(facts.cluster, name)))
    return {
      phase: 'Degraded',
      reason: `no primary: every instance is fenced (${fenceCommand(facts, 'all')})`,
    };
  const { handover } = facts.lease ?? {};
  if (handover && !facts.lease?.holder)
    return { phase: 'Switchover', reason: `${before ?? 'the primary'} hands over to ${handover.to}` };
  const old = facts.instances.find(({ name }) => name === before);
  const cause = old ? (instanceTrouble(facts, old) ?? 'it gave up its role') : 'it is gone';
  const one = facts.instances.length === 1;
  return {
    phase: one ? 'Degraded' : 'Failover',
    reason: `no primary: ${before ?? 'nobody'} was the last, ${cause}; ${one ? 'waiting for it to come back' : electionText(facts)}`,
  };
}

/**
 * Where too few answer of those that a required rule names, nobody can know what was acknowledged; and nobody stands
 * where only those answer that are never to lead, or are too far behind.
 */
export function isElectionSafe(facts: Facts): boolean {
  return unmetRule(facts) === undefined && neverLeaders(facts).length === 0 && !onlyTooFarBehind(facts);
}

/** All that answer, where they are enough and none of them leads by itself; else none. */
export function neverLeaders(facts: Facts): string[] {
  const names = answeringReplicas(facts).map(({ name }) => name);
  const resting = names.every((name) => facts.spec.failoverPriority[name] === 0);
  return resting && !unmetRule(facts) ? names : [];
}

function answeringReplicas({ instances }: Facts): InstanceFacts[] {
  return instances.filter(({ report }) => report?.role === 'replica');
}

/** A rule of which too few answer. */
function unmetRule(facts: Facts) {
  const here = new Set(answeringReplicas(facts).map(({ name }) => name));
  return (facts.lease?.rules ?? []).find(
    (rule) => rule.required && rule.names.filter((each) => here.has(each)).length < quorum(rule),
  );
}

/** What the instances do about it; or, where no election is safe, the command that makes an end of it. */
function electionText(facts: Facts): string {
  const { name, namespace } = facts.cluster.metadata;
  const answering = answeringReplicas(facts);
  const here = new Set(answering.map((instance) => instance.name));
  const short = unmetRule(facts);
  const best = answering.reduce<InstanceFacts | undefined>(further, undefined);
  const resting = neverLeaders(facts);
  if (resting.length > 0)
    return `nobody takes over: ${resting.join(', ')} never lead by themselves (0 in spec.failoverPriority): raise that of one, or lose what it lacks with pgherd promote ${name} ${best?.name} --accept-loss -n ${namespace}`;
  const told = hindrances(facts).map((each) => `${each.name} ${waitsText(each.what)}`);
  if (!short && onlyTooFarBehind(facts))
    return `nobody takes over: ${told.join('; ')}. To go on with ${best?.name} and lose what it lacks: pgherd promote ${name} ${best?.name} --accept-loss -n ${namespace}`;
  if (!short) return `the instances elect another${told.length > 0 ? `: ${told.join('; ')}` : ''}`;
  const silent = short.names.filter((each) => !here.has(each));
  const command = best
    ? `. To go on with ${best.name} and lose what it lacks: pgherd promote ${name} ${best.name} --accept-loss -n ${namespace}`
    : '';
  return `no election is safe: ${quorum(short)} of ${short.names.join(', ')} have to answer, and ${silent.join(', ')} ${silent.length > 1 ? 'do' : 'does'} not${command}`;
}

/** An ordinary election is over before this; what still hinders one then is worth telling. */
const ELECTION_MS = 3_000;

/** What hinders those that answer, for longer than an election takes. */
function hindrances(facts: Facts): { name: string; what: string }[] {
  return answeringReplicas(facts).flatMap(({ name, report }) => {
    const { what, since } = report?.waiting ?? {};
    const long = what !== undefined && facts.now - Date.parse(since ?? '') > ELECTION_MS;
    return long ? [{ name, what }] : [];
  });
}

/** Only `maximumLag` forbids it, and it will as long as the old primary is away. */
function onlyTooFarBehind(facts: Facts): boolean {
  const told = hindrances(facts);
  return told.length > 0 && told.every(({ what }) => what.includes('maximumLag'));
}

/** So many of the names must have answered before one of them is certain to have every acknowledged commit. */
function quorum({ names, number }: { names: string[]; number: number }): number {
  return names.length - number + 1;
}

function further(best: InstanceFacts | undefined, other: InstanceFacts): InstanceFacts {
  const ahead = walBytesBetween(other.report?.receivedLsn, best?.report?.receivedLsn);
  return best && !ahead ? best : other;
}

/** It was asked to make another the primary, or its pod is being stopped. */
function goesByPlan({ cluster }: Facts, { name, pod }: InstanceFacts): boolean {
  const mark = switchoverMark(cluster);
  return isTerminating(pod) || (mark?.from === name && mark.to !== name);
}

function leaderNotServing(facts: Facts, leader: InstanceFacts): Verdict | undefined {
  // A pod's probe may lag behind or fail under load: the primary's own word counts.
  if (leader.report?.role === 'primary') return undefined;
  const cause = instanceTrouble(facts, leader) ?? 'it is starting';
  if (leader.report?.state === 'promoting')
    return {
      phase: facts.cluster.status?.phase === 'Switchover' ? 'Switchover' : 'Failover',
      reason: `${leader.name} is being promoted`,
    };
  // As the instances do: by how long it has stood still, since the clock of its holder may differ from ours.
  if ((facts.leaseUnchangedMs ?? 0) > facts.spec.primaryLease.takeMs && facts.instances.length > 1)
    return {
      phase: 'Failover',
      reason: `${leader.name} has not renewed its Lease since ${facts.lease?.renewTime}: ${cause}; ${electionText(facts)}`,
    };
  const phase = goesByPlan(facts, leader) && leader.report ? 'Switchover' : 'Degraded';
  return {
    phase: isBootstrapping(facts) ? 'Initializing' : phase,
    reason: `primary ${leader.name}: ${cause}`,
  };
}

/**
 * The primary serves on because all members let it, but the API does not hear from it. Where the service account was
 * made anew, the tokens of pods from before are refused until the kubelet fetches others, which may take an hour.
 */
export function lockedOut({ facts }: Outcome): Verdict | undefined {
  if ((facts.leaseUnchangedMs ?? 0) <= facts.spec.primaryLease.takeMs) return undefined;
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  if (leader?.report?.role !== 'primary') return undefined;
  const { name, namespace } = facts.cluster.metadata;
  const account = Date.parse(facts.serviceAccount?.metadata.creationTimestamp ?? '');
  const older = facts.instances.filter(
    ({ pod }) => pod && Date.parse(pod.metadata.creationTimestamp ?? '') < account - 1000,
  );
  const cause =
    older.length > 0
      ? `the service account ${facts.serviceAccount?.metadata.name} was made anew, and the API server refuses the old tokens of ${older.map((instance) => instance.name).join(', ')}: delete these pods one after the other, the primary last (kubectl delete pod -n ${namespace} ...), or wait up to an hour`
      : `it does not reach the API server, or is refused there: pgherd logs ${name} --instance ${leader.name} -n ${namespace}`;
  return {
    phase: 'Degraded',
    reason: `${leader.name} serves, but has not renewed its Lease since ${facts.lease?.renewTime}; ${cause}`,
  };
}

/**
 * How many replicas a commit waits for, by the primary's own word: while instances are added it may be fewer than asked.
 * Undefined where it has not said.
 */
function numberInForce(leader: InstanceFacts | undefined): number | undefined {
  const { syncNames } = leader?.report ?? {};
  if (syncNames === undefined) return undefined;
  return Number(/^(?:ANY|FIRST) (\d+)/.exec(syncNames)?.[1] ?? 0);
}

/** What is to be known where commits wait for fewer replicas than asked: the number was raised, or is only preferred. */
export function fewerConfirm(facts: Facts): string {
  const { synchronous } = facts.spec.postgresql;
  const now = numberInForce(facts.instances.find((instance) => isLeader(facts, instance)));
  if (!synchronous || now === undefined || now >= synchronous.number) return '';
  if (now === 0) return '; until then commits wait for no replica, and a failover may lose them';
  return `; until then commits wait for ${now} instead of ${synchronous.number} replicas`;
}

/** All is well, and yet the number that is preferred cannot be met: too many are not to lead. */
export function neverEnough({ facts }: Outcome): Verdict | undefined {
  const { synchronous } = facts.spec.postgresql;
  const fewer = fewerConfirm(facts);
  const never = facts.instances.filter(({ name }) => facts.spec.failoverPriority[name] === 0);
  if (!synchronous || !fewer || facts.instances.length - 1 - never.length >= synchronous.number)
    return undefined;
  const names = never.map(({ name }) => name).join(', ');
  return {
    phase: 'Degraded',
    reason: `no commit waits for ${names} (0 in spec.failoverPriority), and the others are fewer than spec.postgresql.synchronous.number: raise those, or lower the number${fewer}`,
  };
}

function whyUnconfirmed(facts: Facts, instance: InstanceFacts, leader: string | undefined): string {
  if (facts.spec.failoverPriority[instance.name] === 0)
    return 'no commit waits for it (0 in spec.failoverPriority)';
  return instanceTrouble(facts, instance) ?? `${leader} hears no confirmation of it`;
}

/** Commits wait, because too few of the instances the rule names confirm them. */
export function waitingForSync({ facts }: Outcome): Verdict | undefined {
  const { synchronous } = facts.spec.postgresql;
  if (synchronous?.dataDurability !== 'required' || isBootstrapping(facts)) return undefined;
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  const rows = leader?.report?.replication ?? [];
  // It has sent everybody the last record and lets go of them: its clients are gone, and no commit waits.
  if (leader && rows.length === 0 && !leader.report?.waiting && goesByPlan(facts, leader))
    return { phase: 'Switchover', reason: `${leader.name} hands over` };
  const number = numberInForce(leader) ?? synchronous.number;
  const confirming = rows.filter(
    ({ state, syncState }) => state === 'streaming' && ['sync', 'quorum'].includes(syncState),
  );
  if (confirming.length >= number) return undefined;
  const confirms = new Set(confirming.map(({ name }) => name));
  // One whose WAL receiver hangs takes itself for well, and only the primary knows that it confirms nothing.
  const ill = facts.instances
    .filter((instance) => instance !== leader && !confirms.has(instance.name))
    .map((instance) => `${instance.name}: ${whyUnconfirmed(facts, instance, leader?.name)}`);
  return {
    phase: 'WaitingForSync',
    reason: `commits on ${leader?.name} wait: ${confirming.length} of ${number} synchronous replicas confirm${ill.length > 0 ? ` (${ill.join('; ')})` : ''}. To let them go on at the risk of losing them: kubectl patch cluster.pgherd.io ${facts.cluster.metadata.name} -n ${facts.cluster.metadata.namespace} --type merge -p '{"spec":{"postgresql":{"synchronous":{"dataDurability":"preferred"}}}}'`,
  };
}

/** The phase of a cluster: one word, and a reason that names who and why. Pure. */
import type { ClusterPhase } from '@pgherd/api';
import type { Plan } from '../actions.ts';
import {
  type Facts,
  type InstanceFacts,
  isBootstrapping,
  isHealthy,
  isHeld,
  isLeader,
  isTerminating,
  leaderName,
  startDeadline,
  systemID,
} from '../facts.ts';
import { missingSecrets } from '../plan-secrets.ts';
import { instanceTrouble, isOverdue, podTrouble, startTrouble, waitsText } from './trouble.ts';

export interface Verdict {
  phase: ClusterPhase;
  reason: string;
}

export interface Outcome {
  facts: Facts;
  plan: Plan;
  /** What of the plan could not be carried out, in words. */
  failures: string[];
}

/** Asked in this order; the first that has something to say decides. */
const RULES: ((outcome: Outcome) => Verdict | undefined)[] = [
  deleting,
  refusedAtFirst,
  broken,
  beginning,
  headless,
  waitingForSync,
  changing,
  replicas,
  overdue,
  refused,
  misconfigured,
];

const WARNINGS: ClusterPhase[] = ['Degraded', 'Failed', 'WaitingForSync', 'Failover'];

/** Whether a phase with this reason is something to act on, not only to wait for. */
export function isTrouble(phase: ClusterPhase, reason: string): boolean {
  return WARNINGS.includes(phase) || (phase === 'Creating' && reason.includes(': '));
}

export function phaseOf(outcome: Outcome): Verdict {
  for (const rule of RULES) {
    const verdict = rule(outcome);
    if (verdict) return verdict;
  }
  const leader = leaderName(outcome.facts);
  const count = outcome.facts.instances.length;
  return {
    phase: 'Ready',
    reason: `${leader} is primary, ${count - 1} ${count === 2 ? 'replica streams' : 'replicas stream'}`,
  };
}

function deleting({ facts }: Outcome): Verdict | undefined {
  return isTerminating(facts.cluster)
    ? { phase: 'Deleting', reason: 'the cluster is being deleted' }
    : undefined;
}

function problemText({ problems }: Facts): string {
  return problems
    .map(({ field, message, hint }) => `${field}: ${message}${hint ? ` (${hint})` : ''}`)
    .join('; ');
}

/** A spec that cannot be done, before anything was made of it. */
function refusedAtFirst({ facts, plan }: Outcome): Verdict | undefined {
  if (plan.intent.what !== 'refused' || facts.instances.length > 0) return undefined;
  return { phase: 'Failed', reason: `the spec is refused: ${problemText(facts)}` };
}

/** The same later: what exists goes on as it was. */
function refused({ facts }: Outcome): Verdict | undefined {
  if (facts.problems.length === 0) return undefined;
  return { phase: 'Degraded', reason: `the spec is refused and nothing was changed: ${problemText(facts)}` };
}

/** What we could not write, or what the instances wait for from the user. */
function broken({ facts, failures }: Outcome): Verdict | undefined {
  const reasons = [...failures];
  if (facts.leaseProblem) reasons.push(facts.leaseProblem);
  const missing = missingSecrets(facts);
  if (missing.length > 0)
    reasons.push(
      `the secret ${missing.join(', ')} that the spec names does not exist: create it, with username and password`,
    );
  if (reasons.length === 0) return undefined;
  return { phase: isBootstrapping(facts) ? 'Creating' : 'Degraded', reason: reasons.join('; ') };
}

/** Until the database exists. */
function beginning({ facts }: Outcome): Verdict | undefined {
  if (systemID(facts) && !(isBootstrapping(facts) && !leaderName(facts))) return undefined;
  const first = facts.instances.find(
    ({ name }) => name === (facts.lease?.designated ?? facts.instances[0]?.name),
  );
  if (!first?.pod) return { phase: 'Creating', reason: 'creating instances and volumes' };
  const { report } = first;
  if (report?.state === 'failed')
    return { phase: 'Failed', reason: `${first.name}: ${report.error?.message ?? 'initialising failed'}` };
  const trouble = startTrouble(first);
  if (trouble) return { phase: 'Creating', reason: `${first.name}: ${trouble}` };
  // The next try is no news before it succeeds.
  const { phase: before, phaseReason } = facts.cluster.status ?? {};
  if (before === 'Failed' && phaseReason?.startsWith(`${first.name}: `))
    return { phase: 'Failed', reason: phaseReason };
  if (!report) return { phase: 'Creating', reason: `waiting for the pod of ${first.name} to start` };
  const doing = report.waiting ? waitsText(report.waiting.what) : 'initialises the database';
  return { phase: 'Initializing', reason: `${first.name} ${doing}` };
}

/** There is a database, but nobody serves as primary. */
function headless({ facts }: Outcome): Verdict | undefined {
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  const before = facts.lease?.leader?.name ?? facts.cluster.status?.currentPrimary;
  if (leader) return leaderNotServing(facts, leader);
  const { handover } = facts.lease ?? {};
  if (handover && !facts.lease?.holder)
    return { phase: 'Switchover', reason: `${before ?? 'the primary'} hands over to ${handover.to}` };
  const old = facts.instances.find(({ name }) => name === before);
  const cause = old ? (instanceTrouble(facts, old) ?? 'it gave up its role') : 'it is gone';
  const one = facts.instances.length === 1;
  return {
    phase: one ? 'Degraded' : 'Failover',
    reason: `no primary: ${before ?? 'nobody'} was the last, ${cause}; ${one ? 'waiting for it to come back' : 'the instances elect another'}`,
  };
}

function leaderNotServing(facts: Facts, leader: InstanceFacts): Verdict | undefined {
  // A pod's probe may lag behind or fail under load: the primary's own word counts.
  if (leader.report?.role === 'primary') return undefined;
  const cause = instanceTrouble(facts, leader) ?? 'it is starting';
  if (leader.report?.state === 'promoting')
    return { phase: 'Failover', reason: `${leader.name} is being promoted` };
  // Expired beyond what any clock explains: others may take it.
  const renewed = Date.parse(facts.lease?.renewTime ?? '');
  if (facts.now - renewed > facts.spec.primaryLease.takeMs && facts.instances.length > 1)
    return {
      phase: 'Failover',
      reason: `${leader.name} has not renewed its Lease since ${facts.lease?.renewTime}: ${cause}`,
    };
  return {
    phase: isBootstrapping(facts) ? 'Initializing' : 'Degraded',
    reason: `primary ${leader.name}: ${cause}`,
  };
}

/** Commits wait, because too few of the instances the rule names confirm them. */
function waitingForSync({ facts }: Outcome): Verdict | undefined {
  const { synchronous } = facts.spec.postgresql;
  if (synchronous?.dataDurability !== 'required' || isBootstrapping(facts)) return undefined;
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  const rows = leader?.report?.replication ?? [];
  const confirming = rows.filter(
    ({ state, syncState }) => state === 'streaming' && ['sync', 'quorum'].includes(syncState),
  );
  if (confirming.length >= synchronous.number) return undefined;
  const ill = facts.instances
    .filter((instance) => instance !== leader && !isHealthy(facts, instance))
    .map((instance) => `${instance.name}: ${instanceTrouble(facts, instance) ?? 'not counted yet'}`);
  return {
    phase: 'WaitingForSync',
    reason: `commits on ${leader?.name} wait: ${confirming.length} of ${synchronous.number} synchronous replicas confirm${ill.length > 0 ? ` (${ill.join('; ')})` : ''}. To let them go on at the risk of losing them: kubectl patch cluster.pgherd.io ${facts.cluster.metadata.name} -n ${facts.cluster.metadata.namespace} --type merge -p '{"spec":{"postgresql":{"synchronous":{"dataDurability":"preferred"}}}}'`,
  };
}

/** A change that we carry out. */
function changing({ facts, plan }: Outcome): Verdict | undefined {
  const { intent } = plan;
  if (intent.what === 'scalingUp') return scalingUp(facts, intent.instances);
  if (intent.what !== 'scalingDown' && intent.what !== 'rolling') return undefined;
  const { waitsFor } = intent;
  const doing =
    intent.what === 'scalingDown'
      ? `removing ${intent.instance}`
      : `new pods for ${intent.instances.join(', ')}`;
  const ill =
    intent.what === 'rolling' ? facts.instances.find(({ pod }) => pod && podTrouble(pod)) : undefined;
  const waits = waitsFor ? `, waiting for ${waitsFor.what}` : '';
  if (ill && waitsFor)
    return { phase: 'Degraded', reason: `${doing}${waits}: ${ill.name}: ${podTrouble(ill.pod)}` };
  if (isOverdue(facts.now, waitsFor?.deadline))
    return { phase: 'Degraded', reason: `${doing}${waits} past the deadline ${waitsFor?.deadline}` };
  return { phase: intent.what === 'scalingDown' ? 'ScalingDown' : 'Upgrading', reason: `${doing}${waits}` };
}

function scalingUp(facts: Facts, names: string[]): Verdict {
  const known = names.map((name) => facts.instances.find((instance) => instance.name === name));
  const words = names.map((name, index) => {
    const instance = known[index];
    const trouble = instance && instanceTrouble(facts, instance);
    return trouble ? `${name} (${trouble})` : name;
  });
  const late = known.some((instance) => instance && isOverdue(facts.now, startDeadline(instance)));
  return { phase: late ? 'Degraded' : 'ScalingUp', reason: `adding ${words.join(', ')}` };
}

/** Each replica streams, or the cluster is not well. */
function replicas({ facts }: Outcome): Verdict | undefined {
  const ill = facts.instances.filter((instance) => !isHealthy(facts, instance));
  const missing = isHeld(facts) ? 0 : facts.spec.instances - facts.instances.length;
  if (ill.length === 0 && missing <= 0) return undefined;
  const words = ill.map(
    (instance) => `${instance.name}: ${instanceTrouble(facts, instance) ?? 'it is starting'}`,
  );
  if (missing > 0) words.push(`${missing} to be created`);
  return { phase: isBootstrapping(facts) ? 'WaitingForReplicas' : 'Degraded', reason: words.join('; ') };
}

/** PostgreSQL runs on, but not with what the spec says: a value it refuses, a role that could not be set. */
function misconfigured({ facts }: Outcome): Verdict | undefined {
  const one = facts.instances.find(({ report }) => report?.error?.code === 'Configuration');
  if (!one) return undefined;
  return { phase: 'Degraded', reason: `${one.name}: ${one.report?.error?.message}` };
}

/** A wait past its deadline is not health, also where all else looks well. */
function overdue({ facts }: Outcome): Verdict | undefined {
  const late = facts.instances.find(({ report }) => isOverdue(facts.now, report?.waiting?.deadline));
  if (!late) return undefined;
  return { phase: 'Degraded', reason: `${late.name}: ${instanceTrouble(facts, late)}` };
}

/** The phase of a cluster: one word, and a reason that names who and why. Pure. */
import { type ClusterPhase, type RestorationStage, waitsText } from '@pgherd/api';
import type { Plan } from '../actions.ts';
import { certificateProblems } from '../certificates.ts';
import {
  type Facts,
  isBootstrapping,
  isHealthy,
  isHeld,
  isTerminating,
  leaderName,
  startDeadline,
  systemID,
} from '../facts.ts';
import { BOOTSTRAP_ID } from '../plan-restoration.ts';
import { missingSecrets } from '../plan-secrets.ts';
import { archiveState, notArchivingSince, SET_UP_MS } from './archive.ts';
import { fewerConfirm, headless, lockedOut, neverEnough, waitingForSync } from './leadership.ts';
import { instanceTrouble, isOverdue, podTrouble, startTrouble } from './trouble.ts';
import { volumesFull, volumesGrowing, volumesHung, volumesLow } from './volumes.ts';

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
  maintenance,
  hibernation,
  refusedAtFirst,
  broken,
  restoring,
  beginning,
  volumesFull,
  volumesHung,
  headless,
  waitingForSync,
  lockedOut,
  changing,
  replicas,
  overdue,
  refused,
  misconfigured,
  neverEnough,
  archiving,
  volumesLow,
  volumesGrowing,
];

const WARNINGS: ClusterPhase[] = ['Degraded', 'Failed', 'WaitingForSync', 'Failover'];

/** Whether a phase with this reason is something to act on, not only to wait for. */
export function isTrouble(phase: ClusterPhase, reason: string): boolean {
  return WARNINGS.includes(phase) || (phase === 'Creating' && reason.includes(': '));
}

export function phaseOf(outcome: Outcome, rules = RULES): Verdict {
  for (const rule of rules) {
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

/** Somebody wants it left alone: said first, and then how it is. */
function maintenance(outcome: Outcome): Verdict | undefined {
  if (outcome.plan.intent.what !== 'maintenance') return undefined;
  const { name, namespace } = outcome.facts.cluster.metadata;
  const beneath = phaseOf(
    outcome,
    RULES.filter((rule) => rule !== maintenance),
  );
  return {
    phase: 'Maintenance',
    reason: `left alone until pgherd maintenance unset ${name} -n ${namespace}; otherwise it would be ${beneath.phase}: ${beneath.reason}`,
  };
}

/** On its way to sleep, asleep, or on its way back. */
function hibernation({ facts, plan, failures }: Outcome): Verdict | undefined {
  const { intent } = plan;
  if (failures.length > 0) return undefined;
  const { name, namespace } = facts.cluster.metadata;
  switch (intent.what) {
    case 'hibernating':
      return { phase: 'Hibernating', reason: `stopping ${intent.instances.join(', ')}; volumes are kept` };
    case 'hibernated':
      return {
        phase: 'Hibernated',
        reason: `stopped, volumes are kept; to wake it: pgherd hibernate off ${name} -n ${namespace}`,
      };
    case 'waking':
      return waking(facts, intent.instance, intent.deadline);
    default:
      return undefined;
  }
}

function waking(facts: Facts, name: string, deadline: string | undefined): Verdict {
  const first = facts.instances.find((instance) => instance.name === name);
  const trouble = (first && instanceTrouble(facts, first)) ?? 'it is starting';
  const reason = `${name} was the primary and comes first: ${trouble}`;
  if (!isOverdue(facts.now, deadline)) return { phase: 'Waking', reason };
  return { phase: 'Degraded', reason: `${reason}, past its deadline ${deadline}` };
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
    reasons.push(`the secret ${missing.join(', ')} that the spec names does not exist: create it`);
  reasons.push(...certificateProblems(facts));
  if (reasons.length === 0) return undefined;
  return { phase: isBootstrapping(facts) ? 'Creating' : 'Degraded', reason: reasons.join('; ') };
}

/** The whole cluster is being restored; a replica that is missing then is told by other rules. */
function restoring({ facts, plan }: Outcome): Verdict | undefined {
  const { recovery } = facts;
  if (recovery && 'problem' in recovery && !systemID(facts))
    return { phase: 'Creating', reason: `what is to be restored is not known: ${recovery.problem}` };
  const { next } = plan.restoration ?? {};
  if (!next || !WORDS[next.stage]) return undefined;
  const restored = facts.instances.find(({ name }) => name === next.instance);
  const { report } = restored ?? {};
  if (next.stage === 'restoring' && report?.error?.code === 'RecoveryFailed')
    return { phase: 'Failed', reason: `${next.instance}: ${report.error.message}` };
  const trouble = restored && next.stage === 'restoring' ? podTrouble(restored.pod) : undefined;
  const live = next.id === BOOTSTRAP_ID && facts.cluster.spec.bootstrap?.pg_basebackup !== undefined;
  const words = live && next.stage === 'restoring' ? 'another cluster is being copied' : WORDS[next.stage];
  const told = [words, next.message ?? (trouble && `${next.instance}: ${trouble}`)];
  return { phase: 'Restoring', reason: told.filter(Boolean).join(': ') };
}

const WORDS: Partial<Record<RestorationStage, string>> = {
  stopping: 'the instances are being stopped for a restore',
  restoring: 'a backup is being restored',
  rebuilding: 'the restored primary answers; the replicas are being built',
  returning: 'the restore is being taken back',
};

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
  const trouble = startTrouble(facts, first);
  if (trouble) return { phase: 'Creating', reason: `${first.name}: ${trouble}` };
  // The next try is no news before it succeeds.
  const { phase: before, phaseReason } = facts.cluster.status ?? {};
  if (before === 'Failed' && phaseReason?.startsWith(`${first.name}: `))
    return { phase: 'Failed', reason: phaseReason };
  if (!report) return { phase: 'Creating', reason: `waiting for the pod of ${first.name} to start` };
  const doing = report.waiting ? waitsText(report.waiting.what) : 'initialises the database';
  return { phase: 'Initializing', reason: `${first.name} ${doing}` };
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
  return {
    phase: late ? 'Degraded' : 'ScalingUp',
    reason: `adding ${words.join(', ')}${fewerConfirm(facts)}`,
  };
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
  if (isBootstrapping(facts)) return { phase: 'WaitingForReplicas', reason: words.join('; ') };
  return { phase: 'Degraded', reason: `${words.join('; ')}${fewerConfirm(facts)}` };
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

/** WAL that does not get into the archive is a backup that fails later. */
function archiving({ facts }: Outcome): Verdict | undefined {
  const state = archiveState(facts);
  if (state?.is === 'failing' || state?.is === 'broken') return { phase: 'Degraded', reason: state.message };
  if (state?.is !== 'settingUp' || facts.now - notArchivingSince(facts) < SET_UP_MS) return undefined;
  return { phase: 'Degraded', reason: state.message };
}

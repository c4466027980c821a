/** Commit rules: which one is wanted, how PostgreSQL spells it, and what can be concluded from it (ELECTION 5, 6). */
import { parseLsn } from './lsn.ts';
import type { CommitRule, LeaseMember, ReplicationRow, Settings } from './types.ts';

/** Bears no instance: a rule that names it is never fulfilled, so commits wait. */
export const NOBODY = 'pgherd_nobody';

/** Commits wait for no standby. */
export const ASYNCHRONOUS: CommitRule = { method: 'any', number: 0, names: [], required: false };

/**
 * The rule the settings ask of this leader, given the members the Lease records.
 *
 * `required` names every other member, streaming or not: a commit waits rather than go unprotected. Otherwise only
 * members that stream are named, and the number degrades with them.
 *
 * @param inForce the rules that the Lease records
 */
export function wantedRule(
  settings: Settings,
  leader: string,
  members: readonly LeaseMember[],
  replication: readonly ReplicationRow[],
  inForce: readonly CommitRule[] = [],
): CommitRule {
  const sync = settings.sync;
  if (!sync || sync.number < 1) return ASYNCHRONOUS;
  const streaming = new Set(replication.filter((row) => row.state === 'streaming').map((row) => row.name));
  // An instance that never leads must not be the only one that has a commit.
  let names = members
    .map((member) => member.name)
    .filter((name) => name !== leader && settings.priorities?.[name] !== 0);
  if (!sync.required) names = names.filter((name) => streaming.has(name));
  names.sort(compareNames);
  if (sync.maxNames !== undefined) names = names.slice(0, sync.maxNames);
  const number = sync.required
    ? requiredNumber(sync.number, names.length, inForce)
    : Math.min(sync.number, names.length);
  return number === 0 ? ASYNCHRONOUS : { method: sync.method, number, names, required: sync.required };
}

/**
 * A higher number comes into force as the members join that it needs: commits do not wait for instances that are yet to
 * be copied. It never falls below what is in force, so that for members that were lost they do wait.
 */
function requiredNumber(wanted: number, members: number, inForce: readonly CommitRule[]): number {
  const least = inForce.length === 0 ? wanted : Math.max(...inForce.map((rule) => rule.number));
  return Math.min(wanted, Math.max(least, members));
}

/** The rule as `synchronous_standby_names`. */
export function ruleText(rule: CommitRule): string {
  if (rule.number === 0) return '';
  const names = [...rule.names];
  while (names.length < rule.number)
    names.push(names.length === rule.names.length ? NOBODY : `${NOBODY}_${names.length}`);
  return `${rule.method.toUpperCase()} ${rule.number} (${names.map((name) => `"${name}"`).join(', ')})`;
}

export function sameRule(a: CommitRule, b: CommitRule): boolean {
  return (
    a.method === b.method &&
    a.number === b.number &&
    a.required === b.required &&
    a.names.length === b.names.length &&
    a.names.every((name, i) => name === b.names[i])
  );
}

/** The union of what is recorded and what is to come: recorded before it is applied (ELECTION 5.5). */
export function withRule(rules: readonly CommitRule[], rule: CommitRule): CommitRule[] {
  return rules.some((known) => sameRule(known, rule)) ? [...rules] : [...rules, rule];
}

/**
 * How many of a rule's names must have answered so that at least one of them has every commit the rule
 * acknowledged: n - k + 1. Fewer names than the number can acknowledge nothing: then no answer is needed.
 */
export function quorumOf(rule: CommitRule): number {
  return rule.names.length < rule.number ? 0 : rule.names.length - rule.number + 1;
}

/** Whether enough of the rule's names have flushed everything up to `mark`. */
export function fulfilledAt(rule: CommitRule, replication: readonly ReplicationRow[], mark: bigint): boolean {
  const there = new Set(
    replication.filter((row) => (parseLsn(row.flushLsn) ?? -1n) >= mark).map((row) => row.name),
  );
  return rule.names.filter((name) => there.has(name)).length >= rule.number;
}

/** demo-2 before demo-10. */
export function compareNames(a: string, b: string): number {
  const [endA, endB] = [stemEnd(a), stemEnd(b)];
  const [stemA, stemB] = [a.slice(0, endA), b.slice(0, endB)];
  if (stemA !== stemB) return stemA < stemB ? -1 : 1;
  return Number(a.slice(endA)) - Number(b.slice(endB));
}

/** Where the digits at the end of a name begin. */
function stemEnd(name: string): number {
  let end = name.length;
  while (end > 0 && name[end - 1]! >= '0' && name[end - 1]! <= '9') end--;
  return end;
}

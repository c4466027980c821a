/**
 * The rules of leadership, all of them, each by its name.
 *
 * Every rule stands here because leaving it out loses data or splits the brain; the number says which section of
 * the protocol asks for it. The machine reaches a rule only through this object, so that a test can take one away
 * and show the harm.
 */
import { DATA_RULES } from './rules/data.ts';
import { ELECTION_RULES } from './rules/election.ts';
import { GRANT_RULES } from './rules/grants.ts';
import { LEASE_RULES } from './rules/lease.ts';
import { MEMBER_RULES } from './rules/members.ts';
import { PROMISE_RULES } from './rules/promises.ts';
import { TIMELINE_RULES } from './rules/timelines.ts';

export type { Opening } from './rules/lease.ts';
export { joiningName } from './rules/members.ts';
export { HANDOVER_MS, PROMISE_MS } from './rules/times.ts';

export const RULES = {
  ...LEASE_RULES,
  ...GRANT_RULES,
  ...ELECTION_RULES,
  ...PROMISE_RULES,
  ...TIMELINE_RULES,
  ...MEMBER_RULES,
  ...DATA_RULES,
};

export type Rules = typeof RULES;

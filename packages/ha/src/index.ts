export type { Now } from './clock.ts';
export { elapsed, elapsedForHolder, elapsedForTaker } from './clock.ts';
export {
  ASYNCHRONOUS,
  compareNames,
  NOBODY,
  quorumOf,
  ruleText,
  sameRule,
  wantedRule,
  withRule,
} from './commit-rule.ts';
export type {
  Action,
  Aside,
  Event,
  Job,
  LeaseReadOutcome,
  LeaseWriteOutcome,
  Upstream,
  WritePurpose,
} from './events.ts';
export { formatLsn, parseLsn } from './lsn.ts';
export { type Step, step } from './machine.ts';
export { isPromotedByHand, ownPosition, peerPosition, wasPrimary } from './positions.ts';
export { electionReport, type InstanceState, instanceState } from './report.ts';
export { joiningName, PROMISE_MS, RULES, type Rules } from './rules.ts';
export { SITUATIONS, type Situation } from './situations.ts';
export { type Grant, type GrantNotes, initialState, type State } from './state.ts';
export type * from './types.ts';

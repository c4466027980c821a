/** What the machine's state says in words that people and peers read. */
import type { Now } from './clock.ts';
import { RULES } from './rules.ts';
import type { State } from './state.ts';
import type { PeerReport } from './types.ts';

export type InstanceState =
  | 'waiting'
  | 'bootstrapping'
  | 'copying'
  | 'starting'
  | 'running'
  | 'promoting'
  | 'demoting'
  | 'rewinding'
  | 'stopped'
  | 'failed';

const BY_JOB: Record<string, InstanceState> = {
  initialise: 'bootstrapping',
  claim: 'bootstrapping',
  copy: 'copying',
  wipe: 'copying',
  rewind: 'rewinding',
  promote: 'promoting',
  startPrimary: 'starting',
  startStandby: 'starting',
};

/** The one word for what this instance does now. */
export function instanceState(s: State): InstanceState {
  if (s.terminating) return s.view?.process === 'stopped' ? 'stopped' : 'demoting';
  if (s.undead || s.error?.code === 'ForeignData') return 'failed';
  const byJob = s.job && BY_JOB[s.job.job.kind];
  if (byJob) return byJob;
  if (s.handover || (s.primaryMaybe && !s.held && !s.deathNeeded)) return 'demoting';
  if (s.view?.process === 'running') return 'running';
  return s.error ? 'failed' : 'waiting';
}

/** What the report says of elections; to be spread into it at the moment the report is made. */
export function electionReport(
  s: State,
  now: Now,
): Pick<PeerReport, 'grantsTo' | 'promised' | 'wouldPromise' | 'switchover'> {
  const { lease, grant, settings } = s;
  const bound = grant && lease && settings && RULES.isBound(lease.record, s, settings, now);
  const willing = lease && settings && RULES.mayPromise(lease, s, settings, now).ok;
  return {
    ...(bound ? { grantsTo: { identity: grant.to, epoch: grant.epoch } } : {}),
    ...(s.promise ? { promised: s.promise } : {}),
    ...(willing ? { wouldPromise: { epoch: lease.record.epoch, version: lease.version } } : {}),
    ...(s.switchoverOutcome ? { switchover: s.switchoverOutcome } : {}),
  };
}

/** What this instance says of itself, to peers, the operator and people. */
import type { InstanceReport } from '@pgherd/api';
import { instanceState, isPromotedByHand, type State } from '@pgherd/ha';
import type { DatabaseView } from '../database/types.ts';

/** Builds the report. `streamed`: this standby has streamed since PostgreSQL was started. */
export function buildReport(
  s: State,
  view: DatabaseView,
  streamed: boolean,
  service?: InstanceReport['service'],
): InstanceReport {
  const leader = s.held !== undefined;
  return {
    name: s.self.name,
    podUID: s.self.podUID,
    identity: s.self.identity,
    role: roleOf(s, view),
    state: instanceState(s),
    ready: isReady(s, view, streamed),
    leader,
    streaming: view.streaming,
    replication: view.replication,
    dataEmpty: view.data !== 'present',
    pendingRestart: view.pendingRestart,
    ...(view.raised?.length ? { raisedSettings: view.raised } : {}),
    volumes: view.volumes,
    ...given({
      systemID: view.systemID,
      incarnation: view.incarnation,
      timeline: Math.max(view.timeline ?? 0, knownTimeline(s, view)) || undefined,
      postgresVersion: view.version,
      currentLsn: view.currentLsn,
      receivedLsn: receivedLsn(s, view),
      replayedLsn: view.replayedLsn,
      upstream: view.upstream,
      epoch: s.held?.epoch ?? s.lease?.record.epoch,
      syncNames: view.syncNames,
      waiting: waiting(s),
      service,
      recovered: view.recovered,
      error: s.error ?? (s.lost ? { code: 'LeadershipLost', message: s.lost.why } : undefined),
    }),
  };
}

/** Until nothing of a predecessor can live any more, we may be a primary for all we know. */
function roleOf(s: State, view: DatabaseView): InstanceReport['role'] {
  if (s.deathNeeded) return 'primary';
  if (view.process !== 'running' && view.process !== 'stopping') return 'none';
  if (view.inRecovery === undefined) return s.primaryMaybe ? 'primary' : 'none';
  return view.inRecovery ? 'replica' : 'primary';
}

/**
 * Peers take a received LSN for all the WAL we have, so it is given only when that is certain: after a restart
 * PostgreSQL has forgotten it, and then only a pg_wal that was replayed to its end tells. Of a history that somebody
 * began by hand it would say nothing.
 */
function receivedLsn(s: State, view: DatabaseView): string | undefined {
  if (view.inRecovery !== true || isPromotedByHand(s)) return undefined;
  return view.receivedLsn ?? (view.replayedAll ? view.replayedLsn : undefined);
}

function knownTimeline(s: State, view: DatabaseView): number {
  return s.timelineSeen?.incarnation === view.incarnation ? (s.timelineSeen?.timeline ?? 0) : 0;
}

/** A replica stays ready while its primary is away: it can still be read, and is to be the next primary. */
function isReady(s: State, view: DatabaseView, streamed: boolean): boolean {
  if (view.process !== 'running' || !view.sqlReachable || s.terminating) return false;
  return view.inRecovery ? streamed : s.held !== undefined;
}

function waiting(s: State): InstanceReport['waiting'] {
  if (!s.waiting) return undefined;
  const { what, since, withinMs } = s.waiting;
  return {
    what,
    since: new Date(since.wall).toISOString(),
    ...(withinMs === undefined ? {} : { deadline: new Date(since.wall + withinMs).toISOString() }),
  };
}

function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** How far we and our peers have come, as far as it is certain. */
import { compareNames } from './commit-rule.ts';
import { maxLsn, type Position, parseLsn } from './lsn.ts';
import type { State } from './state.ts';
import type { LeaseMember, LeaseRecord, PeerReport, Settings, View } from './types.ts';

/**
 * Our own position, or undefined while it is not certain that we know all WAL that we have. After a restart of
 * PostgreSQL the received LSN is gone until the WAL receiver has run again: then only a fully replayed pg_wal counts.
 */
export function ownPosition(view: View | undefined): Position | undefined {
  if (!view?.timeline || view.data !== 'present') return undefined;
  const at = (lsn: bigint | undefined) => (lsn === undefined ? undefined : { timeline: view.timeline!, lsn });
  if (view.process === 'stopped') return at(endOfShutdown(view));
  if (view.process !== 'running' || !view.sqlReachable) return undefined;
  if (view.inRecovery === false) return at(parseLsn(view.currentLsn));
  if (parseLsn(view.receivedLsn) === undefined && !view.replayedAll) return undefined;
  return at(maxLsn(parseLsn(view.receivedLsn), parseLsn(view.replayedLsn)));
}

/**
 * Where the last record of a primary begins that was shut down in order. What the control file says of a standby is a
 * checkpoint that it replayed long ago: it may have received, and confirmed, a lot after that.
 */
export function endOfShutdown({ controlState, checkpointLsn }: View): bigint | undefined {
  return controlState === 'shut down' ? parseLsn(checkpointLsn) : undefined;
}

/** A peer's position, or undefined when it does not know it for certain. */
export function peerPosition(report: PeerReport): Position | undefined {
  if (!report.timeline) return undefined;
  const received = parseLsn(report.receivedLsn);
  const lsn =
    report.role === 'primary'
      ? parseLsn(report.currentLsn)
      : received === undefined
        ? undefined
        : maxLsn(received, parseLsn(report.replayedLsn));
  return lsn === undefined ? undefined : { timeline: report.timeline, lsn };
}

/** The last leader has handed over to us, and we have all that it may have acknowledged. */
export function hasAllHandedOver(
  { handover }: LeaseRecord,
  { self }: State,
  mine: Position | undefined,
): boolean {
  return mine !== undefined && handover?.to === self.name && mine.lsn >= (parseLsn(handover.position) ?? 0n);
}

/** The volume with this incarnation is the one that the Lease records under this name. */
export function isRecorded(record: LeaseRecord, name: string, incarnation: string | undefined): boolean {
  return record.members.some((member) => member.name === name && member.incarnation === incarnation);
}

/** What the control file says of data that were a primary's. */
const PRIMARY_STATES: readonly string[] = [
  'in production',
  'shut down',
  'shutting down',
  'in crash recovery',
];

/** True of a server that was a primary when it was stopped, or that had not come up since. */
export function wasPrimary(controlState: string): boolean {
  return PRIMARY_STATES.includes(controlState);
}

/**
 * PostgreSQL here became a primary by somebody else's hand: seen while it ran, or by what the volume says. Of who led
 * last the volume may say so wrongly, where a power cut has taken back what was written at its promotion.
 */
export function isPromotedByHand(s: State): boolean {
  if (s.promotedByHand) return true;
  if (!s.view?.promotedByHand) return false;
  const record = s.lease?.record;
  return (
    !record || record.leader?.name !== s.self.name || !isRecorded(record, s.self.name, s.view.incarnation)
  );
}

/** The leader says that it runs as primary: before, its record names the timeline that its own will branch off from. */
export function isPromoted({ epoch, settled, timeline }: LeaseRecord): boolean {
  return settled?.epoch === epoch && (settled.parent === undefined || (timeline ?? 0) > settled.parent);
}

/** Our own place among the members, once our volume has an identity. */
export function ownMembership(s: State): LeaseMember | undefined {
  return s.view?.incarnation ? { name: s.self.name, incarnation: s.view.incarnation } : undefined;
}

/** Answers that were asked for at or after `since`: older ones prove nothing about now. */
export function answersSince(s: State, sinceMono: number): PeerReport[] {
  return Object.values(s.peers)
    .filter((peer) => peer.askedAt.mono >= sinceMono && peer.report !== null)
    .map((peer) => peer.report!);
}

/**
 * A peer that could lead as well as we: same database, recorded volume, a running replica.
 *
 * @param forced named by hand and by force: it may be one that never leads by itself
 */
export function couldLead(s: State, record: LeaseRecord, report: PeerReport, forced?: string): boolean {
  return report.role === 'replica' && isFit(s, record, report, forced);
}

/** The same of a peer whose PostgreSQL is not up yet: it cannot say how far it is. */
export function couldLeadSoon(s: State, record: LeaseRecord, report: PeerReport): boolean {
  return report.role === 'none' && isFit(s, record, report);
}

function isFit(s: State, record: LeaseRecord, report: PeerReport, forced?: string): boolean {
  const systemID = record.systemID ?? s.settings?.systemID;
  return (
    ['running', 'waiting', 'starting'].includes(report.state) &&
    !report.dataEmpty &&
    report.systemID === systemID &&
    (record.members.length === 0 || isRecorded(record, report.name, report.incarnation)) &&
    !s.settings!.fenced.includes(report.name) &&
    (priorityOf(s.settings!, report.name) > 0 || report.name === forced) &&
    !s.pods.some(
      (pod) => pod.instance === report.name && pod.uid === report.podUID && (pod.deleting || pod.leaving),
    )
  );
}

/** The wish of who leads among instances that are as far; 0: never leads, unless it is named by force. */
export function priorityOf(settings: Settings, name: string): number {
  return settings.priorities?.[name] ?? 1;
}

/** Among instances that are as far: the higher priority, then the better name. */
export function goesFirst(s: State, a: string, b: string): boolean {
  const order = priorityOf(s.settings!, b) - priorityOf(s.settings!, a);
  return order < 0 || (order === 0 && compareNames(a, b) < 0);
}

/** Whether a replay ended where it was to end. Pure. */
import { compareLsn } from '../lsn.ts';
import type { Catalogue } from './catalogue.ts';
import { type RecoveryTarget, recoveryWindow, targetText } from './choose.ts';
import type { Replay } from './replay-log.ts';
import { lastArchived } from './timelines.ts';

export type ReplayVerdict =
  | { ok: true }
  /** It is to go on to the end of the archive: that is what the target means. */
  | { ok: false; goOn: true }
  /** Something else than the archive ended it: another try may go further. */
  | { ok: false; goOn: false; again: true; why: string }
  | { ok: false; goOn: false; again: false; why: string };

const no = (why: string): ReplayVerdict => ({
  ok: false,
  goOn: false,
  again: false,
  why,
});

/**
 * After the server has given up. A time after the last transaction is in the archive, but no WAL record says so: with
 * an archive that is whole up to it, the end of the archive is what was asked for.
 */
export function afterFailure(
  catalogue: Catalogue,
  target: RecoveryTarget,
  replay: Replay,
  completeUntilMs?: number,
): ReplayVerdict {
  const causes = [...replay.fetchErrors, ...replay.fatal];
  if (!replay.endedBefore) {
    const why = causes.join('; ') || 'PostgreSQL ended without a word';
    return { ok: false, goOn: false, again: true, why };
  }
  const { lastMs = 0 } = recoveryWindow(catalogue, completeUntilMs);
  const whole = replay.fetchErrors.length === 0;
  if (target.time && target.time.ms <= lastMs && whole) return { ok: false, goOn: true };
  const last = replay.lastTransaction ? `the last transaction there is of ${replay.lastTransaction}` : '';
  const missing = replay.notFound ? `the WAL file ${replay.notFound} is not in the archive` : '';
  const words = [...replay.fetchErrors, missing, last].filter(Boolean).join('; ');
  return no(`recovery ended before ${targetText(target)} was reached: ${words}`);
}

/** After a promotion. `lsn`: the end of the last record that was replayed. `target` undefined: to the end. */
export function afterPromotion(
  catalogue: Catalogue,
  timeline: number,
  target: RecoveryTarget | undefined,
  replay: Replay,
  lsn: string,
): ReplayVerdict {
  if (target && replay.stopped) return { ok: true };
  if (target && (target.lsn || target.xid || target.name || target.immediate || target.time))
    return no(`PostgreSQL opened without saying that it reached ${targetText(target)}`);
  // A damaged file is to PostgreSQL the end of the archive, like one that is not there.
  const end = lastArchived(catalogue, timeline);
  if (end !== undefined && compareLsn(lsn, end.start) <= 0) {
    const causes = replay.fetchErrors.length > 0 ? `: ${replay.fetchErrors.join('; ')}` : '';
    return no(`replay ended at ${lsn} although the archive goes on to ${end.name}${causes}`);
  }
  return { ok: true };
}

/** Whether a replay ended where it was to end. Pure. */
import { compareLsn } from '../lsn.ts';
import { BROKEN_CONTENT } from '../pgbackrest/run.ts';
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

const no = (why: string, again = false): ReplayVerdict => ({ ok: false, goOn: false, again, why });

/** Errors of pgBackRest that say nothing of what lies in the repository: it was not reached, or was killed. */
const isPassing = (errors: string[]): boolean =>
  errors.length > 0 &&
  !errors.some((text) => BROKEN_CONTENT.includes(Number(/^\[(\d{3})\]/.exec(text)?.[1])));

/**
 * After the server has given up. A time after the last transaction is in the archive, but no WAL record says so: with
 * an archive that is whole up to it, the end of the archive is what was asked for. When a file came to the archive
 * says little of that: one that was late may lack others that hold earlier transactions. With `needsProof` it is no
 * answer.
 */
export function afterFailure(
  catalogue: Catalogue,
  target: RecoveryTarget,
  replay: Replay,
  o: { completeUntilMs?: number; needsProof?: boolean } = {},
): ReplayVerdict {
  const causes = [...replay.fetchErrors, ...replay.fatal];
  if (!replay.endedBefore || isPassing(replay.fetchErrors))
    return no(causes.join('; ') || 'PostgreSQL ended without a word', true);
  const { lastMs = 0 } = recoveryWindow(catalogue, o.completeUntilMs);
  const whole = replay.fetchErrors.length === 0;
  if (target.time && target.time.ms <= lastMs && whole && !o.needsProof) return { ok: false, goOn: true };
  const last = replay.lastTransaction ? `the last transaction there is of ${replay.lastTransaction}` : '';
  const missing = replay.notFound ? `the WAL file ${replay.notFound} is not in the archive` : '';
  const unproven =
    target.time && o.needsProof && whole
      ? 'whether there were later ones, nothing tells: without a target, all that the archive has is restored'
      : '';
  const words = [...replay.fetchErrors, missing, last, unproven].filter(Boolean).join('; ');
  return no(`recovery ended before ${targetText(target)} was reached: ${words}`);
}

/** Where a replay ended: the end of the last record, and the time of the last transaction (RFC 3339). */
export interface Reached {
  lsn: string;
  time?: string;
}

/** After a promotion. `target` undefined: to the end, where nothing may be `after` this moment (ms since 1970). */
export function afterPromotion(
  {
    catalogue,
    timeline,
    target,
    after,
  }: {
    catalogue: Catalogue;
    timeline: number;
    target?: RecoveryTarget | undefined;
    after?: number | undefined;
  },
  replay: Replay,
  { lsn, time }: Reached,
): ReplayVerdict {
  if (target && replay.stopped) return { ok: true };
  if (target && (target.lsn || target.xid || target.name || target.immediate || target.time))
    return no(`PostgreSQL opened without saying that it reached ${targetText(target)}`);
  // A damaged file is to PostgreSQL the end of the archive, like one that is not there.
  const end = lastArchived(catalogue, timeline);
  if (end !== undefined && compareLsn(lsn, end.start) <= 0) {
    const causes = replay.fetchErrors.length > 0 ? `: ${replay.fetchErrors.join('; ')}` : '';
    const why = `replay ended at ${lsn} although the archive goes on to ${end.name}${causes}`;
    return no(why, isPassing(replay.fetchErrors));
  }
  if (after !== undefined && Date.parse(time ?? '') > after)
    return no(`WAL came to the archive meanwhile, with a transaction of ${time}`, true);
  return { ok: true };
}

/** Which Backups of a schedule need not be remembered any more. Pure. */
import { type BackupInfo, type EffectiveRepository, isBackupOver } from '@pgherd/api';
import { unreadable } from '../cluster/status/archive.ts';
import type { BackupObject } from './kind.ts';

/** So many that have ended stay in any case. */
export const KEPT_BACKUPS = 10;

/**
 * Those that failed, and those whose backup its repository no longer holds: only they say nothing that is of use.
 * `info`: what the repositories hold; undefined while that is not known for certain.
 */
export function forgettable(
  made: readonly BackupObject[],
  info: BackupInfo | undefined,
  numbers: ReadonlyMap<EffectiveRepository['name'], number>,
): BackupObject[] {
  const age = ({ metadata }: BackupObject) => Date.parse(metadata.creationTimestamp ?? '') || 0;
  const ended = made.filter(isBackupOver).sort((a, b) => age(b) - age(a));
  return ended.slice(KEPT_BACKUPS).filter(({ status = {} }) => {
    if (status.phase === 'Failed') return true;
    const number = numbers.get(status.repository ?? '');
    // Of a repository that was taken out of the spec, nobody knows.
    if (!info || number === undefined || unreadable(info, number)) return false;
    return !info.backups.some(({ label, repository }) => label === status.label && repository === number);
  });
}

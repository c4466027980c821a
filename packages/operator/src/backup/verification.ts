/** The proof of a backup that a schedule asks for: after it, an Operation restores and looks at it. Pure. */
import {
  type BackupStatus,
  isBackupOver,
  type OperationStatus,
  type ScheduledBackupStatus,
} from '@pgherd/api';

type Verification = NonNullable<ScheduledBackupStatus['lastVerification']>;

export interface VerificationLook {
  now: number;
  wanted: boolean;
  status: ScheduledBackupStatus;
  /** The Backup that it is about; undefined when it is gone. */
  backup: { status?: BackupStatus } | undefined;
  /** The Operation that looks at it; undefined when it is gone, or not made yet. */
  operation: { status?: OperationStatus } | undefined;
}

export interface VerificationStep {
  verification: Verification | undefined;
  /** An Operation is to be made that looks at this backup. */
  make?: { label: string; repository?: string };
  /** It has just ended. */
  ended?: boolean;
}

/** The backup that is to be proven now: one that is under way stays, then comes the last that was made. */
export function verificationOf(status: ScheduledBackupStatus, wanted: boolean): Verification | undefined {
  const { lastVerification: known, lastBackup } = status;
  if (known && !isVerified(known)) return known;
  if (!wanted || !lastBackup || known?.backup === lastBackup) return undefined;
  return { backup: lastBackup, phase: 'Waiting' };
}

export function isVerified({ phase }: Verification): boolean {
  return phase === 'Succeeded' || phase === 'Failed' || phase === 'Skipped';
}

/** The name of the Operation. */
export function verifyOperation(backup: string): string {
  return `${backup}-verify`;
}

/** What a look comes to. */
export function planVerification({
  now,
  wanted,
  status,
  backup,
  operation,
}: VerificationLook): VerificationStep {
  const verification = verificationOf(status, wanted);
  if (!verification) return { verification: status.lastVerification };
  const end = (phase: 'Succeeded' | 'Failed' | 'Skipped', message: string): VerificationStep => ({
    verification: {
      ...verification,
      phase,
      message,
      finishedAt: `${new Date(now).toISOString().slice(0, 19)}Z`,
    },
    ended: phase !== 'Skipped',
  });
  if (verification.phase === 'Running') {
    if (!operation) return end('Failed', 'the Operation that looked at it is gone');
    const { phase, message = '' } = operation.status ?? {};
    return phase === 'Succeeded' || phase === 'Failed' ? end(phase, message) : { verification };
  }
  if (!backup) return end('Skipped', 'the Backup is gone');
  if (!isBackupOver(backup)) return { verification };
  const { phase, label, repository } = backup.status!;
  if (phase === 'Failed' || !label) return end('Skipped', 'there is nothing to look at: the backup failed');
  const make = { label, ...(repository ? { repository } : {}) };
  const running = {
    ...verification,
    label,
    operation: verifyOperation(verification.backup),
    phase: 'Running' as const,
  };
  return { verification: running, make };
}

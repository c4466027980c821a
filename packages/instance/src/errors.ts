/** What can go wrong in an instance; the codes are stable. PostgreSQL's own errors come as PostgresError. */
export type InstanceErrorCode =
  | 'Busy'
  | 'Cancelled'
  | 'DataNotEmpty'
  | 'DataChanged'
  | 'NotUnclaimed'
  | 'NoSettings'
  | 'BadSettings'
  | 'BootstrapSQLFailed'
  | 'ReferenceMissing'
  | 'FollowTimeout'
  | 'SourceNotReady'
  | 'VolumeTooSmall'
  | 'BadSecret'
  | 'RecoveryRefused'
  | 'RecoveryFailed'
  | 'NotArchived'
  | 'TableMissing'
  | 'BadEnvironment';

/** An error of the instance manager: what was being done to what, and what to do about it. */
export class InstanceError extends Error {
  readonly code: InstanceErrorCode;
  readonly hint: string | undefined;

  constructor(code: InstanceErrorCode, message: string, details: { hint?: string; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'InstanceError';
    this.code = code;
    this.hint = details.hint;
  }
}

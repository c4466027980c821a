/** What can go wrong with PostgreSQL and its tools; the codes are stable. */
export type PostgresErrorCode =
  | 'BinariesMissing'
  | 'ToolFailed'
  | 'ToolTimeout'
  | 'Cancelled'
  | 'StartFailed'
  | 'StartTimeout'
  | 'AlreadyRunning'
  | 'NotRunning'
  | 'Undead'
  | 'NoControlData'
  | 'SqlUnreachable'
  | 'SqlTimeout'
  | 'SqlFailed'
  | 'PromoteTimeout'
  | 'ReloadUnconfirmed'
  | 'BadLsn'
  | 'NoBackup'
  | 'BadOption'
  | 'BackrestFailed';

export interface ErrorDetails {
  hint?: string;
  cause?: unknown;
  /** Last lines of the tool's or the server's output. */
  output?: string[];
  /** SQLSTATE, for code `SqlFailed`. */
  sqlState?: string;
  /** pgBackRest's number of the error, for code `BackrestFailed`. */
  backrestError?: number;
}

/** An error of PostgreSQL or one of its tools: what was being done to what, and what to do about it. */
export class PostgresError extends Error {
  readonly code: PostgresErrorCode;
  readonly hint: string | undefined;
  readonly output: string[];
  readonly sqlState: string | undefined;
  readonly backrestError: number | undefined;

  constructor(code: PostgresErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'PostgresError';
    this.code = code;
    this.hint = details.hint;
    this.output = details.output ?? [];
    this.sqlState = details.sqlState;
    this.backrestError = details.backrestError;
  }
}

export type OperatorErrorCode = 'config' | 'pki' | 'report' | 'foreign' | 'stale';

/** Every failure this package declares itself. `message` says what was being done, `hint` what helps. */
export class OperatorError extends Error {
  readonly code: OperatorErrorCode;
  readonly hint: string | undefined;

  constructor(code: OperatorErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'OperatorError';
    this.code = code;
    this.hint = options.hint;
  }
}

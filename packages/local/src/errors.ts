/** Codes of what can go wrong around local mode; stable, so that callers may branch on them. */
export type LocalErrorCode =
  | 'AlreadyRunning'
  | 'AlreadyStarting'
  | 'NotRunning'
  | 'NotYours'
  | 'MissingTool'
  | 'NamespacesForbidden'
  | 'SandboxForbidden'
  | 'PathTooLong'
  | 'PortInUse'
  | 'UnknownNode'
  | 'StateUnreadable'
  | 'ComponentFailed'
  | 'Timeout'
  | 'NetworkFailed'
  | 'SandboxFailed'
  | 'ImageUnknown'
  | 'VolumeFailed'
  | 'BadRequest';

/** What failed (message), what to do about it (hint), and a code that does not change with the wording. */
export class LocalError extends Error {
  readonly code: LocalErrorCode;
  readonly hint: string;

  constructor(code: LocalErrorCode, message: string, hint = '', options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'LocalError';
    this.code = code;
    this.hint = hint;
  }
}

export function isLocalError(error: unknown, ...codes: LocalErrorCode[]): error is LocalError {
  return error instanceof LocalError && (codes.length === 0 || codes.includes(error.code));
}

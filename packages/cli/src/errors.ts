/** Exit codes of the command; scripts may rely on them. */
export const exitCodes = {
  ok: 0,
  /** Something went wrong that has no code of its own. */
  failed: 1,
  /** The command line was not understood. */
  usage: 2,
  /** What the command is about is not there. */
  notFound: 3,
  /** The API refused: not allowed, not valid, or in conflict with what is there. */
  refused: 4,
  /** The wait ended before the work did; the work goes on. */
  timeout: 5,
  /** The API server was not reached. */
  unreachable: 6,
  /** The person said no, or there was nobody to ask. */
  cancelled: 7,
} as const;

export type CliErrorCode = Exclude<keyof typeof exitCodes, 'ok'>;

/** A failure that a person reads: what was being done to what, and what to do about it. */
export class CliError extends Error {
  readonly code: CliErrorCode;
  readonly hint: string | undefined;

  constructor(code: CliErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CliError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** What an error of any package has for a reader. */
export interface Readable {
  message: string;
  hint?: string;
  exitCode: number;
}

const KUBE_EXITS: Record<string, number> = {
  NotFound: exitCodes.notFound,
  BadRequest: exitCodes.refused,
  Unauthorized: exitCodes.refused,
  Forbidden: exitCodes.refused,
  AlreadyExists: exitCodes.refused,
  Conflict: exitCodes.refused,
  Invalid: exitCodes.refused,
  Timeout: exitCodes.timeout,
  Unreachable: exitCodes.unreachable,
  Unavailable: exitCodes.unreachable,
};

/**
 * Turns whatever was thrown into words and an exit code. Errors of our packages carry `code` and `hint`; anything
 * else is a defect, for which the stack is the best message there is.
 */
export function readable(error: unknown): Readable {
  if (error instanceof CliError) {
    return { message: error.message, hint: error.hint, exitCode: exitCodes[error.code] };
  }
  if (!(error instanceof Error)) return { message: String(error), exitCode: exitCodes.failed };
  const { code, hint } = error as Error & { code?: unknown; hint?: unknown };
  const ours = error.name !== 'Error' && typeof code === 'string' && error.name.endsWith('Error');
  if (!ours) return { message: withCauses(error), exitCode: exitCodes.failed };
  const exitCode = error.name === 'KubeError' ? (KUBE_EXITS[code] ?? exitCodes.failed) : exitCodes.failed;
  return { message: withCauses(error), hint: typeof hint === 'string' ? hint : undefined, exitCode };
}

/** The message with those of its causes that add something. */
function withCauses(error: Error): string {
  const parts = [error.message];
  let cause = error.cause;
  while (cause instanceof Error && parts.length < 4) {
    if (!parts.some((part) => part.includes((cause as Error).message))) parts.push(cause.message);
    cause = cause.cause;
  }
  return parts.join(': ');
}

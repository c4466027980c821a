/** What went wrong with a request, as a stable word that code may compare. */
export type KubeErrorCode =
  | 'BadRequest'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Gone'
  | 'Invalid'
  | 'TooManyRequests'
  | 'ServerError'
  | 'Unavailable'
  | 'Timeout'
  | 'Unreachable'
  | 'Aborted'
  | 'Protocol'
  | 'Config'
  | 'LeadershipLost';

export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

/** The answer of the API when it refuses (kind `Status`). */
export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  status?: string;
  message?: string;
  reason?: string;
  code?: number;
  details?: StatusDetails;
}

export interface KubeErrorOptions {
  /** HTTP status; 0 when no answer came. */
  status?: number;
  /** `reason` of the Status answer. */
  reason?: string;
  details?: StatusDetails;
  hint?: string;
  /** How long the server wants to be left alone, in milliseconds. */
  retryAfterMs?: number;
  cause?: unknown;
}

/**
 * Every failure of this package. `code` is for programs, `message` says what was being done to what,
 * `hint` what a person can do about it.
 */
export class KubeError extends Error {
  readonly code: KubeErrorCode;
  readonly status: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: KubeErrorCode, message: string, options: KubeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KubeError';
    this.code = code;
    this.status = options.status ?? 0;
    this.reason = options.reason ?? code;
    this.details = options.details;
    this.hint = options.hint;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** True when `error` is a KubeError, with that code if one is given. */
export function isKubeError(error: unknown, ...codes: KubeErrorCode[]): error is KubeError {
  return error instanceof KubeError && (codes.length === 0 || codes.includes(error.code));
}

/** True when something could not be made because its namespace is being deleted, and all in it. */
export function isNamespaceTerminating(error: unknown): boolean {
  return (
    isKubeError(error, 'Forbidden') &&
    (error.details?.causes ?? []).some(({ reason }) => reason === 'NamespaceTerminating')
  );
}

const BY_STATUS: Record<number, KubeErrorCode> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Gone',
  422: 'Invalid',
  429: 'TooManyRequests',
  503: 'Unavailable',
  504: 'Timeout',
};

const HINTS: Partial<Record<KubeErrorCode, string>> = {
  Unauthorized: 'the credentials were refused: check the kubeconfig, or log in to the cluster again',
};

/** A 403 has many causes; each is told by its words. */
const FORBIDDEN: [pattern: RegExp, hint: string][] = [
  [/exceeded quota/, 'raise the ResourceQuota of the namespace, or ask for less'],
  [
    /failed quota: .*must specify/,
    'the ResourceQuota of the namespace counts what the pods do not state: state it (spec.resources), or give the namespace a LimitRange with defaults',
  ],
  [/no PriorityClass with name/, 'create it, or correct spec.priorityClassName'],
  [
    /violates PodSecurity/,
    'the labels pod-security.kubernetes.io of the namespace say what pods may do there',
  ],
  [
    /provisions the pvc must support resize/,
    'its StorageClass has no allowVolumeExpansion: true, so that volumes of it stay as they are: set it there if the driver can, or move to a cluster with a larger volume',
  ],
  [
    /(maximum|minimum) .*(usage|size) per|max limit to request ratio per|LimitRange/i,
    'the LimitRange of the namespace says what is allowed',
  ],
  [/being terminated/, 'the namespace is being deleted'],
  [
    /cannot \w+ (resource|path)|attempting to grant/,
    'a Role or ClusterRole that allows this is missing for the user named in the message',
  ],
];

/** The code for an HTTP status and the `reason` of its Status answer. */
export function codeOf(status: number, reason?: string): KubeErrorCode {
  if (status === 409 && reason === 'AlreadyExists') return 'AlreadyExists';
  return BY_STATUS[status] ?? (status >= 500 ? 'ServerError' : 'BadRequest');
}

/** No answer of a server makes us wait longer than this in one go. */
const MAX_RETRY_AFTER_MS = 60_000;

/** Milliseconds of a Retry-After, which is a number of seconds or a date; undefined when it says nothing. */
function retryAfterMs(value: string | number | undefined): number | undefined {
  if (value === undefined || value === '') return undefined;
  const ms = Number.isNaN(Number(value)) ? Date.parse(String(value)) - Date.now() : Number(value) * 1000;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS) : undefined;
}

/**
 * Turns a refusal of the API (its parsed body, if it was a Status) into a KubeError. `retryAfter` is the header of
 * that name; a Status may say the same.
 */
export function errorFromStatus(
  doing: string,
  httpStatus: number,
  body: unknown,
  retryAfter?: string,
): KubeError {
  const status = typeof body === 'object' && body !== null ? (body as Partial<Status>) : {};
  const code = codeOf(httpStatus, status.reason);
  const said =
    status.message ?? (typeof body === 'string' && body !== '' ? body.slice(0, 300) : `HTTP ${httpStatus}`);
  return new KubeError(code, `${doing}: ${said}`, {
    status: httpStatus,
    reason: status.reason,
    details: status.details,
    retryAfterMs: retryAfterMs(retryAfter ?? status.details?.retryAfterSeconds),
    hint: code === 'Forbidden' ? FORBIDDEN.find(([pattern]) => pattern.test(said))?.[1] : HINTS[code],
  });
}

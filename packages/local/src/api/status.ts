/** Errors as Kubernetes tells them: every refusal is a `Status` object. */
import type { Obj } from './types.ts';

export interface Cause {
  reason?: string;
  message: string;
  field?: string;
}

/** A refusal with its HTTP code; the server writes it as a `Status`. */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Obj | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: number, reason: string, message: string, details?: Obj, retryAfterSeconds?: number) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** The `Status` object clients get. */
  status(): Obj {
    const details =
      this.retryAfterSeconds === undefined
        ? this.details
        : { ...this.details, retryAfterSeconds: this.retryAfterSeconds };
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(details ? { details } : {}),
      code: this.code,
    };
  }
}

/** What an error is about: enough of a resource for messages like `pods "x" not found`. */
export interface Named {
  group: string;
  plural: string;
  kind: string;
}

function qualified(resource: Named): string {
  return resource.group ? `${resource.plural}.${resource.group}` : resource.plural;
}

function details(resource: Named, name: string, causes?: Cause[]): Obj {
  return {
    name,
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.plural,
    ...(causes?.length ? { causes } : {}),
  };
}

export function notFound(resource: Named, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, details(resource, name));
}

/** The answer to a path that nothing serves: the one refusal that is a bare text and no `Status`. */
export class NoSuchPath extends ApiError {
  constructor() {
    super(404, 'NotFound', '404 page not found');
  }
}

export function noSuchPath(): ApiError {
  return new NoSuchPath();
}

export function alreadyExists(resource: Named, name: string): ApiError {
  return new ApiError(
    409,
    'AlreadyExists',
    `${qualified(resource)} "${name}" already exists`,
    details(resource, name),
  );
}

export function conflict(resource: Named, name: string, why: string): ApiError {
  return new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`,
    details(resource, name),
  );
}

/** A write that carried an old resourceVersion. */
export function staleVersion(resource: Named, name: string): ApiError {
  return conflict(
    resource,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

export function forbidden(resource: Named, name: string, why: string): ApiError {
  const named = name ? ` "${name}"` : '';
  return new ApiError(
    403,
    'Forbidden',
    `${qualified(resource)}${named} is forbidden: ${why}`,
    details(resource, name),
  );
}

export function unauthorized(): ApiError {
  return new ApiError(401, 'Unauthorized', 'Unauthorized');
}

export function methodNotAllowed(): ApiError {
  return new ApiError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  );
}

/** A request for history that is no longer kept. */
export function expired(message: string): ApiError {
  return new ApiError(410, 'Expired', message);
}

/** A request for a version that no write has reached yet. */
export function tooLargeVersion(wanted: number, latest: number): ApiError {
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  const message = `Timeout: Too large resource version: ${wanted}, current: ${latest}`;
  return new ApiError(504, 'Timeout', message, { causes }, 1);
}

/** Wrong parameters of a request, which are validated as an object of a kind such as CreateOptions. */
export function invalidOptions(kind: string, errors: FieldError[]): ApiError {
  return invalid({ group: 'meta.k8s.io', plural: '', kind }, '', errors);
}

export function tooMany(message: string, retryAfterSeconds: number, causes: Cause[]): ApiError {
  return new ApiError(429, 'TooManyRequests', message, { causes }, retryAfterSeconds);
}

export function unsupportedMediaType(message: string): ApiError {
  return new ApiError(415, 'UnsupportedMediaType', message);
}

/** One wrong field of an object. */
export interface FieldError {
  type:
    | 'FieldValueInvalid'
    | 'FieldValueRequired'
    | 'FieldValueForbidden'
    | 'FieldValueNotSupported'
    | 'FieldValueDuplicate'
    | 'FieldValueTypeInvalid'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany';
  field: string;
  /** The message without the field name, as it stands in the cause. */
  message: string;
}

/** A value that is wrong: `field: Invalid value: value: why`. */
export function invalidValue(field: string, value: unknown, why: string): FieldError {
  return { type: 'FieldValueInvalid', field, message: `Invalid value: ${show(value)}: ${why}` };
}

export function requiredValue(field: string, why = ''): FieldError {
  return { type: 'FieldValueRequired', field, message: why ? `Required value: ${why}` : 'Required value' };
}

export function forbiddenValue(field: string, why: string): FieldError {
  return { type: 'FieldValueForbidden', field, message: `Forbidden: ${why}` };
}

export function unsupportedValue(field: string, value: unknown, supported: unknown[]): FieldError {
  const list = supported
    .map((one) => (typeof one === 'string' ? JSON.stringify(one) : JSON.stringify(one)))
    .join(', ');
  return {
    type: 'FieldValueNotSupported',
    field,
    message: `Unsupported value: ${show(value)}: supported values: ${list}`,
  };
}

export function show(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}

/** 422: the object as a whole is refused for the reasons listed. */
export function invalid(resource: Named, name: string, errors: FieldError[]): ApiError {
  const texts = [
    ...new Set(errors.map((error) => (error.field ? `${error.field}: ${error.message}` : error.message))),
  ];
  const summary = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  const qualifiedKind = resource.group ? `${resource.kind}.${resource.group}` : resource.kind;
  return new ApiError(422, 'Invalid', `${qualifiedKind} "${name}" is invalid: ${summary}`, {
    name,
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.kind,
    causes: errors.map((error) => ({ reason: error.type, message: error.message, field: error.field })),
  });
}

export type ImageErrorCode = 'usage' | 'command' | 'sources' | 'archive';

/** Every failure of building images. `message` says what was being done to what, `hint` what helps. */
export class ImageError extends Error {
  readonly code: ImageErrorCode;
  readonly hint: string | undefined;

  constructor(code: ImageErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ImageError';
    this.code = code;
    this.hint = options.hint;
  }
}

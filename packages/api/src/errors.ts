/** Every error of this package, with its stable code. */

export type ApiErrorCode = 'BadQuantity' | 'BadTime' | 'BadSchema';

/** Something that does not mean what a field needs: `message` says what, `hint` what to write instead. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  readonly hint: string;

  constructor(code: ApiErrorCode, message: string, hint: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ApiError';
    this.code = code;
    this.hint = hint;
  }
}

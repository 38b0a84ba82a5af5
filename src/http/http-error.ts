/** A request that cannot be read as HTTP wants it, whatever it asks for. */
export class HttpError extends Error {
  override name = 'HttpError';
  constructor(
    readonly status: 400 | 401 | 403 | 404 | 405 | 406 | 408 | 409 | 413 | 415 | 422 | 429 | 503,
    readonly code: string,
    message: string,
    /** For 405: what is allowed. */
    readonly allow?: string,
    /** For 429 and 503: seconds. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

import type { ServerResponse } from 'node:http';
import { HttpError } from '../http/http-error.js';

/** For what may take a while: `signal` is aborted once nobody waits for the answer. */
export async function untilGone<T>(
  res: ServerResponse,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const gone = new AbortController();
  const abort = () => gone.abort(new HttpError(400, 'incomplete', 'The client has gone.'));
  if (res.destroyed) abort();
  res.once('close', abort);
  try {
    return await work(gone.signal);
  } finally {
    res.off('close', abort);
  }
}

import type { IncomingMessage } from 'node:http';
import type { Deps } from '../deps.js';
import { ApiProblem } from './problems.js';

const underWay = new WeakMap<Deps, number>();

/**
 * For the few questions that take a read of a whole list, which SHA-256s do: as many at once as scrubs, and
 * none for a client that has gone.
 *
 * @throws ApiProblem 503 where too many are under way.
 */
export async function readingAll<T>(
  deps: Deps,
  req: IncomingMessage,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const count = underWay.get(deps) ?? 0;
  if (count >= deps.config.scrubsAtOnce) {
    throw new ApiProblem(
      'unavailable',
      'Other requests that go through whole lists for SHA-256s are under way: send it again later.',
      { headers: { 'Retry-After': '5' } },
    );
  }
  underWay.set(deps, count + 1);
  try {
    return await untilGone(req, work);
  } finally {
    underWay.set(deps, (underWay.get(deps) ?? 1) - 1);
  }
}

/** For what may take a while: `signal` is aborted once nobody waits for the answer. */
export async function untilGone<T>(
  { socket }: IncomingMessage,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const gone = new AbortController();
  const abort = () => gone.abort(new ApiProblem('malformed', 'The client has gone.'));
  if (socket.destroyed) abort();
  socket.once('close', abort);
  try {
    return await work(gone.signal);
  } finally {
    socket.off('close', abort);
  }
}

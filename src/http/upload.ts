import type { IncomingMessage } from 'node:http';
import { mayTakeLong } from './body-time.js';
import { HttpError } from './http-error.js';
import { mediaTypeOf } from './request.js';
import { createFormReader, malformed, type UploadAbout } from './upload-form.js';

/** Media types of a body that is the file itself. */
const rawTypes = [
  ...['text/csv', 'text/plain', 'application/csv', 'application/octet-stream'],
  ...['application/gzip', 'application/x-gzip'],
];

/** What a multipart body may hold beside its file: octets. */
const besideTheFile = 128 * 1024;

/** How slow a client may be: what it takes up of the places that there are for uploads is taken from others. */
export interface Pace {
  /** How long it may send nothing: milliseconds. */
  readonly idleMs: number;
  /** How many octets it must have sent for every `periodMs` that it was waited for, once the first is over. */
  readonly leastOctets: number;
  readonly periodMs: number;
}

const usualPace: Pace = { idleMs: 30_000, leastOctets: 64 * 1024, periodMs: 60_000 };

/**
 * Gives the file of a request to `take`, as a stream of octets in flat memory: the client is asked for more
 * only as fast as `take` reads. A multipart form's first file counts, whatever its field is called; or the
 * body is the file itself (text/csv, text/plain, application/octet-stream, application/gzip).
 *
 * The octets end only once the whole body has come, and come whole: whatever is wrong with it, they throw
 * before their end, so `take` must count on nothing before. It may end early; what it gives or throws is
 * given or thrown here.
 *
 * @param limit octets of the file; null for any size.
 * @param pace what tests cannot wait for.
 * @throws HttpError 413 over the limit (by the Content-Length before `take` is called); 415 for another
 *   type, a Content-Encoding, or a charset that is neither UTF-8 nor UTF-16; 400 for a body without a file,
 *   and for one that is broken or breaks off; 408 for a client that sends nothing for 30 seconds, or,
 *   once a minute is over, less than 64 KB a minute on average.
 */
export async function readUpload<T>(
  req: IncomingMessage,
  { limit, pace = usualPace }: { limit: number | null; pace?: Pace },
  take: (octets: AsyncIterable<Buffer>, about: UploadAbout) => Promise<T>,
): Promise<T> {
  mayTakeLong(req);
  try {
    const type = mediaTypeOf(req);
    const isForm = type === 'multipart/form-data';
    checkHead(req, type, limit === null ? null : limit + (isForm ? besideTheFile : 0), limit);
    const body = bodyOf(req, pace);
    return await (isForm
      ? takeFromForm(req.headers['content-type'] ?? '', body, limit, take)
      : takeWhole(body, limit, take));
  } finally {
    if (!req.complete) letGo(req);
  }
}

function checkHead(req: IncomingMessage, type: string, bodyLimit: number | null, limit: number | null): void {
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new HttpError(
      415,
      'content-encoding',
      'Send the body without a Content-Encoding: a gzipped file as it is.',
    );
  }
  if (type !== 'multipart/form-data' && !rawTypes.includes(type)) {
    throw new HttpError(
      415,
      'content-type',
      'Send the file in a multipart/form-data form, or as text/csv, text/plain, application/gzip or application/octet-stream.',
    );
  }
  const charset = /charset\s*=\s*"?([^\s";]+)/i.exec(req.headers['content-type'] ?? '')?.[1] ?? 'utf-8';
  if (!/^(utf-?8|us-ascii|utf-?16(le|be)?)$/i.test(charset)) {
    throw new HttpError(415, 'charset', 'Send the file in UTF-8, or in UTF-16 with a byte order mark.');
  }
  if (bodyLimit !== null && Number(req.headers['content-length'] ?? 0) > bodyLimit) throw tooLarge(limit);
}

/**
 * The body as it comes. Its end is not taken for the whole of it where the connection was closed before.
 * Nothing of the time in which nobody asks for more counts as the client's.
 */
async function* bodyOf(req: IncomingMessage, pace: Pace): AsyncGenerator<Buffer> {
  // What ends early must not destroy the socket, and the answer with it.
  const chunks = req.iterator({ destroyOnReturn: false });
  let timer: NodeJS.Timeout | undefined;
  let received = 0;
  let waitedMs = 0;
  try {
    for (;;) {
      const askedAt = performance.now();
      const idle = new Promise<never>((_, reject) => {
        const leftMs = pace.periodMs * Math.max(1, received / pace.leastOctets) - waitedMs;
        const [ms, why] = leftMs < pace.idleMs ? [leftMs, 'Too little'] : [pace.idleMs, 'Nothing'];
        timer = setTimeout(() => reject(new HttpError(408, 'timeout', `${why} came for too long.`)), ms);
      });
      const next = (chunks.next() as Promise<IteratorResult<Buffer>>).catch(() => {
        throw brokeOff();
      });
      // Whichever comes second is heard by nobody.
      next.catch(() => undefined);
      const step = await Promise.race([next, idle]);
      clearTimeout(timer);
      if (step.done) break;
      waitedMs += performance.now() - askedAt;
      received += step.value.length;
      yield step.value;
    }
    if (!req.complete) throw brokeOff();
  } finally {
    clearTimeout(timer);
    // It would go on listening, and nobody else could read on.
    chunks.return?.().catch(() => undefined);
  }
}

async function takeWhole<T>(
  body: AsyncGenerator<Buffer>,
  limit: number | null,
  take: (octets: AsyncIterable<Buffer>, about: UploadAbout) => Promise<T>,
): Promise<T> {
  const first = await body.next();
  if (first.done) throw noFile();
  async function* octets(): AsyncGenerator<Buffer> {
    let length = 0;
    for (let step: IteratorResult<Buffer> = first; !step.done; step = await body.next()) {
      length += step.value.length;
      if (limit !== null && length > limit) throw tooLarge(limit);
      yield step.value;
    }
  }
  try {
    return await take(octets(), { fileName: null, fields: new URLSearchParams() });
  } finally {
    body.return(undefined).catch(() => undefined);
  }
}

async function takeFromForm<T>(
  type: string,
  body: AsyncGenerator<Buffer>,
  limit: number | null,
  take: (octets: AsyncIterable<Buffer>, about: UploadAbout) => Promise<T>,
): Promise<T> {
  const reader = createFormReader(type);
  const abandoned = new AbortController();
  // Feeds the form while `take` reads its file; ends when the body does.
  let whole = 0;
  const fed = reader.feed(
    body,
    (octets) => {
      whole += octets;
      if (limit !== null && whole > limit + besideTheFile) throw tooLarge(limit);
    },
    abandoned.signal,
  );
  fed.catch(() => undefined);
  const file = await Promise.race([reader.file, fed.then(() => reader.file)]);
  if (file === null) throw noFile();
  const { stream, about } = file;

  async function* octets(): AsyncGenerator<Buffer> {
    let length = 0;
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (limit !== null && length > limit) throw tooLarge(limit);
        yield chunk;
      }
    } catch (error) {
      // What the body came to says more than what the form made of it.
      if (!(error instanceof HttpError)) await fed;
      throw error instanceof HttpError ? error : malformed();
    }
    await fed;
  }

  try {
    return await take(octets(), about);
  } finally {
    abandoned.abort();
    stream.destroy();
  }
}

/** What still comes is read for a while and dropped: an answer to somebody who is still sending is lost otherwise. */
function letGo(req: IncomingMessage): void {
  let dropped = 0;
  // Once all has come, the connection is the next request's.
  const timer = setTimeout(() => void (req.complete || req.socket.destroy()), lingerMs);
  req.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped > lingerOctets) req.socket.destroy();
  });
  const over = () => clearTimeout(timer);
  req.on('end', over).on('close', over).on('error', over);
  if (req.destroyed) over();
  else req.resume();
}

const lingerMs = 10_000;
const lingerOctets = 64 * 1024 * 1024;

function tooLarge(limit: number | null): HttpError {
  return new HttpError(413, 'too-large', `The file is larger than ${limit ?? 0} octets.`);
}

function brokeOff(): HttpError {
  return new HttpError(400, 'incomplete', 'The upload broke off.');
}

function noFile(): HttpError {
  return new HttpError(400, 'no-file', 'There is no file in the request.');
}

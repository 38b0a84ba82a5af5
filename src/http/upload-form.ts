import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Busboy } from '@fastify/busboy';
import { HttpError } from './http-error.js';

/** What comes with an upload, before its first octet. */
export interface UploadAbout {
  /** As the client calls the file, without a path; null where it says none. */
  readonly fileName: string | null;
  /** The form's fields that stand before the file: at most 50, of 16 KB each; none of a body that is the file itself. */
  readonly fields: URLSearchParams;
}

const mostFields = 50;
const fieldLimit = 16 * 1024; // octets

export interface FormFile {
  readonly stream: Readable;
  readonly about: UploadAbout;
}

/**
 * Reads a multipart form for its first file.
 *
 * @returns `file`, which is null once the form is over without one; and `feed`, which gives the form its body.
 * @throws HttpError 400 for a type that names no boundary.
 */
export function createFormReader(contentType: string) {
  const fields = new URLSearchParams();
  let busboy: Busboy;
  try {
    busboy = new Busboy({
      headers: { 'content-type': contentType },
      limits: { fields: mostFields, parts: mostFields + 20, fieldNameSize: 100, fieldSize: fieldLimit },
      // Programs that name no file, but its type.
      isPartAFile: (_field, type, fileName) =>
        fileName !== undefined || (type ?? 'text/plain') !== 'text/plain',
    });
  } catch {
    throw malformed();
  }
  let found: (file: FormFile | null) => void;
  const file = new Promise<FormFile | null>((resolve) => (found = resolve));
  const over = new Promise<void>((resolve, reject) => {
    busboy.on('error', () => reject(malformed()));
    busboy.on('finish', () => {
      found(null);
      resolve();
    });
  });
  over.catch(() => undefined);
  let current: Readable | null = null;
  busboy.on('field', (name: string, value: string) => {
    if (current === null) fields.append(name, value);
  });
  busboy.on('file', (_field: string, stream: Readable, fileName: string | undefined) => {
    // A file that breaks off says so here as well; an error that nobody hears ends the process.
    stream.on('error', () => undefined);
    // Browsers send an empty one for a field in which nothing was chosen.
    if (current !== null || fileName === '') return void stream.resume();
    current = stream;
    found({ stream: current, about: { fileName: fileName ?? null, fields } });
  });

  /**
   * Ends when the body does, or is no longer wanted; takes more of the body only as fast as the file is read.
   *
   * @param onChunk is told how many octets each has, and throws where it is one too many.
   * @throws HttpError 400 for a form that is broken or cut; whatever the body does.
   */
  async function feed(
    body: AsyncIterable<Buffer>,
    onChunk: (octets: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    // One at a time: to race each chunk with what lasts as long as the upload would grow with it.
    let goOn: () => void = () => undefined;
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        resolve();
        goOn();
      });
    });
    let isOver = false;
    const settled = () => {
      isOver = true;
      goOn();
    };
    over.then(settled, settled);
    try {
      for await (const chunk of body) {
        onChunk(chunk.length);
        if (signal.aborted) return;
        // What follows the end of a form is passed over; a form that is broken is read no further.
        if (isOver) await over;
        else {
          await new Promise<void>((resolve) => {
            goOn = resolve;
            busboy.write(chunk, () => resolve());
          });
        }
      }
    } catch (error) {
      // Whoever waits for more of the file must not wait for ever.
      current?.destroy(error as Error);
      throw error;
    }
    busboy.end();
    // The body is there as a whole: what is not read once the file is (headers without an end) never will be.
    const never = (current === null ? Promise.resolve() : ended(current)).then(nextTurn).then(() => {
      throw malformed();
    });
    never.catch(() => undefined);
    await Promise.race([over, aborted, never]);
  }

  return { file, feed };
}

function ended(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.readableEnded || stream.destroyed) resolve();
    else stream.once('end', () => resolve()).once('close', () => resolve());
  });
}

export function malformed(): HttpError {
  return new HttpError(400, 'malformed', 'The form is broken, or broke off.');
}

import { constants } from 'node:fs';
import { open, statfs, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { HttpError } from './http-error.js';

/** A file that nobody else can open, and that is gone once it is closed, whatever becomes of the process. */
export interface Spool {
  readonly octets: number;
  /** @throws HttpError 503 where there is no room. */
  write(chunk: Buffer): Promise<void>;
  /**
   * All that was written, up to the last octet and no further: who waited for the end of the file as well would
   * hear of it after the client, which knows the length, has closed the connection.
   */
  read(): AsyncGenerator<Buffer>;
  close(): Promise<void>;
}

/** What is left free for everyone else: the embedded database may be on the same disk. */
const leftFree = 256 * 1024 * 1024;

const chunkOctets = 64 * 1024;

/** Octets between two looks at how much is free. */
const lookEvery = 16 * 1024 * 1024;

/**
 * Opens a temporary file without a name: see docs/decisions/0007-scrubs-are-spooled.md.
 *
 * @throws HttpError 503 where the folder cannot be written to, or too little would be left free.
 */
export async function openSpool(folder: string): Promise<Spool> {
  const name = path.join(folder, `signoff-${randomBytes(12).toString('hex')}`);
  const { O_RDWR, O_CREAT, O_EXCL } = constants;
  let file: FileHandle | undefined;
  try {
    await lookForRoom(folder);
    file = await open(name, O_RDWR | O_CREAT | O_EXCL, 0o600);
    await unlink(name);
  } catch (error) {
    await file?.close();
    throw noRoom(error);
  }
  return spoolIn(file, folder);
}

function spoolIn(file: FileHandle, folder: string): Spool {
  let octets = 0;
  let looked = 0;
  return {
    get octets() {
      return octets;
    },
    async write(chunk) {
      try {
        if (octets + chunk.length - looked > lookEvery) {
          await lookForRoom(folder);
          looked = octets;
        }
        await file.writeFile(chunk);
        octets += chunk.length;
      } catch (error) {
        throw noRoom(error);
      }
    },
    async *read() {
      for (let at = 0; at < octets;) {
        const length = Math.min(chunkOctets, octets - at);
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, at);
        if (bytesRead === 0) throw new Error('the spooled file is shorter than what was written to it');
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
    close: () => file.close(),
  };
}

async function lookForRoom(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < leftFree + lookEvery) throw new Error('too little is free');
}

function noRoom(cause: unknown): HttpError {
  const error = new HttpError(
    503,
    'no-room',
    'There is no room for the result at the moment: send the file in parts, or again later.',
    undefined,
    60,
  );
  error.cause = cause;
  return error;
}

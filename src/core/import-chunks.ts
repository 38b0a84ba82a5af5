import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';

/**
 * The file of an upload, in pieces of which each is a statement of its own: far below what servers take in one
 * packet (16 MB on MariaDB), and some milliseconds of SQLite's one lock.
 */
export const chunkOctets = 64 * 1024;

/** Chunks a statement. */
const deletedAtOnce = 8;

interface ChunkRow {
  job_id: number;
  /** From 0. */
  number: number;
  octets: Buffer;
}

/** May be repeated. */
export async function writeChunk(db: Db, jobId: number, number: number, octets: Buffer): Promise<void> {
  await db<ChunkRow>('import_job_chunks')
    .insert({ job_id: jobId, number, octets })
    .onConflict(['job_id', 'number'])
    .merge({ octets });
}

/** @throws Refused where one is missing. */
export async function* readChunks(db: Db, jobId: number, count: number): AsyncGenerator<Buffer> {
  for (let number = 0; number < count; number++) {
    const row = await db<ChunkRow>('import_job_chunks').where({ job_id: jobId, number }).first('octets');
    if (row === undefined) throw new Refused('damaged', `A part of the upload is missing, after ${number}.`);
    yield row.octets;
  }
}

/** Chunks into pieces of one size, whatever sizes they come in. */
export async function* inChunks(octets: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const piece of octets) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + chunkOctets - length);
      parts.push(part);
      length += part.length;
      at += part.length;
      if (length < chunkOctets) continue;
      yield Buffer.concat(parts);
      parts = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(parts);
}

/**
 * A slice of them.
 *
 * @returns whether there may be more.
 */
export async function deleteChunks(db: Db, jobId: number): Promise<boolean> {
  const numbers = (await db('import_job_chunks')
    .where({ job_id: jobId })
    .orderBy('number')
    .limit(deletedAtOnce)
    .pluck('number')) as number[];
  if (numbers.length === 0) return false;
  await db<ChunkRow>('import_job_chunks').where({ job_id: jobId }).whereIn('number', numbers).delete();
  return numbers.length === deletedAtOnce;
}

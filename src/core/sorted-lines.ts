import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { Unavailable } from '../errors.js';

/** A line of a file, and the time that it is sorted by. */
export interface Line {
  readonly at: number;
  readonly text: string;
}

export interface SortedLines {
  readonly lines: number;
  /** Of all lines together. */
  readonly octets: number;
  /** Oldest first, by slices; once. */
  read(): AsyncGenerator<Line[]>;
  /** Frees what they take; to be called whatever happens, any number of times. */
  close(): Promise<void>;
}

/** What is sorted at once: few milliseconds. */
const sliceLines = 1000;

/** Lines of a block of the file: each run that is merged holds one of them. */
const blockLines = 250;

/**
 * Sorts lines by time in little memory, however many there are: runs of `linesHeld` are sorted, put into a file,
 * and merged when they are read. That few take no file at all. In memory there is at most one run, 32,000 lines,
 * and when they are merged, 250 lines of each of the others: 8,000 a million.
 *
 * The file has no name from its first moment on, so that nothing is left of it when the process dies, and is
 * encrypted with a key that is nowhere else: on a disk, what was deleted can often be read for a long time.
 *
 * @param linesHeld some 150 octets each.
 * @param folder the system's for temporary files (TMPDIR).
 * @throws Unavailable where the file cannot be written, as on a disk that is full, or cannot lose its name.
 */
export async function sortLines(
  slices: AsyncIterable<readonly Line[]>,
  { linesHeld = 32_000, folder = os.tmpdir() }: { linesHeld?: number; folder?: string } = {},
): Promise<SortedLines> {
  const runs: (() => AsyncGenerator<Line[]>)[] = [];
  let file: BlockFile | null = null;
  let held: Line[][] = [];
  let filling: Line[] = [];
  let [lines, octets, heldLines] = [0, 0, 0];
  const close = async () => {
    const closing = file;
    file = null;
    await closing?.close();
  };
  const finishSlice = () => {
    if (filling.length === 0) return;
    held.push(filling.sort(compare));
    heldLines += filling.length;
    filling = [];
  };
  try {
    for await (const slice of slices) {
      for (const line of slice) {
        octets += Buffer.byteLength(line.text);
        if (filling.push(line) === sliceLines) finishSlice();
      }
      lines += slice.length;
      if (heldLines < linesHeld) continue;
      file ??= await openBlockFile(folder);
      runs.push(await file.write(merged(held.map(inMemory))));
      held = [];
      heldLines = 0;
    }
    finishSlice();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ...{ lines, octets, close },
    read: () => merged([...runs.map((run) => run()), ...held.map(inMemory)]),
  };
}

/** Equal times in the order of their texts, so that the same lines come out the same. */
function compare(a: Line, b: Line): number {
  return a.at - b.at || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0);
}

// eslint-disable-next-line @typescript-eslint/require-await
async function* inMemory(lines: Line[]): AsyncGenerator<Line[]> {
  yield lines;
}

/** A run that is being merged: its first line, and the rest of its block. */
interface Head {
  readonly run: AsyncGenerator<Line[]>;
  line: Line;
  block: readonly Line[];
  /** Where in the block the line stands. */
  place: number;
}

/** Merges runs that are sorted each, by a heap of their first lines. */
async function* merged(runs: readonly AsyncGenerator<Line[]>[]): AsyncGenerator<Line[]> {
  const heap: Head[] = [];
  for (const run of runs) {
    const block = await nextBlock(run);
    if (block !== null) heap.push({ run, line: block[0], block, place: 0 });
  }
  for (let i = (heap.length >> 1) - 1; i >= 0; i--) sink(heap, i);
  let out: Line[] = [];
  for (let head = heap[0]; head !== undefined; head = heap[0]) {
    if (out.push(head.line) === blockLines) {
      yield out;
      out = [];
    }
    const next = head.block[++head.place];
    if (next !== undefined) head.line = next;
    else {
      const block = await nextBlock(head.run);
      if (block !== null) Object.assign(head, { block, line: block[0], place: 0 });
      else {
        const last = heap.pop();
        if (last !== undefined && last !== head) heap[0] = last;
      }
    }
    sink(heap, 0);
  }
  if (out.length > 0) yield out;
}

async function nextBlock(run: AsyncGenerator<Line[]>): Promise<[Line, ...Line[]] | null> {
  const step = await run.next();
  return step.done === true ? null : (step.value as [Line, ...Line[]]);
}

/** Lets a head go down to its place, the earliest being on top. */
function sink(heap: Head[], start: number): void {
  const sinking = heap[start];
  if (sinking === undefined) return;
  let at = start;
  for (;;) {
    let child = 2 * at + 1;
    let first = heap[child];
    const other = heap[child + 1];
    if (first !== undefined && other !== undefined && compare(other.line, first.line) < 0) {
      child++;
      first = other;
    }
    if (first === undefined || compare(sinking.line, first.line) <= 0) break;
    heap[at] = first;
    at = child;
  }
  heap[at] = sinking;
}

/** Some 200 KB, and a turn for everyone else. */
const blocksAWrite = 8;

interface BlockFile {
  /** @returns what reads the run again, from its beginning. */
  write(run: AsyncIterable<Line[]>): Promise<() => AsyncGenerator<Line[]>>;
  close(): Promise<void>;
}

async function openBlockFile(folder: string): Promise<BlockFile> {
  const name = path.join(folder, `signoff-${randomUUID()}`);
  const handle = await writing(() => open(name, 'wx+', 0o600));
  try {
    await writing(() => unlink(name));
  } catch (error) {
    await handle.close();
    // Some systems delete no file that is open. Nothing stands in it yet.
    await unlink(name).catch(() => undefined);
    throw error;
  }
  const key = randomBytes(32);
  let blocks = 0;
  let end = 0;
  /** One of its own for each block: no key stream is used twice. */
  const nonceOf = (block: number) => {
    const nonce = Buffer.alloc(16);
    nonce.writeUIntBE(block, 0, 6);
    return nonce;
  };
  return {
    async write(run) {
      const [firstBlock, start] = [blocks, end];
      const lengths: number[] = [];
      let waiting: Buffer[] = [];
      const flush = async () => {
        const octets = Buffer.concat(waiting);
        waiting = [];
        await writing(async () => {
          const { bytesWritten } = await handle.write(octets, 0, octets.length, end);
          if (bytesWritten !== octets.length) throw new Error('a disk took less than it was given');
        });
        end += octets.length;
      };
      for await (const block of run) {
        const cipher = createCipheriv('aes-256-ctr', key, nonceOf(blocks++));
        const octets = cipher.update(serialize(block.flatMap(({ at, text }) => [at, text])));
        lengths.push(octets.length);
        if (waiting.push(octets) === blocksAWrite) await flush();
      }
      await flush();
      return () =>
        readRun(handle, start, lengths, (octets, i) => {
          const decipher = createDecipheriv('aes-256-ctr', key, nonceOf(firstBlock + i));
          return decipher.update(octets);
        });
    },
    close: () => handle.close(),
  };
}

async function* readRun(
  handle: FileHandle,
  start: number,
  lengths: readonly number[],
  decrypt: (octets: Buffer, block: number) => Buffer,
): AsyncGenerator<Line[]> {
  let position = start;
  for (const [i, length] of lengths.entries()) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, position);
    if (bytesRead !== length) throw new Error('a file of sorted lines is shorter than it was written');
    position += length;
    const values = deserialize(decrypt(buffer, i)) as (number | string)[];
    const lines: Line[] = [];
    for (let at = 0; at < values.length; at += 2) {
      lines.push({ at: Number(values[at]), text: String(values[at + 1]) });
    }
    yield lines;
  }
}

async function writing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Unavailable('a temporary file cannot be written', { cause: error });
  }
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import { engineOf, type Db } from '../db/connect.js';
import {
  batchRows,
  store,
  type Batch,
  type ImportOptions,
  type ImportStep,
  type Record,
} from './import-batch.js';
import type { Layout } from './import-layout.js';
import { CutOff, textOctets } from './import-octets.js';
import { isRefusal, readRows } from './import-rows.js';
import { tagResolver } from './import-tags.js';
import type { List } from './lists.js';

export interface ImportEnd {
  /** Null where nothing could be read. */
  readonly layout: Layout | null;
  /** How many were read. */
  readonly lines: number;
  /** Why what lies behind the last line could not be read; null where the end was reached. */
  readonly cutOff: string | null;
}

/** What is told at once, where nearly all rows are refused. */
const mostRefusals = 1000;

/**
 * As many statements as the recorder has under way: the next batch is read and hashed meanwhile. SQLite takes
 * one at a time anyway, and between two a service on the same file gets its turn.
 */
const batchesAtOnce = { mysql: 2, sqlite: 1 } as const;

/**
 * Records what a file holds, in the order of its lines and in flat memory. A step comes once all up to its
 * line is committed, so whoever is cut off goes on behind the last one; recording a row twice is harmless.
 *
 * @param input a file's octets: text or CSV, UTF-8 or UTF-16, gzip or not.
 * @param record null only looks what would be taken.
 * @throws Refused before the first step, for a file that cannot be read so.
 * @throws Unavailable where the database is away for longer than patienceMs: which rows behind the last
 *   step were recorded is unknown then.
 */
export async function* importOptOuts(
  db: Db,
  list: List,
  input: AsyncIterable<Buffer>,
  options: ImportOptions,
  record: Record | null,
): AsyncGenerator<ImportStep, ImportEnd> {
  const resolveTags = tagResolver(db, list, options, record === null);
  const underWay: Promise<ImportStep>[] = [];
  const { batchRows: rows = batchRows } = options;
  const most = { rows, refusals: Math.min(rows, mostRefusals) };
  let batch = newBatch(0);
  let layout: Layout | null = null;
  let cutOff: string | null = null;
  let lines = 0;

  let octetsRead = 0;

  const onCutOff = (why: string) => void (cutOff = why);

  async function* flush(line: number): AsyncGenerator<ImportStep> {
    const full = batch;
    full.line = line;
    full.octets = octetsRead;
    batch = newBatch(line);
    const step = store(db, list, full, options, record);
    // Who waits for an earlier one must not be ended by this one.
    step.catch(() => undefined);
    underWay.push(step);
    if (underWay.length >= batchesAtOnce[engineOf(db).name]) yield* first();
  }
  async function* first(): AsyncGenerator<ImportStep> {
    const [oldest] = underWay;
    if (oldest === undefined) return;
    yield await oldest;
    void underWay.shift();
  }

  try {
    const counted = inPieces(input, (length) => void (octetsRead += length));
    const octets = inPieces(textOctets(counted, options.mostUnpacked));
    for await (const chunk of untilCutOff(readRows(octets, options), onCutOff)) {
      layout = chunk.layout;
      lines = chunk.line;
      for (const read of chunk.reads) {
        if (read.line < options.fromLine) continue;
        if (isRefusal(read)) batch.refusals.push(read);
        else batch.rows.push({ row: read, tags: await resolveTags(read, batch.warnings) });
        if (batch.rows.length < most.rows && batch.refusals.length < most.refusals) continue;
        yield* flush(read.line);
      }
    }
    if (batch.rows.length + batch.refusals.length > 0) {
      yield* flush(Math.max(batch.rows.at(-1)?.row.line ?? 0, batch.refusals.at(-1)?.line ?? 0));
    }
    while (underWay.length > 0) yield* first();
  } finally {
    await Promise.allSettled(underWay);
  }
  return { layout, lines, cutOff };
}

const pieceOctets = 16 * 1024;
const turnMs = 5;

/** So small that reading one takes a few milliseconds, and others have their turn in between. */
async function* inPieces(
  octets: AsyncIterable<Buffer>,
  onPiece: (length: number) => void = () => undefined,
): AsyncGenerator<Buffer> {
  let since = performance.now();
  for await (const chunk of octets) {
    for (let at = 0; at < chunk.length; at += pieceOctets) {
      const piece = chunk.subarray(at, at + pieceOctets);
      onPiece(piece.length);
      yield piece;
      if (performance.now() - since < turnMs) continue;
      await nextTurn();
      since = performance.now();
    }
  }
}

function newBatch(line: number): Batch {
  return { line, octets: 0, rows: [], refusals: [], warnings: [] };
}

/** What was read before the file broke off is taken like the rest. */
async function* untilCutOff<T>(chunks: AsyncIterable<T>, onCutOff: (why: string) => void): AsyncGenerator<T> {
  try {
    yield* chunks;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof CutOff) onCutOff(error.message);
    else if (syscall !== undefined && code !== undefined) onCutOff(`it cannot be read (${code})`);
    else throw error;
  }
}

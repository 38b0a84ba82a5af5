import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { logDownloadEnd } from '../core/downloads.js';
import type { Entry } from '../core/entries.js';
import { headOf, lineOf, type FileType } from '../core/entry-lines.js';
import { textsOf, type Format } from '../core/entry-texts.js';
import { noteFetch, type Fetch } from '../core/fetches.js';
import { readJoined, type JoinedEntries, type JoinedOptions } from '../core/joined-entries.js';
import { linesOfJoined } from '../core/joined-lines.js';
import { engineOf } from '../db/connect.js';
import type { Deps } from '../deps.js';
import { cutOff, cutOffWhenStalled } from './cut-off.js';

/** What is written at once: enough for the network, little enough for everyone else. */
const chunkOctets = 32 * 1024;

/** A download that is in the access log, and whose head is written. */
export interface ListFile {
  readonly slices: AsyncIterable<Entry[] | JoinedEntries>;
  readonly format: Format;
  readonly fileType: FileType;
  readonly isGzip: boolean;
  /** Of a single tag: it does not count as having come so far. */
  readonly isOfTag: boolean;
  readonly fetch: Fetch;
}

/**
 * All that suppresses, read ahead while no other download is under way: the database has more to do then than we have,
 * but nobody else is to wait for it. While this process records opt-outs, it takes
 * half of the time.
 */
export function wholeList(
  deps: Deps,
  listIds: readonly number[],
  options: JoinedOptions,
): ListFile['slices'] {
  const { db, state, recorder } = deps;
  const most = engineOf(db).name === 'sqlite' ? 1 : 2;
  return readJoined(db, listIds, {
    ...options,
    atOnce: () => (state.downloads.size > 1 ? 1 : most),
    isBusy: () => {
      const { waiting, inFlight } = recorder.load();
      return waiting + inFlight > 0;
    },
  });
}

/**
 * Sends the lines of a download to a mailer, and notes its end and how far it has brought the mailer: the same
 * whichever way it came in.
 */
export async function sendListFile(
  deps: Deps,
  { socket }: IncomingMessage,
  res: ServerResponse,
  { slices, format, fileType, isGzip, isOfTag, fetch }: ListFile,
): Promise<void> {
  const { db } = deps;
  const { extent, downloadId } = fetch;
  const written: Written = { entries: 0, pieces: [] };
  cutOffWhenStalled(res);
  const lines = linesOf(slices, { format, fileType, isDelta: extent === 'delta' }, written);
  const file = Readable.from(resettingOnFailure(res, lines), { objectMode: false });
  const octetsBefore = socket.bytesWritten;
  // Some deltas go through a whole list before their first line: the client is told that we are at work.
  res.flushHeaders();
  let isWhole = false;
  try {
    if (isGzip) await pipeline(file, createGzip({ level: 1, chunkSize: 64 * 1024 }), res);
    else await pipeline(file, res);
    isWhole = true;
  } finally {
    // The client has what it gets: what is noted now takes no place.
    deps.state.downloads.delete(res);
    const octets = socket.bytesWritten - octetsBefore;
    const entries = written.entries + linesIn(written.pieces);
    deps.metrics.download({ extent, format, isWhole, entries, octets });
  }
  try {
    await logDownloadEnd(db, downloadId, written.entries);
    if (!isOfTag) await noteFetch(db, fetch, deps.config.databaseTimeoutMs);
  } catch (error) {
    deps.log.warn({ err: error }, 'the end of a download could not be logged');
  }
}

interface Written {
  entries: number;
  /** Of a slice that is on its way: its lines are counted only where it is cut off there. */
  pieces: Buffer[];
}

async function* linesOf(
  slices: AsyncIterable<Entry[] | JoinedEntries>,
  { format, fileType, isDelta }: { format: Format; fileType: FileType; isDelta: boolean },
  written: Written,
): AsyncGenerator<Buffer> {
  let text = headOf(fileType, format, isDelta);
  for await (const slice of slices) {
    if (!Array.isArray(slice)) {
      if (text !== '') yield Buffer.from(text);
      text = '';
      for (const lines of linesOfJoined(slice, format, fileType)) {
        yield lines;
        written.pieces.push(lines);
        await everyoneElse();
      }
      written.entries += slice.count;
      written.pieces = [];
    }
    for (const entry of Array.isArray(slice) ? slice : slice.others) {
      const change = isDelta ? (entry.isSuppressed ? 'add' : 'remove') : null;
      const texts = textsOf(entry, format);
      if (texts.length > 0) written.entries++;
      for (const line of texts) text += lineOf(line, fileType, change);
      if (text.length >= chunkOctets) {
        yield Buffer.from(text);
        text = '';
        await everyoneElse();
      }
    }
    // SQLite answers without ever leaving this turn of the event loop.
    await everyoneElse();
  }
  if (text !== '') yield Buffer.from(text);
}

function linesIn(pieces: readonly Buffer[]): number {
  let lines = 0;
  for (const piece of pieces) for (const octet of piece) if (octet === 0x0a) lines++;
  return lines;
}

function everyoneElse(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * A file that broke off must not look whole. To a client that knows chunks the missing last one tells;
 * to an HTTP/1.0 client the connection's end is the file's end, so it is reset, not closed.
 */
async function* resettingOnFailure(
  res: ServerResponse,
  lines: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  try {
    yield* lines;
  } catch (error) {
    cutOff(res);
    throw error;
  }
}

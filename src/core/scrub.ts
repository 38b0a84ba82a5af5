import { setImmediate as everyoneElse } from 'node:timers/promises';
import type { Db } from '../db/connect.js';
import { checkItems, type CheckOptions, type Item } from './check.js';
import { linesIn } from './csv.js';
import { textOctets } from './import-octets.js';
import { decoded } from './import-layout.js';
import { itemsIn } from './items.js';

/** Which lines come back: those that must not be mailed, or those that may be. */
export const returns = ['black', 'white'] as const;
export type Returns = (typeof returns)[number];

/** What a scrub has come to so far. */
export interface Scrubbed {
  /** Lines that are an address or a hash. */
  items: number;
  suppressed: number;
  /** Lines that are neither, blank ones aside: they come back in no list. */
  refused: number;
  /** The first of these, from 1. */
  readonly refusedLines: number[];
}

/** How many refused lines are told. */
const mostTold = 20;

/**
 * What waits to be asked about at once. For SHA-256s the list is read once a batch, so they come in as large ones
 * as memory allows: some 40 MB with what is made of it.
 */
const batchItems = 20_000;
const batchSha256s = 100_000;
const batchOctets = 8 * 1024 * 1024;

/** Lines that are read, and octets that are given, between two looks at what everyone else wants. */
const linesAtOnce = 500;
const chunkOctets = 32 * 1024;

/**
 * Holds a mailer's file against a list and the global list of its account: an address, an MD5 or a SHA-256 a
 * line, of any kind in any order. Lines come back octet for octet as they came, with their line ends (UTF-16
 * as UTF-8), in their order, repeated ones as often; black and white list together are the file, but for
 * lines that are blank or refused.
 *
 * A line that is no item is in neither list: nobody can say whether it may be mailed.
 *
 * @param input text as `textOctets` takes it, gzip and UTF-16 included.
 * @param scrubbed is counted up meanwhile.
 * @throws Refused for what is no text, CutOff for a gzip file that is cut off or damaged.
 */
export async function* scrub(
  db: Db,
  listId: number,
  input: AsyncIterable<Buffer>,
  { returns, ...options }: { readonly returns: Returns } & CheckOptions,
  scrubbed: Scrubbed,
): AsyncGenerator<Buffer> {
  let batch = newBatch();
  for await (const lines of linesIn(textOctets(input), { cutsLong: true })) {
    options.signal?.throwIfAborted();
    for (const [i, { number, text, end, isCut }] of lines.entries()) {
      if (i % linesAtOnce === linesAtOnce - 1) await everyoneElse();
      const line = number === 1 ? text.replace(bom, '') : text;
      const items = isCut ? [] : itemsOf(line);
      if (items === null) continue;
      if (items.length === 0) {
        scrubbed.refused++;
        if (scrubbed.refusedLines.length < mostTold) scrubbed.refusedLines.push(number);
        continue;
      }
      scrubbed.items++;
      batch.texts.push(line + end);
      batch.ends.push(batch.items.push(...items));
      if (items.some((item) => 'sha256' in item)) batch.sha256s++;
      batch.octets += line.length + end.length;
      const others = batch.items.length - batch.sha256s;
      if (others < batchItems && batch.sha256s < batchSha256s && batch.octets < batchOctets) continue;
      yield* settled(batch);
      batch = newBatch();
    }
  }
  yield* settled(batch);

  async function* settled({ texts, items, ends }: Batch): AsyncGenerator<Buffer> {
    if (items.length === 0) return;
    const lists = await checkItems(db, listId, items, options);
    let begin = 0;
    let chunk = '';
    for (const [i, text] of texts.entries()) {
      const end = ends[i] ?? begin;
      const isSuppressed = lists.slice(begin, end).some((ids) => ids.length > 0);
      begin = end;
      if (isSuppressed) scrubbed.suppressed++;
      if (isSuppressed !== (returns === 'black')) continue;
      chunk += text;
      if (chunk.length < chunkOctets) continue;
      yield Buffer.from(chunk, 'latin1');
      chunk = '';
      await everyoneElse();
    }
    if (chunk !== '') yield Buffer.from(chunk, 'latin1');
  }
}

/** Lines, and what they ask about: those of line i end at `ends[i]` in `items`. */
interface Batch {
  readonly texts: string[];
  readonly items: Item[];
  readonly ends: number[];
  sha256s: number;
  octets: number;
}

function newBatch(): Batch {
  return { texts: [], items: [], ends: [], sha256s: 0, octets: 0 };
}

const bom = /^\u00EF\u00BB\u00BF/;

/**
 * What a line asks about: nothing at all for a line that is none; null for a blank one.
 *
 * @param octets Latin-1.
 */
function itemsOf(octets: string): readonly Item[] | null {
  const text = unquoted(decoded(octets).trim());
  if (text === '') return null;
  const items = itemsIn(text);
  return typeof items === 'string' ? [] : items;
}

/** Some write every field of a CSV in quotes; no address ends in one. */
function unquoted(text: string): string {
  return text.length > 1 && text.startsWith('"') && text.endsWith('"')
    ? text.slice(1, -1).replaceAll('""', '"').trim()
    : text;
}

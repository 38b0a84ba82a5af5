import { setTimeout as pause } from 'node:timers/promises';
import { engineOf, rowsOf, type Db } from '../db/connect.js';
import { joinedOctets } from '../db/engine.js';
import { entryOf, mostTelling, type Entry, type Named } from './entries.js';
import type { EntriesOptions } from './entry-rows.js';
import type { Format } from './entry-texts.js';
import { halvesOf, keyRanges, type KeyRange } from './key-ranges.js';
import { EVERYTHING, LIVE } from './opt-outs.js';

/** What some keys of a list suppress. */
export interface JoinedEntries {
  /**
   * Most of it, as the database has joined it: addresses with a line feed between them; for MD5s the hashes,
   * `md5Octets` each, with nothing between them.
   */
  readonly joined: readonly Buffer[];
  /** How many entries that is. */
  readonly count: number;
  /** The rest. */
  readonly others: readonly Entry[];
}

export interface JoinedOptions extends EntriesOptions {
  readonly format: Format;
  /** How many statements may be under way at the moment, each on a connection of its own. */
  readonly atOnce?: () => number;
  /** Whether others are at work who would wait: it rests between two statements as long as one took, then. */
  readonly isBusy?: () => boolean;
}

export const md5Octets = 16;

/** A statement may have waited for others. */
const longestRestMs = 200;

/** Ranges that hold nothing else until the next one is read as if there were nothing else. */
const patience = 8;

const everything = literal(EVERYTHING);
/** What begins each label of a domain that has a Unicode form: an address with one has two hashes. */
const aceMark = literal('xn--');

/**
 * All that suppresses, each address once, as `readEntries` has it, several times as fast. Of most addresses there is
 * one row, which says that it left everything: nothing has to be decided about those, and the database joins them to
 * one value. Memory stays flat; within some thousand keys there is no order.
 *
 * Each range of keys is read by one statement, so that an address that moves from one row, or list, to another
 * meanwhile is found on one of them.
 *
 * @param listIds the lists that count: one, or a list and the global one.
 */
export async function* readJoined(
  db: Db,
  listIds: readonly number[],
  options: JoinedOptions,
): AsyncGenerator<JoinedEntries> {
  const { atOnce = () => 1, isBusy = () => false } = options;
  let [startedAt, endedAt] = [0, 0];
  const underWay: Promise<JoinedEntries>[] = [];
  // Of two lists, what one has may stand on the other.
  let expectingOthers = listIds.length > 1 ? Infinity : 0;

  async function read(range: KeyRange): Promise<JoinedEntries> {
    startedAt = performance.now();
    try {
      return await decided(range);
    } finally {
      endedAt = performance.now();
    }
  }

  /** As long as the last statement has taken, which others may have used already. */
  async function rest(): Promise<void> {
    const tookMs = Math.min(endedAt - startedAt, longestRestMs);
    await pause(Math.max(0, endedAt + tookMs - performance.now()));
  }

  async function decided(range: KeyRange): Promise<JoinedEntries> {
    if (expectingOthers === 0) {
      const found = await readRange(db, listIds, range, options, false);
      if (found.count === found.rows) return found;
    }
    const found = await readRange(db, listIds, range, options, true);
    const least = found.others.length > 0 ? patience : 0;
    expectingOthers = Math.max(least, expectingOthers - 1);
    return found;
  }

  try {
    for await (const range of keyRanges(db, listIds)) {
      if (isBusy()) {
        await Promise.allSettled(underWay);
        await rest();
      }
      const reading = read(range);
      // Who waits for an earlier one must not be ended by this one.
      reading.catch(() => undefined);
      underWay.push(reading);
      while (underWay.length >= atOnce()) yield await (underWay.shift() as Promise<JoinedEntries>);
    }
    for (const reading of underWay) yield await reading;
  } finally {
    await Promise.allSettled(underWay);
  }
}

interface Found extends JoinedEntries {
  /** How many suppress, joined or not. */
  readonly rows: number;
}

async function readRange(
  db: Db,
  listIds: readonly number[],
  range: KeyRange,
  options: JoinedOptions,
  withOthers: boolean,
): Promise<Found> {
  const selects = listIds.map((_, at) => selectOf(db, listIds, at, range, options, withOthers));
  const found = rowsOf<{ joined: Buffer | null; others: Buffer | null; live: number | string }>(
    db,
    await db.raw(
      selects.map(({ sql }) => sql).join(' UNION ALL '),
      selects.flatMap(({ bindings }) => bindings),
    ),
  );
  const texts = found.map(({ others }) => others?.toString('latin1') ?? '');
  const joined = found.flatMap((row) => row.joined ?? []);
  if ([...joined, ...texts].some(({ length }) => length >= joinedOctets)) {
    const [lower, upper] = halvesOf(range);
    const one = await readRange(db, listIds, lower, options, withOthers);
    const other = await readRange(db, listIds, upper, options, withOthers);
    return {
      joined: [...one.joined, ...other.joined],
      count: one.count + other.count,
      others: [...one.others, ...other.others],
      rows: one.rows + other.rows,
    };
  }
  const countOf = options.format === 'md5' ? hashesIn : linesIn;
  return {
    joined,
    count: sum(joined.map(countOf)),
    others: entriesOf(texts.flatMap((text) => (text === '' ? [] : text.split('\n')))),
    rows: sum(found.map(({ live }) => Number(live))),
  };
}

/** What the list at a place has in a range that none before it has. */
function selectOf(
  db: Db,
  listIds: readonly number[],
  place: number,
  range: KeyRange,
  { format, tag, at }: JoinedOptions,
  withOthers: boolean,
): { sql: string; bindings: (number | Buffer)[] } {
  const { byIndex, joined } = engineOf(db);
  const [value, separator] = format === 'md5' ? ['opt_outs.address_key', ''] : ['opt_outs.address', '\n'];
  const isPlain = (row: string) =>
    `${row}.tag = ${everything} AND ` +
    (format === 'plain' ? `${row}.address IS NOT NULL` : `INSTR(${row}.address, ${aceMark}) = 0`);
  const isPlainOn = (lists: readonly number[]) =>
    `EXISTS (SELECT 1 FROM opt_outs AS plain WHERE plain.list_id IN (${lists.map(() => '?').join(', ')})
      AND plain.address_key = opt_outs.address_key AND ${isPlain('plain')} AND ${isLive('plain')})`;

  const earlier = listIds.slice(0, place);
  const isFirst = earlier.length === 0 ? '' : `AND NOT ${isPlainOn(earlier)}`;
  const plain = `CASE WHEN ${isPlain('opt_outs')} ${isFirst} THEN ${value} END`;
  const other = `CASE WHEN NOT ${isPlainOn(listIds)} THEN CONCAT(HEX(opt_outs.address_key),
    ' ', COALESCE(HEX(opt_outs.address), ''), ' ', COALESCE(HEX(opt_outs.sha256), '')) END`;
  const others = `CASE WHEN ${isPlain('opt_outs')} THEN NULL ELSE ${other} END`;
  const ofTag = tag === undefined ? '' : 'AND opt_outs.tag IN (?, ?)';
  return {
    sql: `SELECT ${joined(plain, separator)} AS joined, ${withOthers ? joined(others, '\n') : 'NULL'} AS others,
        COUNT(*) AS live
      FROM opt_outs ${byIndex(null)}
      WHERE opt_outs.list_id = ? AND opt_outs.address_key > ? AND opt_outs.address_key <= ?
        AND ${isLive('opt_outs')} ${ofTag}`,
    bindings: [
      ...(earlier.length === 0 ? [] : [...earlier, at]),
      ...(withOthers ? [...listIds, at] : []),
      ...[listIds[place] ?? 0, range.after, range.upTo, at],
      ...(tag === undefined ? [] : [Buffer.from(EVERYTHING), Buffer.from(tag)]),
    ],
  };
}

function isLive(row: string): string {
  return `(${LIVE.replace(/removed_at|expires_at/g, (column) => `${row}.${column}`)})`;
}

/** Rows of one address come to one entry. */
function entriesOf(lines: readonly string[]): Entry[] {
  const found = new Map<string, Named[]>();
  for (const line of lines) {
    const [key = '', address = '', sha256 = ''] = line.split(' ');
    const row = {
      address_key: Buffer.from(key, 'hex'),
      address: address === '' ? null : Buffer.from(address, 'hex'),
      sha256: sha256 === '' ? null : Buffer.from(sha256, 'hex'),
    };
    const rows = found.get(key);
    if (rows === undefined) found.set(key, [row]);
    else rows.push(row);
  }
  return [...found.values()].flatMap(([row, ...others]) =>
    row === undefined ? [] : entryOf(mostTelling(row, others), true),
  );
}

function hashesIn(octets: Buffer): number {
  return octets.length / md5Octets;
}

function linesIn(octets: Buffer): number {
  let lines = 1;
  for (let at = 0; at < octets.length; at++) if (octets[at] === 0x0a) lines++;
  return lines;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => one + other, 0);
}

function literal(text: string): string {
  return `X'${Buffer.from(text).toString('hex')}'`;
}

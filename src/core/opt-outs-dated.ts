import { setImmediate as everyoneElse } from 'node:timers/promises';
import type { Db } from '../db/connect.js';
import { behind, type Key } from './audit-slices.js';
import { liveRows } from './entry-rows.js';
import { EVERYTHING } from './opt-outs.js';
import { optOutsBetween } from './opt-outs-by-time.js';
import { refuseWhileRestoring } from './removals-under-way.js';

/** One address leaving a list, or one tag of it, with its day. */
export interface DatedOptOut {
  /** When they left: UTC milliseconds. */
  readonly createdAt: number;
  /** Normalised. */
  readonly address: string;
  /** Empty: everything. */
  readonly tag: string;
}

export interface DatedOptions {
  /** When they left: from then on, and before then; UTC milliseconds. */
  readonly from: number | null;
  readonly to: number | null;
  /** Only opt-outs of exactly this tag. */
  readonly tag: string | null;
  readonly accepts: (address: string) => boolean;
  /** UTC milliseconds; expiries are held against it throughout. */
  readonly at: number;
}

interface Row extends Key {
  readonly address: Buffer | null;
  readonly created_at: number;
  readonly removed_at: number | null;
  readonly expires_at: number | null;
}

/** Few milliseconds a query on SQLite, whose driver blocks the process meanwhile. */
const sliceRows = 1000;

/** So that the look-ups have few enough keys for the range optimizers of all servers. */
const keysAtOnce = 500;

/**
 * All that suppresses, one by one, in flat memory, in no order that means anything: entries of which only a
 * hash is known are left out. A slice may be empty.
 *
 * No index tells when somebody left, and the recorder would pay for one with each opt-out. Without `from`, a
 * list is gone through by its key. With it, by the feed from that time on, since nobody leaves after we learn
 * of it: whoever asks for yesterday each day does not go through the years before.
 *
 * @param listIds a list, and the global one of its account: what both hold under one tag comes once, as the
 *   list itself has it.
 * @throws Unavailable where the keeper is too far behind (opt-outs-by-time.ts); without `from`, while a removal is
 *   being taken back.
 */
export async function* datedOptOuts(
  db: Db,
  listIds: readonly number[],
  options: DatedOptions,
): AsyncGenerator<DatedOptOut[]> {
  const [own = 0] = listIds;
  if (options.from === null) await refuseWhileRestoring(db, listIds);
  for (const listId of listIds) {
    for await (const rows of rowsOf(db, listId, options)) {
      const wanted = rows.filter((row) => isWanted(row, options));
      const left = listId === own ? wanted : await withoutThoseOf(db, own, wanted, options);
      yield left.map(({ created_at, address, tag }) => ({
        createdAt: created_at,
        address: String(address),
        tag: tag.toString() === EVERYTHING ? '' : tag.toString(),
      }));
      // SQLite answers without ever leaving this turn of the event loop.
      await everyoneElse();
    }
  }
}

function rowsOf(db: Db, listId: number, { from, to, at }: DatedOptions): AsyncGenerator<Row[]> {
  if (from === null) return rowsByKey(db, listId);
  return optOutsBetween(db, listId, { from, to: to ?? Number.MAX_SAFE_INTEGER, at });
}

async function* rowsByKey(db: Db, listId: number): AsyncGenerator<Row[]> {
  for (let last: Row | undefined; ;) {
    const rows: Row[] = await db('opt_outs as o')
      .where({ list_id: listId })
      .modify((query) => behind(query, 'o', last))
      .orderBy(['address_key', 'tag'])
      .limit(sliceRows)
      .select('address_key', 'tag', 'address', 'created_at', 'removed_at', 'expires_at');
    if (rows.length > 0) yield rows;
    if (rows.length < sliceRows) return;
    last = rows.at(-1);
  }
}

function isWanted(row: Row, { to, tag, accepts, at }: DatedOptions): boolean {
  if (row.address === null || row.removed_at !== null) return false;
  if (row.expires_at !== null && row.expires_at <= at) return false;
  if (to !== null && row.created_at >= to) return false;
  return (tag === null || row.tag.toString() === tag) && accepts(row.address.toString());
}

async function withoutThoseOf(
  db: Db,
  listId: number,
  rows: readonly Row[],
  { at }: DatedOptions,
): Promise<Row[]> {
  const left: Row[] = [];
  for (let i = 0; i < rows.length; i += keysAtOnce) {
    const slice = rows.slice(i, i + keysAtOnce);
    const keys = slice.map((row) => row.address_key);
    const held = new Set((await liveRows(db, [listId], keys, { at })).map(nameOf));
    left.push(...slice.filter((row) => !held.has(nameOf(row))));
  }
  return left;
}

function nameOf({ address_key, tag }: Key): string {
  return `${address_key.toString('hex')} ${tag.toString('hex')}`;
}

import { setImmediate as everyoneElse } from 'node:timers/promises';
import type { Db } from '../db/connect.js';
import {
  changesOf,
  isToldOf,
  readAddresses,
  settled,
  standingOf,
  type ChangesOptions,
  type Entry,
} from './entries.js';
import { numberedRows, type EntriesOptions, type EntryRow } from './entry-rows.js';
import { refuseWhileRestoring } from './removals-under-way.js';

/**
 * A list and what changes in it, page by page: what a download and its deltas hold, for those who keep no
 * connection open. No page depends on what happens between it and the next.
 */

/** Rows that one page looks at, however few of them count: a fraction of a second. */
const mostRows = 20_000;

export interface ListPage {
  /** By key, each address once: at most as many as were asked for, and perhaps none. */
  readonly entries: readonly Entry[];
  /** The key behind which the next page begins; null: nothing follows. */
  readonly behind: Buffer | null;
}

/**
 * A page of all that suppresses. What is recorded behind its place meanwhile is on a later page.
 *
 * @throws Unavailable while a removal is being taken back.
 */
export async function readListPage(
  db: Db,
  listIds: readonly number[],
  { behind, limit }: { behind: Buffer; limit: number },
  options: EntriesOptions,
): Promise<ListPage> {
  await refuseWhileRestoring(db, listIds);
  const entries: Entry[] = [];
  let looked = 0;
  for await (const groups of readAddresses(db, listIds, behind)) {
    let key: Buffer | undefined;
    for (const group of groups) {
      entries.push(...standingOf(group, options));
      key = group[0]?.address_key;
      looked += group.length;
      if (entries.length >= limit) break;
    }
    if (key !== undefined && (entries.length >= limit || looked >= mostRows)) return { entries, behind: key };
    // SQLite answers without ever leaving this turn of the event loop.
    await everyoneElse();
  }
  return { entries, behind: null };
}

export interface ChangesPage {
  /** In the feed's order, as it stands now: at most as many as were asked for, and perhaps none. */
  readonly entries: readonly Entry[];
  /** Removals that `settle` can tell of alone. They count among as many as were asked for. */
  readonly doubtful: readonly EntryRow[];
  /** Up to this feed number, all is told. */
  readonly upTo: number;
}

/** A page of what has changed between two feed numbers: see readChanges. */
export async function readChangesPage(
  db: Db,
  listIds: readonly number[],
  { from, to, limit }: { from: number; to: number; limit: number },
  options: ChangesOptions,
): Promise<ChangesPage> {
  const entries: Entry[] = [];
  const doubtful: EntryRow[] = [];
  let limits: readonly number[] | undefined;
  let upTo = from;
  for (let looked = 0; looked < mostRows;) {
    const slice = await numberedRows(db, listIds, { after: upTo, to }, limits);
    limits = slice.limits;
    looked += slice.rows.length;
    const room = limit - entries.length - doubtful.length;
    const telling = slice.rows.filter((row) => isToldOf(row, options));
    const rows = telling.slice(0, room);
    const told = await changesOf(db, listIds, rows, options);
    entries.push(...told.entries);
    doubtful.push(...told.doubtful);
    const last = rows.length < telling.length ? rows.at(-1) : slice.isLast ? undefined : slice.rows.at(-1);
    if (last?.feed_number == null) return { entries, doubtful, upTo: to };
    upTo = last.feed_number;
    if (rows.length === room) break;
    await everyoneElse();
  }
  return { entries, doubtful, upTo };
}

/**
 * What has become of addresses of which only the SHA-256 was known. All that suppresses is gone through for
 * it, once for all of them: some seconds a million entries.
 */
export async function settle(
  db: Db,
  listIds: readonly number[],
  rows: readonly EntryRow[],
  options: EntriesOptions & { readonly signal?: AbortSignal },
): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const some of settled(db, listIds, rows, options)) {
    options.signal?.throwIfAborted();
    entries.push(...some);
    await everyoneElse();
  }
  return entries;
}

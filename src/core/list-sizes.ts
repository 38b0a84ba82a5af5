import type { Db } from '../db/connect.js';

/** What lists held some hours ago: of each a note every three hours, for a little more than a day. */

const hourMs = 3_600_000;
const everyMs = 3 * hourMs;
const dayMs = 24 * hourMs;
const keptMs = dayMs + 3 * everyMs;

interface SizeRow {
  list_id: number;
  at: number;
  entries: number;
}

export interface Size {
  readonly now: number;
  /** A day ago, or up to three hours before; null where that is not known. */
  readonly dayBefore: number | null;
}

/** What some lists hold and held; notes it where the last note is old enough. */
export async function sizesOf(db: Db, listIds: readonly number[], now: number): Promise<Map<number, Size>> {
  const counts: { list_id: number; entries: number | string }[] = await db('list_counts')
    .whereIn('list_id', listIds)
    .select('list_id', db.raw('addresses + md5_only + sha256_only + erased AS entries'));
  const notes = await db<SizeRow>('list_sizes')
    .whereIn('list_id', listIds)
    .where('at', '>', now - keptMs)
    .orderBy('at');
  const sizes = new Map<number, Size>();
  for (const count of counts) {
    const entries = Number(count.entries);
    const own = notes.filter((note) => note.list_id === count.list_id);
    const before = own.filter(({ at }) => at <= now - dayMs).at(-1);
    sizes.set(count.list_id, { now: entries, dayBefore: before?.entries ?? null });
    if ((own.at(-1)?.at ?? 0) > now - everyMs) continue;
    await db('list_sizes')
      .insert({ list_id: count.list_id, at: now, entries })
      .onConflict(['list_id', 'at'])
      .merge({ entries });
  }
  return sizes;
}

const rowsAtOnce = 500;

/** @returns whether there may be more to do at once. */
export async function forgetSizes(db: Db, now: number): Promise<boolean> {
  const times = (await db('list_sizes')
    .where('at', '<=', now - keptMs)
    .orderBy('at')
    .limit(rowsAtOnce)
    .pluck('at')) as number[];
  const last = times.at(-1);
  if (last === undefined) return false;
  await db('list_sizes').where('at', '<=', last).delete();
  return times.length === rowsAtOnce;
}

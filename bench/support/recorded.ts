import type { List } from '../../src/core/lists.js';
import type { Db } from '../../src/db/connect.js';
import type { Setting } from '../bench.js';
import { loadOf, type Load, type Loaded } from './load.js';
import { countRows, newList, untilNumbered, type BenchDatabase } from './service.js';

/**
 * A load of which every request records an opt-out of its own, into a list of its own: what an earlier window
 * left under way cannot be mistaken for this one's.
 *
 * @returns what wrk saw; `perSecond` counts the time after it until every row has its number as well.
 * @throws Error where an answer was no yes, or there are not as many rows as there were yeses.
 */
export async function recordedLoadOf(
  setting: Setting,
  database: BenchDatabase,
  loadOn: (list: List) => Load,
): Promise<Loaded> {
  const list = await newList(database);
  return recordedLoadInto(setting, database, list, loadOn(list));
}

/** The same, into a list that may have rows already. */
export async function recordedLoadInto(
  setting: Setting,
  database: BenchDatabase,
  list: List,
  { connections = 64, ...load }: Load,
): Promise<Loaded> {
  const standing = await addressesOf(database.db, list);
  const loaded = await loadOf(setting, { ...load, connections });
  const lateMs = await untilNumbered(database.db, list);
  const rows =
    standing === 0 ? await countRows(database.db, list) : (await addressesOf(database.db, list)) - standing;
  const { requests, perSecond, notOk, broken } = loaded;
  if (notOk > 0 || broken > 0) {
    throw new Error(`${load.path}: of ${requests} requests ${notOk} were refused and ${broken} broke`);
  }
  if (requests === 0) throw new Error(`${load.path}: not one answer within the window`);
  // What was under way when wrk stopped is recorded, and not counted by it.
  if (rows < requests || rows > requests + connections) {
    throw new Error(`${load.path}: ${requests} yeses, but ${rows} rows`);
  }
  const windowMs = (requests / perSecond) * 1000;
  return { ...loaded, perSecond: (requests / (windowMs + lateMs)) * 1000 };
}

/** As the service counts them while it numbers: to count the rows of a large list takes many seconds. */
async function addressesOf(db: Db, list: List): Promise<number> {
  const row = await db<{ list_id: number; addresses: number }>('list_counts')
    .where({ list_id: list.id })
    .first('addresses');
  return Number(row?.addresses ?? 0);
}

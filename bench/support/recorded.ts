import type { List } from '../../src/core/lists.js';
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
  const { connections = 64, ...load } = loadOn(list);
  const loaded = await loadOf(setting, { ...load, connections });
  const lateMs = await untilNumbered(database.db, list);
  const rows = await countRows(database.db, list);
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

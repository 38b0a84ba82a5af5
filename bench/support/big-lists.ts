import type { List } from '../../src/core/lists.js';
import { connect } from '../../src/db/connect.js';
import type { Setting } from '../bench.js';
import { plantRows } from './many-rows.js';
import { newDatabase, newList, type BenchDatabase, type EngineName } from './service.js';

/** Lists of the addresses of `addressOfNumber`, which several benches share: to fill them takes minutes. */
export interface BigLists {
  /** Ten million on MariaDB, one on SQLite. */
  readonly largest: List;
  /** Five million on MariaDB, on SQLite the same list. */
  readonly downloaded: List;
  readonly rowsOf: (list: List) => number;
}

type Planted = BigLists & Omit<BenchDatabase, 'db' | 'close'>;

const planted = new Map<EngineName, Promise<Planted | null>>();

/** @returns null for MariaDB where no server is installed. */
export async function withBigLists<T>(
  setting: Setting,
  engine: EngineName,
  work: (database: BenchDatabase, lists: BigLists) => Promise<T>,
): Promise<T | null> {
  if (!planted.has(engine)) planted.set(engine, plant(setting, engine));
  const found = await planted.get(engine);
  if (found === null || found === undefined) return null;
  const { url, accountId } = found;
  const db = connect(url, { timeoutMs: 600_000, poolSize: 4 });
  try {
    return await work({ engine, url, db, accountId, close: () => db.destroy() }, found);
  } finally {
    await db.destroy();
  }
}

async function plant(setting: Setting, engine: EngineName): Promise<Planted | null> {
  const database = await newDatabase(setting, engine, 'big');
  if (database === null) return null;
  const rows = (millions: number) => setting.rows(millions * 1_000_000);
  const largest = await newList(database);
  const downloaded = engine === 'mysql' ? await newList(database) : largest;
  const counts = new Map([[largest.id, rows(engine === 'mysql' ? 10 : 1)]]);
  if (engine === 'mysql') counts.set(downloaded.id, rows(5));
  setting.say(
    `  filling lists with ${[...counts.values()].map((count) => count.toLocaleString('en')).join(' and ')} rows`,
  );
  await plantRows(
    database,
    [...counts].map(([id, count]) => ({ id, count })),
  );
  await database.close();
  return { ...database, largest, downloaded, rowsOf: ({ id }) => counts.get(id) ?? 0 };
}

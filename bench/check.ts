import { createPool, type Pool } from 'mysql2/promise';
import Database from 'better-sqlite3';
import { entryKeysOf } from '../src/core/address.js';
import type { List } from '../src/core/lists.js';
import { sqlitePath } from '../src/db/sqlite.js';
import type { Bench, Figure, Setting } from './bench.js';
import { apiClient } from './support/api.js';
import { withBigLists } from './support/big-lists.js';
import { addressOfNumber } from './support/many-rows.js';
import { engineNames, engines, startService, type BenchDatabase } from './support/service.js';

const itemsAtOnce = 1000;
/** Requests, or statements, under way at a time. */
const atOnce = 4;

/** Addresses held against a list by our own API, a thousand a request; half of them are on it. */
export const check: Bench = {
  name: 'check',
  says: 'addresses in thousands, held against a list by the API',
  async run(setting) {
    const figures: Figure[] = [];
    for (const engine of engines) {
      const found = await withBigLists(setting, engine, async (database, { largest, rowsOf }) => {
        const rows = rowsOf(largest);
        const { ours, baseline } = await measure(setting, database, largest, rows);
        return {
          what: `check of addresses, ${rows.toLocaleString('en')} rows, ${engineNames[engine]}`,
          against: 'the bare query by the keys of as many',
          toReach: '0.80',
          ...{ ours, baseline, unit: 'addresses/s', atLeast: 0.8 },
        };
      });
      if (found !== null) figures.push(found);
    }
    return figures;
  },
};

async function measure(setting: Setting, database: BenchDatabase, list: List, rows: number) {
  const service = await startService({ DATABASE_URL: database.url, API_REQUESTS_PER_MINUTE: '1000000' });
  const call = await apiClient(database, service, ['read']);
  const bare = bareQueryOn(database, list);
  const ours: number[] = [];
  const baseline: number[] = [];
  let asked = 0;
  // From all over the list, and as many again beyond it.
  const stride = Math.floor(1.236 * rows) | 1;
  const next = () =>
    Array.from({ length: itemsAtOnce }, () => addressOfNumber((asked++ * stride) % (2 * rows)));
  const askService = async () => {
    const items = next();
    const { suppressed } = (await call(
      'POST',
      `/lists/${list.publicId}/check`,
      JSON.stringify({ items }),
    )) as {
      suppressed: number;
    };
    if (suppressed === 0 || suppressed === itemsAtOnce) throw new Error(`${suppressed} of half were found`);
  };
  const askDatabase = () =>
    bare.ask(
      next()
        .flatMap(entryKeysOf)
        .sort((a, b) => Buffer.compare(a, b)),
    );
  try {
    for (const ask of [askService, askDatabase]) await rateOf(ask, Math.min(setting.windowMs, 1000));
    for (let round = 0; round < setting.rounds; round++) {
      setting.say(`  ${engineNames[database.engine]}, round ${round + 1} of ${setting.rounds}`);
      baseline.push(await rateOf(askDatabase, setting.windowMs));
      ours.push(await rateOf(askService, setting.windowMs));
    }
  } finally {
    await Promise.all([service.stop(), bare.close()]);
  }
  return { ours, baseline };
}

/** Addresses a second. */
async function rateOf(ask: () => Promise<void>, ms: number): Promise<number> {
  const startedAt = performance.now();
  let asked = 0;
  const askOn = async () => {
    while (performance.now() - startedAt < ms) {
      await ask();
      asked += itemsAtOnce;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, askOn));
  return (asked / (performance.now() - startedAt)) * 1000;
}

interface BareQuery {
  readonly ask: (keys: readonly Buffer[]) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** What tells whether addresses stand on a list, by the keys that each can stand under; no more than that. */
function bareQueryOn({ engine, url }: BenchDatabase, list: List): BareQuery {
  const sqlFor = (keys: readonly Buffer[]) =>
    `SELECT address_key FROM opt_outs WHERE list_id = ${list.id} AND address_key IN (${keys.map(() => '?').join(', ')})
     AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > ${Date.now()})`;
  if (engine === 'sqlite') {
    const database = new Database(sqlitePath(url), { readonly: true });
    return {
      ask: (keys) =>
        Promise.resolve(
          void database
            .prepare(sqlFor(keys))
            .raw()
            .all(...keys),
        ),
      close: () => Promise.resolve(void database.close()),
    };
  }
  const pool: Pool = createPool({ uri: url, connectionLimit: atOnce });
  return {
    ask: async (keys) => void (await pool.query({ sql: sqlFor(keys), values: [...keys], rowsAsArray: true })),
    close: () => pool.end(),
  };
}

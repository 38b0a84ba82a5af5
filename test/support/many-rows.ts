import { hash } from 'node:crypto';
import Database from 'better-sqlite3';
import { createConnection } from 'mysql2/promise';
import type { Db } from '../../src/db/connect.js';
import { sqlitePath } from '../../src/db/sqlite.js';
import { engine } from './engine.js';

/**
 * Fills a list with opt-outs as fast as the engine makes them, numbered as if the keeper had been there:
 * `<padding><i>@example.com` for i from 0.
 */
export async function insertManyRows(
  databaseUrl: string,
  listId: number,
  count: number,
  padding = '',
): Promise<void> {
  if (engine === 'sqlite') {
    const database = new Database(sqlitePath(databaseUrl), { timeout: 10_000 });
    database.function('md5_of', { deterministic: true }, (text) => hash('md5', String(text), 'buffer'));
    database.pragma('synchronous = OFF');
    database.pragma('cache_size = -200000');
    for (const statement of statementsFor(listId, count, padding)) database.exec(statement);
    database.close();
    return;
  }
  const connection = await createConnection(databaseUrl);
  for (const statement of statementsFor(listId, count, padding)) await connection.query(statement);
  await connection.end();
}

/** Filling takes half the time without the two indexes that only searches use. */
export async function dropSearchIndexes(db: Db): Promise<void> {
  await db.schema.alterTable('opt_outs', (table) => {
    table.dropIndex([], 'opt_outs_address');
    table.dropIndex([], 'opt_outs_domain');
  });
}

function statementsFor(listId: number, count: number, padding: string): string[] {
  const isSqlite = engine === 'sqlite';
  const email = isSqlite ? `'${padding}' || n || '@example.com'` : `CONCAT('${padding}', n, '@example.com')`;
  const digits =
    '(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)';
  const places = Array.from({ length: String(count - 1).length }, (_, place) => `t${place}`);
  const numbers =
    `SELECT ${places.map((t, place) => `${t}.d * ${10 ** place}`).join(' + ')} AS n ` +
    `FROM ${places.map((t) => `${digits} AS ${t}`).join(' CROSS JOIN ')}`;
  const address = isSqlite ? `CAST(${email} AS BLOB)` : email;
  const key = isSqlite ? `md5_of(${email})` : `UNHEX(MD5(${email}))`;
  const first = '(SELECT last_number FROM feed WHERE id = 1)';
  const rows = `SELECT ${key} AS address_key, ${address} AS address FROM (${numbers}) AS numbers WHERE n < ${count}`;
  // SQLite works a key out for each place that it is read at, unless it has to keep it.
  const [kept, made] = isSqlite ? [`WITH made AS MATERIALIZED (${rows})`, 'made'] : ['', `(${rows}) AS made`];
  return [
    // In the order of the key: a tree that grows at its end is far quicker than one that grows everywhere.
    `${kept} INSERT INTO opt_outs (list_id, address_key, tag, address, created_at, recorded_at, last_at, source, feed_number, counted)
     SELECT ${listId}, address_key, X'2A', address, 1000, 1000, 1000, 'import',
       ${first} + ROW_NUMBER() OVER (ORDER BY address_key), 1
     FROM ${made}
     ORDER BY address_key`,
    `INSERT INTO list_counts (list_id, addresses, last_number)
     VALUES (${listId}, ${count}, (SELECT last_number + ${count} FROM feed WHERE id = 1))`,
    `UPDATE feed SET last_number = last_number + ${count} WHERE id = 1`,
  ];
}

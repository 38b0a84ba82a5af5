import { hash } from 'node:crypto';
import Database from 'better-sqlite3';
import { createConnection } from 'mysql2/promise';
import { sqlitePath } from '../../src/db/sqlite.js';
import type { BenchDatabase, EngineName } from './service.js';

const first = ['james', 'mary', 'john', 'anna', 'robert', 'linda', 'mia', 'yuki'];
const last = [
  'smith',
  'lee',
  'garcia',
  'mueller',
  'kowalski',
  'wu',
  'rossi',
  'tanaka',
  'dubois',
  'silva',
  'kim',
];
const domains = ['gmail.com', 'gmail.com', 'yahoo.com', 'gmail.com', 'outlook.com', 'gmx.de', 'docomo.ne.jp'];

/** The address of a number: no two numbers have the same one, and each is some 24 octets long. */
export function addressOfNumber(n: number): string {
  return `${at(first, n)}.${at(last, n)}${n}@${at(domains, n)}`;
}

/**
 * Fills empty lists with opt-outs from everything, as fast as the engine makes them and numbered as if the
 * keeper had been there: `addressOfNumber` of 0 and up, all of them since a second after 1970.
 *
 * In the order of the key, and into a table without its other indexes, which are made anew afterwards: what grows at
 * its end is far quicker than what grows everywhere.
 */
export async function plantRows(
  { engine, url }: BenchDatabase,
  lists: readonly { readonly id: number; readonly count: number }[],
): Promise<void> {
  const statements = [
    ...droppingOf(engine),
    ...lists.flatMap(({ id, count }) => plantingOf(engine, id, count)),
    ...indexingOf(engine),
  ];
  if (engine === 'mysql') {
    const connection = await createConnection(url);
    await connection.query('SET unique_checks = 0');
    for (const statement of statements) await connection.query(statement);
    await connection.end();
    return;
  }
  const database = new Database(sqlitePath(url), { timeout: 10_000 });
  database.function('address_of', { deterministic: true }, (n) => Buffer.from(addressOfNumber(Number(n))));
  database.function('md5_of', { deterministic: true }, (octets) => hash('md5', octets as Buffer, 'buffer'));
  database.pragma('synchronous = OFF');
  database.pragma('cache_size = -400000');
  for (const statement of statements) database.exec(statement);
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
}

const indexes = {
  opt_outs_feed: 'list_id, feed_number',
  opt_outs_address: 'list_id, standing_address',
  opt_outs_domain: 'list_id, domain',
};

function droppingOf(engine: EngineName): string[] {
  const names = Object.keys(indexes);
  if (engine === 'sqlite') return names.map((name) => `DROP INDEX ${name}`);
  return [`ALTER TABLE opt_outs ${names.map((name) => `DROP INDEX ${name}`).join(', ')}`];
}

function indexingOf(engine: EngineName): string[] {
  const made = Object.entries(indexes);
  if (engine === 'sqlite')
    return made.map(([name, columns]) => `CREATE INDEX ${name} ON opt_outs (${columns})`);
  const adding = made.map(([name, columns]) => `ADD INDEX ${name} (${columns})`).join(', ');
  return [`ALTER TABLE opt_outs ${adding}`, 'ANALYZE TABLE opt_outs'];
}

function plantingOf(engine: EngineName, listId: number, count: number): string[] {
  const isSqlite = engine === 'sqlite';
  const word = (words: readonly string[]) => `ELT(1 + n % ${words.length}, '${words.join(`', '`)}')`;
  const address = isSqlite
    ? 'address_of(n)'
    : `CONCAT(${word(first)}, '.', ${word(last)}, n, '@', ${word(domains)})`;
  const key = isSqlite ? 'md5_of(address)' : 'UNHEX(MD5(address))';
  const named = `SELECT n, ${address} AS address FROM (${numbersOf(engine, count)}) AS numbers WHERE n < ${count}`;
  const before = '(SELECT last_number FROM feed WHERE id = 1)';
  return [
    `INSERT INTO opt_outs (list_id, address_key, tag, address, created_at, recorded_at, last_at, source, feed_number, counted)
     SELECT ${listId}, ${key} AS address_key, X'2A', address, 1000, 1000, 1000, 'import', ${before} + n + 1, 1
     FROM (${named}) AS named
     ORDER BY address_key`,
    `UPDATE feed SET last_number = last_number + ${count} WHERE id = 1`,
    `INSERT INTO list_counts (list_id, addresses, last_number)
     VALUES (${listId}, ${count}, (SELECT last_number FROM feed WHERE id = 1))`,
  ];
}

/** The whole numbers from 0 to `count` - 1, and perhaps more. */
function numbersOf(engine: EngineName, count: number): string {
  if (engine === 'sqlite')
    return `WITH RECURSIVE series(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM series WHERE n < ${count}) SELECT n FROM series`;
  const digits = `(${Array.from({ length: 10 }, (_, digit) => `SELECT ${digit} AS d`).join(' UNION ALL ')})`;
  const places = Array.from({ length: String(count - 1).length }, (_, place) => `t${place}`);
  return (
    `SELECT ${places.map((t, place) => `${t}.d * ${10 ** place}`).join(' + ')} AS n ` +
    `FROM ${places.map((t) => `${digits} AS ${t}`).join(' CROSS JOIN ')}`
  );
}

function at(words: readonly string[], n: number): string {
  return words[n % words.length] ?? '';
}

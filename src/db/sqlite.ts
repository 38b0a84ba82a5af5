import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Database, Statement } from 'better-sqlite3';
import type { Knex } from 'knex';
import knex from 'knex';
import BetterSqlite3Dialect from 'knex/lib/dialects/better-sqlite3/index.js';
import { StartRefused } from '../errors.js';
import { clientNetworkOf } from './client-network.js';
import { silent, type ConnectOptions, type Engine, type Insertion, type SqlValue } from './engine.js';

export const sqliteEngine: Engine = {
  name: 'sqlite',
  straightJoin: 'CROSS JOIN',
  byIndex: (name) => (name === null ? '' : `INDEXED BY ${name}`),
  nullSafeEqual: 'IS',
  incoming: (column) => `excluded.${column}`,
  onRepeat: 'ON CONFLICT (list_id, address_key, tag) DO UPDATE SET',
  smaller: (a, b) => `MIN(${a}, ${b})`,
  larger: (a, b) => `MAX(${a}, ${b})`,
  joined: (sql, separator) => `CAST(group_concat(${sql}, '${separator}') AS BLOB)`,
  clientNetwork: (column) => `client_network(${column})`,
  insertRows,
  isUnavailable: (error) =>
    /^SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN|READONLY|NOMEM)/.test((error as { code?: string }).code ?? ''),
  isRetryable: (error) => /^SQLITE_(BUSY|LOCKED)/.test((error as { code?: string }).code ?? ''),
};

/** The driver is synchronous: while it waits for another process's write, nobody else is served. */
export const busyTimeoutMs = 50;

/**
 * Opens the one connection of the embedded database: WAL, and synchronous FULL, since the NORMAL that
 * better-sqlite3 is built with loses acknowledged rows in a power cut (sqlite.org/pragma.html#pragma_synchronous).
 *
 * @throws StartRefused where the driver is not installed.
 */
export function openSqlite(url: string, options: ConnectOptions): Knex {
  const filename = sqlitePath(url);
  mkdirSync(path.dirname(filename), { recursive: true, mode: 0o700 });

  class ImmediateDialect extends BetterSqlite3Dialect {
    // A deferred transaction that turns to writing fails at once when another process wrote meanwhile,
    // whatever its busy timeout; an immediate one waits at its start instead.
    override _query(connection: Database, query: Parameters<BetterSqlite3Dialect['_query']>[1]) {
      if (query.sql === 'BEGIN;') query.sql = 'BEGIN IMMEDIATE;';
      const rows = query.options?.rows as readonly (readonly SqlValue[])[] | undefined;
      if (rows !== undefined) return runForEach(connection, query, rows);
      return super._query({ prepare: (sql: string) => compiled(connection, sql) } as Database, query);
    }
  }
  try {
    return knex({
      client: ImmediateDialect as unknown as typeof Knex.Client,
      connection: { filename },
      useNullAsDefault: true,
      acquireConnectionTimeout: options.timeoutMs,
      // Otherwise the messages of errors would hold the values of their statements.
      compileSqlOnError: false,
      // Knex prints failed connections, with their stacks, to the standard output.
      log: silent,
      pool: {
        min: 1,
        max: 1,
        afterCreate: (connection: Database, done: (error: Error | null) => void) => {
          try {
            prepareConnection(connection);
            done(null);
          } catch (error) {
            done(error as Error);
          }
        },
      },
    });
  } catch (error) {
    throw new StartRefused(
      `The embedded database's driver, better-sqlite3, is not installed (${(error as Error).message.split('\n')[0]}).\n` +
        'Install a C++ compiler, make and python3, and run npm ci again; or set DATABASE_URL=mysql://…',
    );
  }
}

/** One statement, which is compiled once, for each of the rows in turn. */
async function insertRows(
  db: Knex,
  { into, columns, merge }: Insertion,
  rows: readonly (readonly SqlValue[])[],
) {
  const placeholders = Array(columns).fill('?').join(',');
  await db.raw(`INSERT INTO ${into} VALUES (${placeholders}) ${merge}`).options({ rows });
  return false;
}

// As the dialect does it, errors come by the promise.
// eslint-disable-next-line @typescript-eslint/require-await
async function runForEach(
  connection: Database,
  query: { sql?: string; response?: unknown },
  rows: readonly (readonly SqlValue[])[],
): Promise<unknown> {
  const statement = compiled(connection, query.sql ?? '');
  // An error rolls all of it back.
  connection.transaction(() => rows.forEach((row) => statement.run(row))).immediate();
  return query;
}

/** Of each connection, by their text; the one used last stands last. */
const statements = new WeakMap<Database, Map<string, Statement>>();
const statementsKept = 100;
/** Statements of many rows are as long as these are many: hardly any comes twice. */
const longestKept = 6000;

/** To compile a statement takes longer than most take to run. */
function compiled(connection: Database, sql: string): Statement {
  const kept = statements.get(connection) ?? new Map<string, Statement>();
  statements.set(connection, kept);
  const statement = kept.get(sql) ?? connection.prepare(sql);
  kept.delete(sql);
  if (sql.length <= longestKept) kept.set(sql, statement);
  const [oldest] = kept.keys();
  if (kept.size > statementsKept && oldest !== undefined) kept.delete(oldest);
  return statement;
}

/** The file of a `sqlite://` URL: sqlite:///absolute/path or sqlite://relative/path. */
export function sqlitePath(url: string): string {
  return decodeURIComponent(url.slice('sqlite://'.length).replace(/\?.*$/, ''));
}

function prepareConnection(connection: Database): void {
  connection.function('client_network', { deterministic: true }, (ip: unknown) =>
    typeof ip === 'string' ? clientNetworkOf(ip) : null,
  );
  // Two processes that switch a new file to WAL at once can fail with SQLITE_BUSY: wait longer here.
  connection.pragma('busy_timeout = 5000');
  connection.pragma('journal_mode = WAL');
  connection.pragma('synchronous = FULL');
  connection.pragma('foreign_keys = ON');
  // Fewer, larger checkpoints let recording go up to 1.4 times as fast.
  connection.pragma('wal_autocheckpoint = 4000');
  connection.pragma('temp_store = MEMORY');
  // What an erasure or the keeper deletes is overwritten, and not only given free; recording costs no more.
  connection.pragma('secure_delete = ON');
  connection.pragma('cache_size = -65536');
  connection.pragma(`busy_timeout = ${busyTimeoutMs}`);
  const mode = connection.pragma('journal_mode', { simple: true });
  const synchronous = connection.pragma('synchronous', { simple: true });
  if (mode !== 'wal' || synchronous !== 2) {
    throw new StartRefused(
      `SQLite runs with journal_mode ${String(mode)} and synchronous ${String(synchronous)}; WAL and FULL (2) are needed. Is the file on a network file system?`,
    );
  }
}

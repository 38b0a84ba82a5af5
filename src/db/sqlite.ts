import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Database } from 'better-sqlite3';
import type { Knex } from 'knex';
import knex from 'knex';
import BetterSqlite3Dialect from 'knex/lib/dialects/better-sqlite3/index.js';
import { StartRefused } from '../errors.js';
import { clientNetworkOf } from './client-network.js';
import { silent, type ConnectOptions, type Engine } from './engine.js';

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
  areAllNew: () => false,
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
      return super._query(connection, query);
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

import type { Knex } from 'knex';
import { Unavailable } from '../errors.js';
import type { ConnectOptions, Engine } from './engine.js';
import { checkMysql, mysqlEngine, openMysql } from './mysql.js';
import { openSqlite, sqliteEngine } from './sqlite.js';

/** A connection pool or a transaction on it: what core functions take first. */
export type Db = Knex;

/** Opens the database of a URL; nothing is connected before the first query. */
export function connect(url: string, options: ConnectOptions): Db {
  return url.startsWith('sqlite:') ? openSqlite(url, options) : openMysql(url, options);
}

/**
 * Tells whether this database keeps what it acknowledges.
 *
 * @returns what would be lost, where the operator accepted that; an empty list otherwise.
 * @throws StartRefused where it does not, and the operator has not accepted it.
 */
export async function checkDurability(db: Db, acceptLosingOptOuts: boolean): Promise<string[]> {
  return engineOf(db) === sqliteEngine ? [] : checkMysql(db, acceptLosingOptOuts);
}

export function engineOf(db: Db): Engine {
  const client = db.client as { driverName: string };
  return client.driverName === 'better-sqlite3' ? sqliteEngine : mysqlEngine;
}

/** How many wait for a connection of the pool; none once it is closed. */
export function waitingForConnections(db: Db): number {
  return (db.client as { pool?: { numPendingAcquires(): number } }).pool?.numPendingAcquires() ?? 0;
}

export function isDatabaseUnavailable(db: Db, error: unknown): boolean {
  return (
    engineOf(db).isUnavailable(error) ||
    (error instanceof Error && /KnexTimeoutError|TimeoutError/.test(error.name)) ||
    (error instanceof Error && /^(aborted|Unable to acquire a connection)/.test(error.message))
  );
}

/**
 * Runs `work` again while the database rolls it back for a passing reason (a deadlock, a lock wait, a
 * Galera node that is not ready, a busy SQLite file), for `forMs` milliseconds at most. `work` has to be
 * repeatable as a whole.
 *
 * @throws Unavailable once the time is up, or when the database is away.
 */
export async function retrying<T>(db: Db, forMs: number, work: () => Promise<T>): Promise<T> {
  const engine = engineOf(db);
  const deadline = Date.now() + forMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (engine.isRetryable(error) && Date.now() < deadline) {
        const pauseMs = Math.min(2 ** attempt, 100) * (0.5 + Math.random());
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      } else if (isDatabaseUnavailable(db, error)) {
        throw new Unavailable('the database does not answer', { cause: error });
      } else {
        throw error;
      }
    }
  }
}

/** The rows of a raw query, which Knex gives as each driver does. */
export function rowsOf<T>(db: Db, result: unknown): T[] {
  return (engineOf(db).name === 'sqlite' ? result : (result as unknown[])[0]) as T[];
}

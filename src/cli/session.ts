import { existsSync } from 'node:fs';
import process from 'node:process';
import { loadEnvFile, readConfig, type Config } from '../config.js';
import { refuseHalfRestored } from '../core/half-restored.js';
import { noteChange } from '../core/history.js';
import type { List } from '../core/lists.js';
import { connect, isDatabaseUnavailable, retrying, type Db } from '../db/connect.js';
import { sqlitePath } from '../db/sqlite.js';
import { DomainError, Refused, Unavailable } from '../errors.js';

/** Who the history says it was. */
export const actor = 'cli';

/** What a command works with. */
export interface Session {
  readonly config: Config;
  readonly db: Db;
}

/** Enough to record two batches at once while something is looked up. */
const connections = 3;

/**
 * Gives a command its configuration and a database that has its tables, and closes the database after it.
 * The service may be running on the same one.
 *
 * @param timeoutMs for commands whose single queries may take longer than requests may.
 * @throws Refused where there is no database yet; none is made.
 * @throws StartRefused where it holds a part of a backup.
 */
export async function withSession<T>(
  work: (session: Session) => Promise<T>,
  { timeoutMs = 0 }: { timeoutMs?: number } = {},
): Promise<T> {
  return withDatabase(async (session) => {
    if (!(await retrying(session.db, session.config.databaseTimeoutMs, () => hasTables(session.db)))) {
      throw noTables();
    }
    await reading(session, refuseHalfRestored);
    return work(session);
  }, timeoutMs);
}

/** The same, on a database that may have no tables: only for `migrate` and `restore`, which make them. */
export async function withNewDatabase<T>(
  work: (session: Session) => Promise<T>,
  { timeoutMs = 0 }: { timeoutMs?: number } = {},
): Promise<T> {
  return withDatabase(work, timeoutMs, true);
}

/** One reading, repeated where the database is busy. */
export function reading<T>({ config, db }: Session, work: (db: Db) => Promise<T>): Promise<T> {
  return retrying(db, config.databaseTimeoutMs, () => work(db));
}

/** One change: all of it is carried out, or nothing. Repeated as a whole where the database is busy. */
export function changing<T>({ config, db }: Session, work: (db: Db) => Promise<T>): Promise<T> {
  return retrying(db, config.databaseTimeoutMs, () => db.transaction((trx) => work(trx)));
}

/** Notes in the history what was done with a list, on its own: where it is no part of a change. */
export async function noteOfList(
  session: Session,
  list: List,
  action: string,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  await changing(session, (db) =>
    noteChange(db, { accountId: list.accountId, listId: list.id, actor, action, details }),
  );
}

async function withDatabase<T>(
  work: (session: Session) => Promise<T>,
  timeoutMs: number,
  mayBeNew = false,
): Promise<T> {
  loadEnvFile();
  const config = readConfig(process.env);
  const { databaseUrl } = config;
  // To open a file that is not there makes one, perhaps in a place where nobody looks for it.
  if (!mayBeNew && databaseUrl.startsWith('sqlite:') && !existsSync(sqlitePath(databaseUrl)))
    throw noTables();
  const db = connect(databaseUrl, {
    timeoutMs: Math.max(timeoutMs, config.databaseTimeoutMs),
    poolSize: connections,
  });
  try {
    return await work({ config, db });
  } catch (error) {
    if (error instanceof DomainError || !isDatabaseUnavailable(db, error)) throw error;
    throw new Unavailable('the database does not answer', { cause: error });
  } finally {
    await db.destroy();
  }
}

async function hasTables(db: Db): Promise<boolean> {
  return db.schema.hasTable('feed');
}

function noTables(): Refused {
  return new Refused('no-tables', 'This database has no tables yet: run signoff migrate first.');
}

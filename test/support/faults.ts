import Database from 'better-sqlite3';
import { createConnection } from 'mysql2/promise';
import { sqlitePath } from '../../src/db/sqlite.js';
import { engine } from './engine.js';
import { startProxy } from './proxy.js';
import { startTestService, until, type TestService } from './service.js';
import { freshMigratedDatabase } from './template.js';

/** Ends a fault; the service has to mend by itself then. */
export type Mend = () => Promise<void>;

/** Keeps all that would be written to `opt_outs` waiting, as a database that hangs does. Reading goes on. */
export function holdWrites(service: Pick<TestService, 'databaseUrl'>): Promise<Mend> {
  return holdTable(service, 'opt_outs');
}

/** Keeps the downloads' access log from being written; in a file, nothing at all can be written then. */
export function holdDownloadLog(service: TestService): Promise<Mend> {
  return holdTable(service, 'downloads');
}

async function holdTable({ databaseUrl }: Pick<TestService, 'databaseUrl'>, table: string): Promise<Mend> {
  if (engine === 'sqlite') {
    const database = new Database(sqlitePath(databaseUrl), { timeout: 0 });
    await begin(database);
    return () => {
      database.exec('ROLLBACK');
      database.close();
      return Promise.resolve();
    };
  }
  const connection = await createConnection(databaseUrl);
  await connection.query(`LOCK TABLES ${table} WRITE`);
  return async () => {
    await connection.query('UNLOCK TABLES');
    await connection.end();
  };
}

export interface FragileService extends TestService {
  /** The database is gone at once: connections break, or (in a file) its tables are not there. */
  loseDatabase(): Promise<Mend>;
}

/** A service whose database can be taken away from it and given back. */
export async function startFragileService(env: Record<string, string> = {}): Promise<FragileService> {
  if (engine === 'sqlite') {
    const service = await startTestService(env);
    return { ...service, loseDatabase: () => hideTables(service.databaseUrl) };
  }
  const database = await freshMigratedDatabase();
  const url = new URL(database.url);
  const server = { hostname: url.hostname, port: Number(url.port || 3306) };
  const proxy = await startProxy(() => server);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const service = await startTestService({ ...env, DATABASE_URL: url.href });
  return {
    ...service,
    databaseUrl: database.url,
    loseDatabase: () => {
      const mend = proxy.cut();
      return Promise.resolve(() => Promise.resolve(mend()));
    },
    async close() {
      await service.close();
      await proxy.close();
      await database.drop();
    },
  };
}

/** The lock is asked for without waiting: this thread is the one that would have to give it up. */
async function begin(database: Database.Database): Promise<void> {
  await until('the file can be locked', () => {
    try {
      database.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if ((error as { code?: string }).code === 'SQLITE_BUSY') return false;
      throw error;
    }
  });
}

const hidden = ['opt_outs', 'feed', 'lists', 'access_keys'];

async function hideTables(databaseUrl: string): Promise<Mend> {
  const rename = async (statement: (table: string) => string) => {
    const database = new Database(sqlitePath(databaseUrl), { timeout: 0 });
    await begin(database);
    for (const table of hidden) database.exec(statement(table));
    database.exec('COMMIT');
    database.close();
  };
  await rename((table) => `ALTER TABLE ${table} RENAME TO ${table}_hidden`);
  return () => rename((table) => `ALTER TABLE ${table}_hidden RENAME TO ${table}`);
}

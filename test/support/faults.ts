import Database from 'better-sqlite3';
import { createConnection } from 'mysql2/promise';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { sqlitePath } from '../../src/db/sqlite.js';
import { engine } from './engine.js';
import { startTestService, until, type TestService } from './service.js';
import { freshMigratedDatabase } from './template.js';

/** Ends a fault; the service has to mend by itself then. */
export type Mend = () => Promise<void>;

/** Keeps all that would be written to `opt_outs` waiting, as a database that hangs does. Reading goes on. */
export function holdWrites(service: TestService): Promise<Mend> {
  return holdTable(service, 'opt_outs');
}

/** Keeps the downloads' access log from being written; in a file, nothing at all can be written then. */
export function holdDownloadLog(service: TestService): Promise<Mend> {
  return holdTable(service, 'downloads');
}

async function holdTable({ databaseUrl }: TestService, table: string): Promise<Mend> {
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
  const proxy = await startProxy(new URL(database.url));
  const service = await startTestService({ ...env, DATABASE_URL: proxy.url });
  return {
    ...service,
    databaseUrl: database.url,
    loseDatabase: proxy.cut,
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

/** Stands between the service and its database server. */
async function startProxy(server: URL) {
  const open = new Set<Socket>();
  let isCut = false;
  const proxy = createServer((near) => {
    if (isCut) return void near.resetAndDestroy();
    const far = connectTcp(Number(server.port || 3306), server.hostname);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined).on('close', () => open.delete(socket));
    }
    near.on('close', () => far.destroy()).pipe(far);
    far.on('close', () => near.destroy()).pipe(near);
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  const url = new URL(server);
  url.hostname = '127.0.0.1';
  url.port = String((proxy.address() as AddressInfo).port);
  return {
    url: url.href,
    cut: (): Promise<Mend> => {
      isCut = true;
      for (const socket of open) socket.resetAndDestroy();
      return Promise.resolve(() => {
        isCut = false;
        return Promise.resolve();
      });
    },
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { createConnection } from 'mysql2/promise';

/** The engine that this run of the tests is on; `npm test` runs them once on each. */
export const engine = engineAskedFor();

/** Where SQLite's files stand; `npm test` names a folder in memory, where there is one with enough room. */
export const folderOfTests = process.env.SIGNOFF_TEST_FOLDER || os.tmpdir();

let databasesMade = 0;

export interface FreshDatabase {
  /** What `DATABASE_URL` would say. */
  url: string;
  /** Removes the database with all that is in it; close what is connected to it first. */
  drop: () => Promise<void>;
}

/**
 * An empty database of this run's engine, which nobody else uses: a file in a folder of its own, or
 * `signoff_test_<pid>_<n>` on the server of SIGNOFF_TEST_MYSQL_URL.
 *
 * @param folder that SQLite's is made in; tests of crashes name one on a disk.
 */
export async function freshDatabaseUrl(folder = folderOfTests): Promise<FreshDatabase> {
  return engine === 'sqlite' ? freshSqliteDatabase(folder) : freshMysqlDatabase();
}

/**
 * Skips a running test (or, from a `before`, its suite) and tells why at the end of the run. Only for
 * what this machine lacks: a test that concerns one engine alone is not defined on the other.
 */
export function skipBecause(context: Mocha.Context, reason: string): never {
  const running = context.runnable() as { type?: string; parent?: Mocha.Suite };
  const skipped = running.type === 'hook' ? running.parent : running;
  Object.assign(skipped ?? {}, { skipReason: reason });
  return context.skip();
}

async function freshSqliteDatabase(parent: string): Promise<FreshDatabase> {
  const folder = await mkdtemp(path.join(parent, 'signoff-test-'));
  return {
    url: `sqlite://${path.join(folder, 'signoff.db')}`,
    drop: () => rm(folder, { recursive: true, force: true }),
  };
}

async function freshMysqlDatabase(): Promise<FreshDatabase> {
  const server = process.env.SIGNOFF_TEST_MYSQL_URL;
  if (!server) throw new Error('SIGNOFF_TEST_MYSQL_URL names no server; npm test starts one by itself');
  const name = `signoff_test_${process.pid}_${++databasesMade}`;
  // An earlier run that was killed may have left one, and process ids come round again.
  await runOn(server, `DROP DATABASE IF EXISTS ${name}`, `CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => runOn(server, `DROP DATABASE IF EXISTS ${name}`) };
}

async function runOn(server: string, ...statements: string[]): Promise<void> {
  const connection = await createConnection(server);
  try {
    for (const statement of statements) await connection.query(statement);
  } finally {
    await connection.end();
  }
}

function engineAskedFor(): 'sqlite' | 'mysql' {
  const name = process.env.SIGNOFF_TEST_ENGINE || 'sqlite';
  if (name !== 'sqlite' && name !== 'mysql') throw new Error('SIGNOFF_TEST_ENGINE is sqlite or mysql');
  return name;
}

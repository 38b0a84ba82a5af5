import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { connect, type Db } from '../../src/db/connect.js';
import { sqlitePath } from '../../src/db/sqlite.js';
import { emptyFolder, environmentOf } from '../cli/signoff.js';
import { engine, freshDatabaseUrl, type FreshDatabase } from './engine.js';

/** The lines of a backup, unzipped. */
export function linesIn(file: string): unknown[] {
  const text = gunzipSync(readFileSync(file)).toString();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

/** A backup of other lines, whose trailer fits them again: as another version of Signoff would have made it. */
export function writeLines(file: string, lines: readonly unknown[]): void {
  const trailer = lines.at(-1) as { rows: Record<string, number> };
  const text = lines
    .slice(0, -1)
    .map((line) => `${JSON.stringify(line)}\n`)
    .join('');
  const sha256 = createHash('sha256').update(text).digest('hex');
  writeFileSync(file, gzipSync(`${text}${JSON.stringify({ ...trailer, sha256 })}\n`));
}

/** A SQLite database in a folder of its own, which is at hand whatever engine this run is on. */
export function freshSqliteUrl(): FreshDatabase {
  return { url: `sqlite://${path.join(emptyFolder(), 'signoff.db')}`, drop: () => Promise.resolve() };
}

/** Where backups are restored to, one after the other: on MySQL, over to SQLite and back again. */
export async function freshDatabases(): Promise<FreshDatabase[]> {
  const own = await freshDatabaseUrl();
  return engine === 'sqlite' ? [own] : [freshSqliteUrl(), own];
}

export interface Databases {
  /** One more, and the environment of a service on it. */
  readonly fresh: () => Promise<{ url: string; env: Record<string, string> }>;
  readonly open: (url: string) => Db;
  /** Whether anything has been written; of SQLite, whether there is a file at all. */
  readonly hasTables: (url: string) => Promise<boolean>;
  /** After each test. */
  readonly dropAll: () => Promise<void>;
}

/** Databases of this run's engine without any tables, to restore into. */
export function createDatabases(): Databases {
  const databases: FreshDatabase[] = [];
  const pools: Db[] = [];
  const open = (url: string) => {
    const db = connect(url, { timeoutMs: 10_000, poolSize: 3 });
    pools.push(db);
    return db;
  };
  return {
    async fresh() {
      const database = await freshDatabaseUrl();
      databases.push(database);
      return { url: database.url, env: environmentOf(database.url) };
    },
    open,
    hasTables: async (url) =>
      engine === 'sqlite' ? existsSync(sqlitePath(url)) : open(url).schema.hasTable('installation'),
    async dropAll() {
      await Promise.all(pools.splice(0).map((pool) => pool.destroy()));
      await Promise.all(databases.splice(0).map((database) => database.drop()));
    },
  };
}

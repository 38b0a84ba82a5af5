import assert from 'node:assert/strict';
import { getFeed } from '../../src/core/feed.js';
import { findFingerprint } from '../../src/core/secret.js';
import { connect, rowsOf, type Db } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { engine, freshDatabaseUrl, type FreshDatabase } from '../support/engine.js';
import { freshMigratedDatabase } from '../support/template.js';

/** Nearly every test begins with a copy: what it proves holds for a database that was migrated. */
describe('The copy of a migrated database, which the tests begin with', () => {
  const databases: FreshDatabase[] = [];
  const pools: Db[] = [];
  after(async () => {
    await Promise.all(pools.map((pool) => pool.destroy()));
    await Promise.all(databases.map((database) => database.drop()));
  });

  function open(database: FreshDatabase): Db {
    databases.push(database);
    const db = connect(database.url, { timeoutMs: 10_000, poolSize: 1 });
    pools.push(db);
    return db;
  }

  async function all<T>(db: Db, sql: string): Promise<T[]> {
    return rowsOf<T>(db, await db.raw(sql));
  }

  /** What makes each table and index, as the database itself tells it. */
  async function schemaOf(db: Db): Promise<Record<string, unknown>> {
    if (engine === 'sqlite') {
      const made = await all<{ name: string }>(db, 'SELECT type, name, tbl_name, sql FROM sqlite_schema');
      const [version] = await all<object>(db, 'PRAGMA user_version');
      return { ...version, ...Object.fromEntries(made.map((one) => [one.name, one])) };
    }
    const [database] = await all<object>(
      db,
      'SELECT default_character_set_name AS charset, default_collation_name AS collation FROM information_schema.schemata WHERE schema_name = DATABASE()',
    );
    const schema: Record<string, unknown> = { ...database };
    for (const table of await tablesOf(db)) [schema[table]] = await all(db, `SHOW CREATE TABLE ${table}`);
    return schema;
  }

  async function tablesOf(db: Db): Promise<string[]> {
    const rows = await all<object>(
      db,
      engine === 'sqlite' ? "SELECT name FROM sqlite_schema WHERE type = 'table'" : 'SHOW TABLES',
    );
    return rows.map((row) => String(Object.values(row)[0])).sort();
  }

  /** All rows; of the feed all but its epoch, and of the migrations all but when they ran. */
  async function rowsIn(db: Db): Promise<Record<string, unknown>> {
    const rows: Record<string, unknown> = {};
    for (const table of await tablesOf(db)) rows[table] = await all(db, `SELECT * FROM ${table}`);
    const sown = { ...rows, feed: await db('feed').select('id', 'last_number', 'purged_number', 'fencing') };
    return { ...sown, migrations: await db('migrations').select('id', 'name', 'batch') };
  }

  it('has the same tables and rows as one that the migrations have just made', async () => {
    const migrated = open(await freshDatabaseUrl());
    const carriedOut = await migrate(migrated);
    const copy = open(await freshMigratedDatabase());
    assert.deepEqual(await migrate(copy), [], 'nothing is left to do');

    const schema = await schemaOf(migrated);
    assert.ok('opt_outs' in schema && carriedOut.length > 0);
    assert.deepEqual(await schemaOf(copy), schema);
    assert.deepEqual(await rowsIn(copy), await rowsIn(migrated));
  });

  it('shares neither a feed’s epoch nor a secret with another copy', async () => {
    const copies = [open(await freshMigratedDatabase()), open(await freshMigratedDatabase())];
    const epochs = new Set<string>();
    for (const copy of copies) {
      assert.equal((await copy('feed')).length, 0, 'the epoch is made by each one itself');
      await migrate(copy);
      epochs.add((await getFeed(copy)).epoch);
      assert.equal(await findFingerprint(copy), null);
    }
    assert.equal(epochs.size, 2);
  });
});

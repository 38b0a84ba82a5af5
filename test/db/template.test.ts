import assert from 'node:assert/strict';
import { getFeed } from '../../src/core/feed.js';
import { findFingerprint } from '../../src/core/secret.js';
import { connect, type Db } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { freshDatabaseUrl, type FreshDatabase } from '../support/engine.js';
import { schemaOf, tablesOf } from '../support/schema.js';
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

  /** All rows; of the feed all but its epoch, and of the migrations all but when they ran. */
  async function rowsIn(db: Db): Promise<Record<string, unknown>> {
    const rows: Record<string, unknown> = {};
    for (const table of await tablesOf(db)) rows[table] = await db(table);
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

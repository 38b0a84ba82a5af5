import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { getFeed } from '../../src/core/feed.js';
import { connect, type Db } from '../../src/db/connect.js';
import { migrate, migrationNames } from '../../src/db/migrate.js';
import { plant, rowKinds } from '../support/core.js';
import { engine, freshDatabaseUrl, type FreshDatabase } from '../support/engine.js';
import { schemaOf } from '../support/schema.js';
import { until } from '../support/service.js';

const file = path.join(import.meta.dirname, '../support/migrate-process.ts');

describe('The migrations', () => {
  const databases: FreshDatabase[] = [];
  const pools: Db[] = [];
  let url: string;
  let db: Db;
  beforeEach(async () => {
    ({ url, db } = await fresh());
  });
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.destroy()));
    await Promise.all(databases.splice(0).map((database) => database.drop()));
  });

  async function fresh(): Promise<{ url: string; db: Db }> {
    const database = await freshDatabaseUrl();
    databases.push(database);
    const pool = connect(database.url, { timeoutMs: 10_000, poolSize: 3 });
    pools.push(pool);
    return { url: database.url, db: pool };
  }

  /** Tables with their columns, as the database tells them. */
  async function tables(of = db): Promise<Record<string, string[]>> {
    const rows: { table: string; column: string }[] =
      engine === 'sqlite'
        ? await of.raw(
            "SELECT t.name AS 'table', c.name AS 'column' FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c WHERE t.type = 'table'",
          )
        : await of('information_schema.columns')
            .whereRaw('table_schema = DATABASE()')
            .select({ table: 'table_name', column: 'column_name' });
    const found: Record<string, string[]> = {};
    for (const { table, column } of rows) (found[table] ??= []).push(column);
    return found;
  }
  const names = async () => (await db<{ name: string }>('migrations').orderBy('id')).map((row) => row.name);
  const run = (at = 0, count = 1) => {
    const child = spawn(process.execPath, ['--import=tsx', file, url, String(at), String(count)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, said })) };
  };

  it('are carried out once, and the second run finds nothing to do', async () => {
    const carriedOut = await migrate(db);
    assert.ok(carriedOut.includes('0001-the-core'));
    const { epoch } = await getFeed(db);
    const before = await tables();
    assert.deepEqual(await migrate(db), []);
    assert.deepEqual(await names(), carriedOut);
    assert.deepEqual([await tables(), (await getFeed(db)).epoch], [before, epoch]);
  });

  it('can be begun by several processes at once on a new database', async function () {
    this.timeout(60_000);
    // SQLite's driver has one go at a time in each process, waiting for itself.
    const each = engine === 'sqlite' ? 1 : 3;
    for (let round = 0; round < 2; round++) {
      ({ url, db } = await fresh());
      const at = Date.now() + 1500;
      const runs = await Promise.all([run(at, each), run(at, each), run(at, each)].map(({ ended }) => ended));
      assert.deepEqual(
        runs.map(({ code }) => code),
        [0, 0, 0],
        JSON.stringify(runs),
      );
      assert.ok(runs.some(({ said }) => said.includes('0001-the-core')));
      assert.deepEqual(await migrate(db), []);
      const [lock] = await db('migrations_lock').count({ count: '*' });
      assert.equal(Number(lock?.count), 1, 'with two locks nobody would ever get one');
      assert.equal((await db('feed')).length, 1);
    }
  });

  it('go on where a process was killed in the middle, once its lock counts as left behind', async function () {
    this.timeout(60_000);
    const { child, ended } = run();
    await until('some of the tables are there', () => db.schema.hasTable('lists'));
    child.kill('SIGKILL');
    await ended;
    await migrate(db, 500);
    const other = await fresh();
    await migrate(other.db);
    assert.deepEqual(await tables(), await tables(other.db));
  });

  it('end in the same schema, wherever they are killed between two statements', async function () {
    this.timeout(60_000);
    const whole = await fresh();
    const statements: string[] = [];
    onWrite(whole.db, (statement) => statements.push(statement));
    const carriedOut = await migrate(whole.db);

    // Each run goes on from where the one before was killed, and is killed after one more statement itself.
    const done = new Set<string>();
    while (await isKilledAfterOneMore(url, done)) assert.ok(done.size < 1000, 'an end is in sight');
    const leftOut = statements.filter((statement) => !done.has(statement));
    assert.deepEqual(leftOut, [], 'what no run after a killed one makes up for');
    assert.deepEqual(await names(), carriedOut);
    assert.deepEqual(await schemaOf(db), await schemaOf(whole.db));
  });

  it('repeat what a killed process has not noted, and keep what is in the tables', async () => {
    const all = await migrate(db);
    const whole = await tables();
    await db('accounts').insert({ name: 'Acme', created_at: 1 });
    await db('migrations').delete();
    await db.schema.dropTable('history');
    await db('migrations_lock').update({ is_locked: 1 });
    const startedAt = Date.now();
    assert.deepEqual(await migrate(db, 700), all);
    assert.ok(Date.now() - startedAt >= 700, 'the lock was respected for a while');
    assert.deepEqual([await tables(), (await db('accounts')).length], [whole, 1]);
  });

  // SQLite cannot add stored columns.
  if (engine === 'mysql') {
    it('store what is searched by on MariaDB and MySQL, of older opt-outs as well', async () => {
      await migrate(db, undefined, migrationNames.slice(0, migrationNames.indexOf('0019-stored-columns')));
      const virtual = () =>
        db('information_schema.columns')
          .whereRaw("table_schema = DATABASE() AND extra LIKE 'VIRTUAL%'")
          .orderBy('column_name')
          .select({ name: 'column_name' });
      assert.deepEqual(
        await virtual(),
        [{ name: 'domain' }, { name: 'standing_address' }],
        'as older versions made them',
      );
      await plant(db, 1, [
        rowKinds.plain('ann@example.com'),
        { ...rowKinds.plain('"b@b"@example.org'), removed_at: 2000 },
        rowKinds.erased('carol@example.com'),
      ]);
      const rows = () => db('opt_outs').orderBy('address').select('domain', 'standing_address');
      const before = [
        { domain: null, standing_address: null },
        { domain: Buffer.from('example.org'), standing_address: null },
        { domain: Buffer.from('example.com'), standing_address: Buffer.from('ann@example.com') },
      ];
      assert.deepEqual(await rows(), before);
      await migrate(db);
      assert.deepEqual(await virtual(), [], 'a Galera node could not find out what its files hold');
      assert.deepEqual(await rows(), before);
    });
  }

  it('wait for a process that holds the lock and lets it go in time', async () => {
    await migrate(db);
    await db('migrations_lock').update({ is_locked: 1 });
    const waiting = migrate(db, 60_000);
    let isDone = false;
    void waiting.then(() => (isDone = true));
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(isDone, false);
    await db('migrations_lock').update({ is_locked: 0 });
    assert.deepEqual(await waiting, []);
  });

  it('are run by one of several who lose patience with the same lock', async () => {
    await migrate(db);
    const before = await db<{ index: number }>('migrations_lock').first('index');
    await db('migrations_lock').update({ is_locked: 1 });
    await Promise.all(Array.from({ length: 3 }, () => migrate(db, 400)));
    const locks = await db<{ index: number; is_locked: number }>('migrations_lock');
    assert.deepEqual(locks, [{ index: (before?.index ?? 0) + 1, is_locked: 0 }]);
  });
});

/** Tells each statement that has written, with the name of the migration that it notes. */
function onWrite(db: Db, tell: (statement: string) => void): void {
  db.on('query-response', (_answer: unknown, { sql, bindings }: { sql: string; bindings?: unknown[] }) => {
    if (!/^(create|alter|drop|insert|update|delete) /i.test(sql)) return;
    tell([sql, ...(bindings ?? []).filter((value) => migrationNames.includes(String(value)))].join(' '));
  });
}

/**
 * Migrates until a statement has been carried out that is not among `done`; the database is asked nothing
 * after it, as by a process that was killed there.
 */
async function isKilledAfterOneMore(url: string, done: Set<string>): Promise<boolean> {
  const db = connect(url, { timeoutMs: 10_000, poolSize: 1 });
  let isKilled = false;
  onWrite(db, (statement) => {
    isKilled ||= !done.has(statement);
    done.add(statement);
  });
  db.on('query', () => {
    if (isKilled) throw new Error('killed');
  });
  try {
    await migrate(db, 0);
  } catch (error) {
    if (!isKilled) throw error;
  } finally {
    await db.destroy();
  }
  return isKilled;
}

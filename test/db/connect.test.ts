import assert from 'node:assert/strict';
import { connect, isDatabaseUnavailable, retrying, type Db } from '../../src/db/connect.js';
import { Unavailable } from '../../src/errors.js';
import { engine, freshDatabaseUrl, type FreshDatabase } from '../support/engine.js';

const timeoutMs = 400;

describe('A database connection', () => {
  let database: FreshDatabase;
  let db: Db;
  beforeEach(async () => {
    database = await freshDatabaseUrl();
    db = connect(database.url, { timeoutMs, poolSize: 1 });
  });
  afterEach(async () => {
    await db.destroy();
    await database.drop();
  });

  /** What it rejects with, and that it does so in time. */
  async function failureOf(work: Promise<unknown>): Promise<unknown> {
    const startedAt = Date.now();
    const error = await work.then(
      () => assert.fail('it did not fail'),
      (thrown: unknown) => thrown,
    );
    assert.ok(Date.now() - startedAt < timeoutMs + 3000, 'it took too long');
    return error;
  }

  it('that is not free in time counts as a database that is away', async () => {
    const trx = await db.transaction();
    const error = await failureOf(Promise.resolve(db.raw('SELECT 1')));
    assert.ok(isDatabaseUnavailable(db, error), String(error));
    const wrapped = await failureOf(retrying(db, 0, () => Promise.resolve(db.raw('SELECT 1'))));
    assert.ok(wrapped instanceof Unavailable);
    await trx.rollback();
    await db.raw('SELECT 1');
  });

  it('passes faults of a statement on as they are', async () => {
    const error = await failureOf(
      retrying(db, 1000, () => Promise.resolve(db.raw('SELECT nothing FROM nowhere'))),
    );
    assert.ok(!(error instanceof Unavailable) && !isDatabaseUnavailable(db, error), String(error));
  });

  if (engine === 'sqlite') {
    it('keeps what is acknowledged: WAL, and synchronous FULL', async () => {
      const pragma = async (name: string): Promise<unknown> => {
        const rows: Record<string, unknown>[] = await db.raw(`PRAGMA ${name}`);
        return Object.values(rows[0] ?? {})[0];
      };
      assert.deepEqual(await Promise.all(['journal_mode', 'synchronous', 'foreign_keys'].map(pragma)), [
        'wal',
        2,
        1,
      ]);
    });

    it('begins a transaction with the right to write, so that none fails half way', async () => {
      const other = connect(database.url, { timeoutMs, poolSize: 1 });
      await db.raw('CREATE TABLE t (n INT)');
      await db.transaction(async (trx) => {
        // It has only read so far.
        await trx('t');
        const error = await failureOf(other.transaction((second) => second('t').insert({ n: 1 })));
        assert.ok(isDatabaseUnavailable(other, error), String(error));
        await trx('t').insert({ n: 2 });
      });
      assert.deepEqual(await other('t'), [{ n: 2 }]);
      await other.destroy();
    });
  } else {
    const idOf = async (): Promise<unknown> => {
      const [rows] = (await db.raw('SELECT CONNECTION_ID() AS id')) as [{ id: number }[]];
      return rows[0]?.id;
    };

    it('that gives no answer in time is destroyed, and the pool makes another', async () => {
      const first = await idOf();
      assert.equal(await idOf(), first, 'one connection serves one query after the other');
      const error = await failureOf(Promise.resolve(db.raw('SELECT SLEEP(5)')));
      assert.ok(isDatabaseUnavailable(db, error), String(error));
      assert.notEqual(await idOf(), first);
    });

    it('that gives no answer in time in a transaction takes the transaction with it', async () => {
      await db.raw('CREATE TABLE t (n INT)');
      const error = await failureOf(
        db.transaction(async (trx) => {
          await trx.raw('INSERT INTO t VALUES (1)');
          await trx.raw('SELECT SLEEP(5)');
        }),
      );
      assert.ok(isDatabaseUnavailable(db, error), String(error));
      assert.deepEqual(await db('t'), []);
    });

    it('that turns half open in a transaction keeps its locks for two minutes at most', async () => {
      const [shown] = (await db.raw(
        "SHOW SESSION VARIABLES WHERE Variable_name IN ('wait_timeout', 'idle_transaction_timeout')",
      )) as [{ Variable_name: string; Value: string }[]];
      const values = new Map(shown.map((row) => [row.Variable_name, Number(row.Value)]));
      assert.equal(values.get('wait_timeout'), 120);
      // MariaDB's alone.
      assert.equal(values.get('idle_transaction_timeout') ?? 20, 20);
    });

    it('is strict, and reads what is committed', async () => {
      const [rows] = (await db
        .raw(
          'SELECT @@sql_mode AS mode, @@innodb_lock_wait_timeout AS wait, @@transaction_isolation AS isolation',
        )
        .catch(() =>
          db.raw(
            'SELECT @@sql_mode AS mode, @@innodb_lock_wait_timeout AS wait, @@tx_isolation AS isolation',
          ),
        )) as [{ mode: string; wait: number; isolation: string }[]];
      assert.match(String(rows[0]?.mode), /STRICT_ALL_TABLES/);
      assert.deepEqual([rows[0]?.wait, rows[0]?.isolation], [3, 'READ-COMMITTED']);
    });
  }
});

import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { findOptOuts } from '../../src/core/suppressed.js';
import { createRecorder, type Recorder } from '../../src/core/recorder.js';
import type { Db } from '../../src/db/connect.js';
import { Unavailable } from '../../src/errors.js';
import { engine } from '../support/engine.js';
import {
  migratedDatabase,
  newList,
  optOutOf,
  rowsOfList,
  untilLockWait,
  type TestDatabase,
} from '../support/core.js';
import { until } from '../support/service.js';
import { rowsInserted, type Statement } from '../support/statements.js';

const timeoutMs = 1500;

describe('The recorder, while another process holds what it writes to', () => {
  let test: TestDatabase;
  let list: number;
  let db: Db;
  let recorder: Recorder;
  /** Rows of each statement that the database has carried out. */
  let written: number[] = [];
  /** What the database refused, by its own code. */
  let refusals: (string | undefined)[] = [];

  before(async () => {
    test = await migratedDatabase();
    list = await newList(test.db);
    // One connection, so that its session can be told to wait less for locks.
    db = test.another({ poolSize: 1, timeoutMs: 5000 });
    if (engine === 'mysql') await db.raw('SET SESSION innodb_lock_wait_timeout = 1');
    db.on('query-error', (error: { code?: string }) => refusals.push(error.code));
    db.on('query-response', (_, query: Statement) => {
      if (query.sql.startsWith('INSERT INTO opt_outs')) written.push(rowsInserted(query));
    });
    recorder = createRecorder(db, { queueRows: 5000, timeoutMs, onCommit: () => undefined });
    await recorder.record([optOutOf(list, 'ann@example.com')]);
  });
  after(() => test.close());
  beforeEach(() => {
    refusals = [];
    written = [];
  });

  /** Holds Ann's row (SQLite: the database) locked until it is told to let go. */
  async function holdLock(): Promise<() => Promise<void>> {
    const trx = await test.begin();
    await trx('opt_outs')
      .where({ list_id: list, address_key: md5Of('ann@example.com') })
      .update({ reason: null });
    return async () => {
      await trx.commit();
    };
  }

  it('tries again until the lock is gone, and answers only then', async () => {
    const letGo = await holdLock();
    let isAnswered = false;
    const answer = recorder
      .record([optOutOf(list, 'ann@example.com', { recordedAt: 2000 })])
      .finally(() => (isAnswered = true));
    await until('the database has refused once', () => refusals.length > 0);
    assert.equal(isAnswered, false);
    await letGo();
    await answer;
    assert.match(String(refusals[0]), engine === 'mysql' ? /ER_LOCK_WAIT_TIMEOUT/ : /SQLITE_BUSY/);
    const [row] = await rowsOfList(test.db, list);
    assert.deepEqual([row?.last_at, row?.repeats], [2000, 1]);
  });

  it('says that it cannot once its time is up, and records again when the lock is gone', async () => {
    const letGo = await holdLock();
    const startedAt = Date.now();
    const answer = recorder.record([optOutOf(list, 'ann@example.com'), optOutOf(list, 'bob@example.com')]);
    await assert.rejects(answer, Unavailable);
    const tookMs = Date.now() - startedAt;
    assert.ok(tookMs >= timeoutMs && tookMs < timeoutMs + 3000, `${tookMs} ms`);
    await letGo();
    assert.deepEqual(await findOptOuts(test.db, list, 'bob@example.com'), [], 'nothing of it is half done');
    await recorder.record([optOutOf(list, 'bob@example.com')]);
    assert.equal((await findOptOuts(test.db, list, 'bob@example.com')).length, 1);
  });

  it('collects what comes while two statements are on their way', async () => {
    const letGo = await holdLock();
    const send = (count: number, of: string) =>
      recorder.record(
        Array.from({ length: count }, (_, i) =>
          optOutOf(list, i === 0 ? 'ann@example.com' : `${of}${i}@example.com`),
        ),
      );
    const first = [send(700, 'a'), send(800, 'b')];
    await until('both are on their way', () => recorder.load().inFlight === 2);
    const later = Array.from({ length: 50 }, (_, i) =>
      recorder.record([optOutOf(list, `later${i}@example.com`)]),
    );
    assert.deepEqual(recorder.load(), { waiting: 50, inFlight: 2 });
    await letGo();
    await Promise.all([...first, ...later]);
    assert.deepEqual(
      written.toSorted((a, b) => b - a),
      [800, 700, 50],
    );
  });

  it('lets nobody wait for all those before it, while nothing can be written', async () => {
    const letGo = await holdLock();
    const startedAt = Date.now();
    // Each statement holds Ann, and each takes its whole time: eight of them one after the other.
    const batches = Array.from({ length: 16 }, (_, i) =>
      Array.from({ length: 600 }, (_, n) =>
        optOutOf(list, n === 0 ? 'ann@example.com' : `q${i}-${n}@example.com`),
      ),
    );
    const crowded = createRecorder(db, { queueRows: 10_000, timeoutMs, onCommit: () => undefined });
    const results = await Promise.allSettled(batches.map((rows) => crowded.record(rows)));
    const tookMs = Date.now() - startedAt;
    await letGo();
    assert.ok(
      results.every((result) => result.status === 'rejected' && result.reason instanceof Unavailable),
    );
    assert.ok(tookMs < 3 * timeoutMs + 3000, `the last one waited ${tookMs} ms`);
    await crowded.drain();
    assert.deepEqual(crowded.load(), { waiting: 0, inFlight: 0 });
  });

  if (engine === 'mysql') {
    it('repeats a statement that loses to a deadlock', async () => {
      const listId = await newList(test.db);
      const emails = Array.from({ length: 50 }, (_, i) => `d${i}@example.com`);
      const inOrder = emails.toSorted((a, b) => Buffer.compare(md5Of(a), md5Of(b)));
      await recorder.record(emails.map((email) => optOutOf(listId, email)));
      const lock = (trx: Db, which: string[]) =>
        trx('opt_outs')
          .where({ list_id: listId })
          .whereIn('address_key', which.map(md5Of))
          .update({ reason: 'x' });

      const trx = await test.begin();
      // The other one has changed more rows: the recorder's statement is the one that InnoDB gives up.
      await lock(trx, inOrder.slice(10));
      const answer = recorder.record(emails.map((email) => optOutOf(listId, email, { recordedAt: 2000 })));
      await untilLockWait(test.db);
      await lock(trx, inOrder.slice(0, 10));
      await trx.commit();
      await answer;
      assert.deepEqual(refusals, ['ER_LOCK_DEADLOCK']);
      const rows = await rowsOfList(test.db, listId);
      assert.ok(rows.every((row) => row.last_at === 2000 && row.repeats === 1));
    });
  }
});

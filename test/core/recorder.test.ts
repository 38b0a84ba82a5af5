import assert from 'node:assert/strict';
import { createRecorder, type Recorder } from '../../src/core/recorder.js';
import type { OptOut } from '../../src/core/opt-outs.js';
import { Unavailable } from '../../src/errors.js';
import { engine } from '../support/engine.js';
import { rowsInserted, type Statement } from '../support/statements.js';
import { migratedDatabase, newList, optOutOf, rowsOfList, type TestDatabase } from '../support/core.js';

describe('The recorder', () => {
  let test: TestDatabase;
  let list: number;
  let recorder: Recorder;
  let commits = 0;
  /** Rows a statement of each write, and how many were on their way at once. */
  let statements: number[] = [];
  let mostAtOnce = 0;

  before(async () => {
    test = await migratedDatabase();
    const underWay = new Set<string>();
    test.db.on('query', (query: Statement) => {
      if (!query.sql.startsWith('INSERT INTO opt_outs')) return;
      statements.push(rowsInserted(query));
      underWay.add(query.__knexQueryUid);
      mostAtOnce = Math.max(mostAtOnce, underWay.size);
    });
    const ended = (query: { __knexQueryUid: string }) => underWay.delete(query.__knexQueryUid);
    test.db.on('query-response', (_, query: { __knexQueryUid: string }) => ended(query));
    test.db.on('query-error', (_, query: { __knexQueryUid: string }) => ended(query));
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await newList(test.db);
    commits = 0;
    statements = [];
    mostAtOnce = 0;
    recorder = recorderOf(20_000);
  });
  afterEach(() => recorder.drain());

  const recorderOf = (queueRows: number) =>
    createRecorder(test.db, { queueRows, timeoutMs: 5000, onCommit: () => commits++ });
  const many = (count: number, of = 'p') =>
    Array.from({ length: count }, (_, i) => optOutOf(list, `${of}${i}@example.com`));
  // What no column takes: neither engine lets a time be NULL.
  const bad = (email: string): OptOut => optOutOf(list, email, { createdAt: null as unknown as number });
  const isData = (error: unknown) => error instanceof Error && !(error instanceof Unavailable);
  const recorded = async () => (await rowsOfList(test.db, list)).map((row) => String(row.address));

  it('sends what comes together out in one statement, and answers each after its commit', async () => {
    await Promise.all(many(300).map((optOut) => recorder.record([optOut])));
    assert.deepEqual(statements, [300]);
    assert.equal(commits, 1);
    assert.equal((await recorded()).length, 300);
  });

  it('puts at most 1,000 rows into a statement, and keeps at most two on their way', async () => {
    const requests = many(4500).map((optOut) => recorder.record([optOut]));
    assert.equal(recorder.load().waiting, 4500);
    await Promise.all(requests);
    assert.deepEqual(statements, [1000, 1000, 1000, 1000, 500]);
    assert.equal(mostAtOnce, engine === 'sqlite' ? 1 : 2);
    assert.deepEqual(recorder.load(), { waiting: 0, inFlight: 0 });
    assert.equal((await recorded()).length, 4500);
  });

  it('never splits the rows of one request over two statements', async () => {
    await Promise.all([many(700, 'a'), many(700, 'b'), many(300, 'c')].map((rows) => recorder.record(rows)));
    assert.deepEqual(statements, [700, 1000]);
  });

  it('writes nothing for nothing', async () => {
    await recorder.record([]);
    assert.deepEqual([statements, commits], [[], 0]);
  });

  it('lets a bad row fail alone, in few statements', async () => {
    const good = many(200);
    const sent = [...good.slice(0, 77), bad('bad@example.com'), ...good.slice(77)];
    const results = await Promise.allSettled(sent.map((optOut) => recorder.record([optOut])));
    const failed = results.flatMap((result, i) => (result.status === 'rejected' ? [i] : []));
    assert.deepEqual(failed, [77]);
    const [failure] = results.filter((result) => result.status === 'rejected');
    assert.ok(isData(failure?.reason), String(failure?.reason));
    assert.equal((await recorded()).length, 200);
    assert.ok(statements.length <= 20, `${statements.length} statements to find one bad row of 201`);
  });

  if (engine === 'mysql') {
    it('lets a tag that is too long fail alone, and cuts nothing short', async () => {
      const long = recorder.record([optOutOf(list, 'long@example.com', { tag: 'x'.repeat(129) })]);
      const others = many(5).map((optOut) => recorder.record([optOut]));
      await assert.rejects(long, isData);
      await Promise.all(others);
      assert.equal((await recorded()).length, 5);
    });
  }

  it('records all of a request or nothing of it', async () => {
    const half = recorder.record([...many(5, 'half'), bad('bad@example.com'), ...many(5, 'other')]);
    const whole = recorder.record(many(3, 'whole'));
    await assert.rejects(half, isData);
    await whole;
    assert.deepEqual(
      (await recorded()).sort(),
      many(3, 'whole').map((o) => o.address.normalised),
    );
  });

  it('turns away at once what is over the bound, keeps what it has taken, and takes more later', async () => {
    recorder = recorderOf(10);
    const taken = recorder.record(many(10, 'taken'));
    await assert.rejects(recorder.record(many(1, 'over')), Unavailable);
    assert.deepEqual(statements, [], 'the answer came before anything was sent');
    await taken;
    await recorder.record(many(10, 'later'));
    const emails = await recorded();
    assert.equal(emails.length, 20);
    assert.ok(!emails.includes('over0@example.com'));
  });

  it('answers all that it has taken before it has drained, and takes nothing more', async () => {
    let answered = 0;
    for (const optOut of many(2500)) void recorder.record([optOut]).then(() => answered++);
    const drained = recorder.drain();
    await assert.rejects(recorder.record(many(1, 'late')), Unavailable);
    await Promise.all([drained, recorder.drain()]);
    assert.equal(answered, 2500);
    assert.equal((await recorded()).length, 2500);
    await recorder.drain();
  });

  it('makes one row of a request that comes one to five times at once, and keeps the first time', async () => {
    const sent = many(60).flatMap((optOut, i) =>
      Array.from({ length: 1 + (i % 5) }, (_, copy) => ({
        ...optOut,
        createdAt: 1000 + ((copy + i) % 5),
        recordedAt: 2000,
      })),
    );
    // Over two recorders, as two processes would have them.
    const other = createRecorder(test.another(), {
      queueRows: 1000,
      timeoutMs: 5000,
      onCommit: () => undefined,
    });
    await Promise.all(sent.map((optOut, i) => (i % 2 ? recorder : other).record([optOut])));
    await other.drain();
    const rows = await rowsOfList(test.db, list);
    assert.equal(rows.length, 60);
    for (const row of rows) {
      const copies = sent.filter((optOut) => optOut.address.normalised === String(row.address));
      assert.equal(row.repeats, copies.length - 1);
      assert.equal(row.created_at, Math.min(...copies.map((optOut) => optOut.createdAt)));
    }
  });
});

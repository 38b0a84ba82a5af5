import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { openNextImport } from '../../src/core/import-job-run.js';
import { getImportJob, type ImportJob } from '../../src/core/import-jobs.js';
import { progressOf } from '../../src/core/import-progress.js';
import { createList, getListById, type List } from '../../src/core/lists.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf } from '../../src/core/opt-outs.js';
import { erasePerson } from '../../src/core/erasure.js';
import { md5Of } from '../../src/core/address.js';
import { createRecorder } from '../../src/core/recorder.js';
import { addTags } from '../../src/core/tags.js';
import { migratedDatabase, optOutOf, rowsOfList, type TestDatabase } from '../support/core.js';
import { carryOut, csvOf, imported, uploadText } from '../support/import-jobs.js';
import { until } from '../support/service.js';

describe('The progress of an import', () => {
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(async () => {
    for (const table of ['import_jobs', 'import_job_chunks']) await test.db(table).delete();
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
    await addTags(test.db, list.id, ['news', 'sale']);
    list = await getListById(test.db, list.id);
  });

  const current = ({ id }: ImportJob) => getImportJob(test.db, id);
  const counts = ({ taken, known, refused }: ImportJob) => ({ taken, known, refused });
  const record = (...addresses: string[]) =>
    writeOptOuts(
      test.db,
      addresses.map((address) => rowOf({ ...optOutOf(list.id, address), recordedAt: Date.now() - 10 })),
    );

  for (const [kind, file] of [
    ['a text', Buffer.from(csvOf(6000))],
    ['a gzip file', gzipSync(csvOf(6000))],
  ] as const) {
    it(`is the share of octets that were dealt with, of ${kind}`, async () => {
      const job = await uploadText(test.db, list, file);
      assert.equal(progressOf(job).share, 0);
      const recorder = createRecorder(test.db, {
        ...{ queueRows: 9000, timeoutMs: 5000 },
        onCommit: () => undefined,
      });
      const run = await openNextImport(test.db, (optOuts) => recorder.record(optOuts), 2000);
      assert.ok(run !== null);
      const shares: [told: number, true_: number][] = [];
      while (await run.next()) {
        const now = await current(job);
        shares.push([progressOf(now).share, now.lines / 6001]);
      }
      await run.close();
      assert.ok(shares.length >= 5);
      for (const [told, real] of shares) {
        // What is read ahead is a piece of 16 KB at most, which is 15 % of this file, and all of the gzipped one.
        if (kind === 'a text') assert.ok(told >= real - 0.01 && told <= real + 0.17, `${told} for ${real}`);
        assert.ok(told > 0 && told < 1, `${told}`);
      }
      const told = shares.map(([share]) => share);
      assert.deepEqual(
        told,
        told.toSorted((a, b) => a - b),
      );
      assert.equal(progressOf(await current(job)).share, 1);
    });
  }

  it('goes on where it was when another process goes on with it', async () => {
    const job = await uploadText(test.db, list, csvOf(12_000));
    // What is read ahead is a piece of 16 KB, some 900 rows: several steps.
    await carryOut(test.db, 20);
    const before = progressOf(await current(job)).share;
    assert.ok(before > 0);
    await carryOut(test.db, 20);
    const after = progressOf(await current(job)).share;
    assert.ok(after > before && after < 1, `${before}, ${after}`);
  });

  it('tells what is left by how it went, and nothing while that says nothing', () => {
    const job = { state: 'running', octets: 1000, readOctets: 250, begunAt: 0 } as ImportJob;
    assert.deepEqual(progressOf(job, 60_000), { share: 0.25, remainingMs: 180_000 });
    assert.deepEqual(progressOf(job, 1000), { share: 0.25, remainingMs: null });
    assert.deepEqual(progressOf({ ...job, readOctets: 10 }, 60_000), { share: 0.01, remainingMs: null });
    assert.deepEqual(progressOf({ ...job, readOctets: 1000 }, 99_000), { share: 0.99, remainingMs: 1000 });
    assert.deepEqual(progressOf({ ...job, state: 'waiting', begunAt: null }, 1000), {
      ...{ share: 0.25, remainingMs: null },
    });
  });

  it('counts as known what the list held before, and nothing that the file brings twice', async () => {
    await record('p1@example.com', 'p2@example.com', 'p3@example.com');
    await removeOptOuts(test.db, list.id, 'p3@example.com');
    const job = await imported(test.db, list, `${csvOf(10)}p1@example.com\np9@example.com\nnobody\n`);
    assert.deepEqual(counts(job), { taken: 12, known: 3, refused: 1 });
    const again = await imported(test.db, list, csvOf(10));
    assert.deepEqual(counts(again), { taken: 10, known: 10, refused: 0 });
  });

  it('knows a row of several tags where all of them stood there, and a hash by its key', async () => {
    await imported(test.db, list, 'address,tag\nann@example.com,news\nbob@example.com,news\n');
    const text = 'address,tags\nann@example.com,"news,sale"\nbob@example.com,news\ncyd@example.com,news\n';
    const job = await imported(test.db, list, text, { severalTags: true });
    assert.deepEqual(counts(job), { taken: 3, known: 1, refused: 0 });
    const hash = `${md5Of('dan@example.com').toString('hex')}\n`;
    assert.equal((await imported(test.db, list, hash)).known, 0);
    assert.equal((await imported(test.db, list, hash)).known, 1);
    assert.equal((await imported(test.db, list, 'dan@example.com\n')).known, 1);
  });

  it('knows people who were erased, by what is left of them', async () => {
    await record('ann@example.com');
    for await (const one of erasePerson(test.db, 1, 'ann@example.com', { actor: 'test', retryMs: 10_000 })) {
      void one;
    }
    const job = await imported(test.db, list, 'ann@example.com\nbob@example.com\n');
    assert.deepEqual(counts(job), { taken: 2, known: 1, refused: 0 });
  });

  it('counts the same where rows are recorded again after a kill, and where other doors record them meanwhile', async () => {
    await record('p1@example.com', 'p700@example.com');
    const job = await uploadText(test.db, list, csvOf(1500));
    const recorder = createRecorder(test.db, { queueRows: 9000, timeoutMs: 5000, onCommit: () => undefined });
    const open = async () => {
      const run = await openNextImport(test.db, (optOuts) => recorder.record(optOuts), 2000);
      assert.ok(run !== null);
      return run;
    };
    const killed = await open();
    await killed.next();
    // What it has recorded of its next step is counted by nobody, as where it was killed in between.
    await test.db('import_jobs').increment('version', 1);
    assert.equal(await killed.next(), false);
    await killed.close();
    assert.ok((await rowsOfList(test.db, list.id)).length > (await current(job)).taken + 1);
    await record('p1499@example.com');
    await carryOut(test.db);
    assert.deepEqual(counts(await current(job)), { taken: 1500, known: 2, refused: 0 });
  });

  it('takes nothing of its own for known, where whoever began it had a clock that was ahead', async () => {
    await record('p1@example.com');
    const job = await uploadText(test.db, list, csvOf(1500));
    await test.db('import_jobs').update({ begun_at: Date.now() + 60_000 });
    await carryOut(test.db, 2);
    await carryOut(test.db);
    assert.deepEqual(counts(await current(job)), { taken: 1500, known: 1, refused: 0 });
  });

  it('says that it was not counted where an older version has begun it', async () => {
    const job = await uploadText(test.db, list, csvOf(1500));
    await carryOut(test.db, 2);
    await test.db('import_jobs').update({ known: null });
    await until('it is done', async () => {
      await carryOut(test.db);
      return (await current(job)).state === 'done';
    });
    assert.deepEqual(counts(await current(job)), { taken: 1500, known: null, refused: 0 });
  });
});

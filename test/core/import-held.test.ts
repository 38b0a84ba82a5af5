import assert from 'node:assert/strict';
import { audit } from '../../src/core/audit.js';
import { endImportJob, startImportJob } from '../../src/core/import-job-changes.js';
import { findImportJob, getImportJob, plainImport, type ImportJob } from '../../src/core/import-jobs.js';
import { heldMs, mostUnfinished } from '../../src/core/import-upload.js';
import { createList, type List } from '../../src/core/lists.js';
import { tidyImportJobs } from '../../src/core/old-import-jobs.js';
import { Refused, TooMany } from '../../src/errors.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { carryOut, csvOf, uploadText } from '../support/import-jobs.js';

const held = { isHeld: true } as const;

describe('A held import', () => {
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close('imports that have no file are planted'));
  beforeEach(async () => {
    for (const table of ['import_jobs', 'import_job_chunks']) await test.db(table).delete();
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
  });

  const start = (job: ImportJob, options = plainImport) =>
    test.db.transaction((trx) => startImportJob(trx, job.id, options, 'user:7'));
  const end = (job: ImportJob) => test.db.transaction((trx) => endImportJob(trx, job.id, 'user:7'));
  const tidy = async (at: number) => {
    while (await tidyImportJobs(test.db, at));
  };
  const left = async () => [
    ...((await test.db('import_jobs').pluck('state')) as string[]),
    ...((await test.db('import_job_chunks').pluck('number')) as number[]),
  ];
  const breaches = async () => {
    const found: string[] = [];
    for await (const { description } of audit(test.db)) found.push(description);
    return found;
  };
  const isRefusedAs = (reason: string) => (error: unknown) =>
    error instanceof Refused && error.reason === reason;

  it('is carried out by nobody before somebody says how it is to be read', async () => {
    const job = await uploadText(test.db, list, 'a,b\nann@example.com,bob@example.com\n', held);
    assert.equal(job.state, 'held');
    assert.ok(Math.abs((job.heldUntil ?? 0) - Date.now() - heldMs) < 60_000);
    await carryOut(test.db);
    assert.equal((await getImportJob(test.db, job.id)).state, 'held');
    assert.deepEqual(await breaches(), []);
    await start(job, { ...plainImport, column: 'b' });
    assert.deepEqual(await breaches(), []);
    await carryOut(test.db);
    const done = await getImportJob(test.db, job.id);
    assert.deepEqual([done.state, done.taken, done.heldUntil], ['done', 1, null]);
    assert.deepEqual(
      (await rowsOfList(test.db, list.id)).map(({ address }) => String(address)),
      ['bob@example.com'],
    );
    const noted = { list_id: list.id, actor: 'user:7', action: 'list.import-started' };
    assert.equal((await test.db('history').where(noted)).length, 1);
  });

  it('is started once, whoever asks for it again and however many do at once', async () => {
    const job = await uploadText(test.db, list, csvOf(10), held);
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => start(job)));
    const refused = outcomes.filter((one) => one.status === 'rejected');
    assert.equal(refused.length, 4);
    await assert.rejects(start(job), isRefusedAs('not-held'));
    await carryOut(test.db);
    await assert.rejects(start(job), isRefusedAs('not-held'));
    const noted = { list_id: list.id, action: 'list.imported' };
    assert.equal((await test.db('history').where(noted)).length, 1);
  });

  it('is gone once it is ended, and records nothing', async () => {
    const job = await uploadText(test.db, list, csvOf(20_000), held);
    await end(job);
    assert.equal(await findImportJob(test.db, job.publicId), null);
    await assert.rejects(start(job), /no such import/);
    await carryOut(test.db);
    await tidy(Date.now());
    assert.deepEqual(await left(), []);
    assert.deepEqual(await rowsOfList(test.db, list.id), []);
    assert.deepEqual(await breaches(), []);
  });

  it('is forgotten after a day, with its file', async () => {
    const job = await uploadText(test.db, list, csvOf(20_000), held);
    await tidy(Date.now() + heldMs - 60_000);
    assert.equal((await left())[0], 'held');
    await tidy(Date.now() + heldMs + 60_000);
    assert.deepEqual(await left(), []);
    await assert.rejects(start(job), /no such import/);
  });

  it('is not started in its last minute, in which its file may be going already', async () => {
    const job = await uploadText(test.db, list, csvOf(10), held);
    await test.db('import_jobs').update({ due_at: Date.now() + 30_000 });
    await assert.rejects(start(job), isRefusedAs('file-gone'));
    assert.equal((await getImportJob(test.db, job.id)).state, 'held');
  });

  it('is one of the hundred that an account may have', async () => {
    const first = await uploadText(test.db, list, csvOf(1), held);
    const row = { ...(await test.db('import_jobs').where({ id: first.id }).first()) } as object;
    const rows = Array.from({ length: mostUnfinished - 1 }, (_, i) => {
      return { ...row, id: first.id + 1 + i, public_id: `x${i}` };
    });
    await test.db('import_jobs').insert(rows);
    await assert.rejects(uploadText(test.db, list, csvOf(1), held), TooMany);
    await end(first);
    await uploadText(test.db, list, csvOf(1), held);
  });
});

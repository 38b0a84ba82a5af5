import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { chunkOctets } from '../../src/core/import-chunks.js';
import { openNextImport } from '../../src/core/import-job-run.js';
import {
  findImportJob,
  getImportJob,
  importJobsOfAccount,
  importJobsOfList,
  type ImportJob,
} from '../../src/core/import-jobs.js';
import { mostOctets, mostUnfinished } from '../../src/core/import-upload.js';
import { archiveList, createList, getListById, type List } from '../../src/core/lists.js';
import { forgetImportJobs, textsMs, tidyImportJobs } from '../../src/core/old-import-jobs.js';
import { createRecorder } from '../../src/core/recorder.js';
import { addTags } from '../../src/core/tags.js';
import { NotFound, TooMany } from '../../src/errors.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { carryOut, csvOf, imported, keptRefusals, piecesOf, uploadText } from '../support/import-jobs.js';

const dayMs = 24 * 3_600_000;

describe('An import job', () => {
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(async () => {
    for (const table of ['import_jobs', 'import_job_chunks', 'import_job_refusals']) {
      await test.db(table).delete();
    }
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
    await addTags(test.db, list.id, ['news', 'sale', 'Summer Sale']);
    list = await getListById(test.db, list.id);
  });

  const rowsOf = async (table: string) => ((await test.db(table)) as unknown[]).length;
  const recorded = async () =>
    (await rowsOfList(test.db, list.id))
      .map(({ address, tag }) => `${String(address)} ${tag.toString()}`)
      .sort();
  const tidy = async (at = Date.now()) => {
    while (await tidyImportJobs(test.db, at));
  };
  const counts = ({ state, lines, taken, refused }: ImportJob) => ({ state, lines, taken, refused });

  it('stores what streams in, waits, and records it with the credential that brought it', async () => {
    const job = await uploadText(test.db, list, 'address\nann@example.com\n', { credentialId: 7 });
    assert.deepEqual(counts(job), { state: 'waiting', lines: 0, taken: 0, refused: 0 });
    assert.deepEqual(await recorded(), []);
    await carryOut(test.db);
    const done = await getImportJob(test.db, job.id);
    assert.deepEqual(counts(done), { state: 'done', lines: 2, taken: 1, refused: 0 });
    assert.equal(done.format, 'csv');
    assert.ok(done.finishedAt !== null && done.begunAt !== null && done.finishedAt >= done.begunAt);
    const [row]: object[] = await test
      .db('opt_outs')
      .where({ list_id: list.id })
      .select('credential_id', 'source');
    assert.deepEqual({ ...row }, { credential_id: 7, source: 'import' });
    assert.deepEqual(await findImportJob(test.db, job.publicId), done);
  });

  it('counts what it took and refused, and keeps the refused rows by line, reason and text', async () => {
    const job = await imported(
      test.db,
      list,
      'address,tag\nann@example.com,gone\nbob\n"cyd\n\ndan@example.com,\n',
    );
    assert.deepEqual(counts(job), { state: 'done', lines: 6, taken: 2, refused: 2 });
    assert.deepEqual(job.warnings, { tag: 1 });
    assert.deepEqual(await keptRefusals(test.db, job), [
      { line: 3, problem: 'no-at', text: 'bob' },
      { line: 4, problem: 'quotes', text: '"cyd' },
    ]);
    assert.deepEqual(await recorded(), ['ann@example.com *', 'dan@example.com *']);
  });

  it('keeps ten thousand of the refused rows, and counts all', async () => {
    const rows = Array.from({ length: 10_300 }, (_, i) => `nobody${i}\n`).join('');
    const job = await imported(test.db, list, `address\n${rows}ann@example.com\n`);
    assert.deepEqual(counts(job), { state: 'done', lines: 10_302, taken: 1, refused: 10_300 });
    const kept = await keptRefusals(test.db, job);
    assert.deepEqual([kept.length, kept[0]?.line, kept.at(-1)?.line], [10_000, 2, 10_001]);
  });

  it('reads a file the same wherever its pieces and its chunks end', async () => {
    // One octet is a character of three, a quote, a line end of two: each stands at each place of a boundary.
    const row = '"ö€ „q"" , \r\n x",zoë€@example.com,"news,sale"\r\n';
    const head = 'name,address,tags\r\n';
    for (let shift = 0; shift < Buffer.byteLength(row); shift++) {
      const name = 'x'.repeat(chunkOctets - shift - Buffer.byteLength(`${head},p@example.com,\r\n`));
      const text = `${head}${name},p@example.com,\r\n${row}${row}`;
      const { id } = await uploadText(test.db, list, piecesOf(text, 1000 + shift), { severalTags: true });
      assert.equal((await test.db('import_job_chunks').where({ job_id: id })).length, 2);
      await carryOut(test.db);
      const { taken, refused, warnings } = await getImportJob(test.db, id);
      assert.deepEqual({ taken, refused, warnings }, { taken: 3, refused: 0, warnings: {} }, `${shift}`);
    }
    assert.deepEqual(
      (await recorded()).filter((text) => !text.startsWith('p')),
      ['zoë€@example.com news', 'zoë€@example.com sale'],
    );
  });

  it('reads UTF-16 and gzip as the command line does', async () => {
    const utf16 = Buffer.concat([
      Buffer.of(0xff, 0xfe),
      Buffer.from('address\nann@example.com\n', 'utf16le'),
    ]);
    assert.equal((await imported(test.db, list, utf16)).taken, 1);
    assert.equal((await imported(test.db, list, gzipSync('bob@example.com\n'))).taken, 1);
    assert.deepEqual(await recorded(), ['ann@example.com *', 'bob@example.com *']);
  });

  it('goes on behind its last step, and counts nothing twice', async () => {
    const text = `${csvOf(2500)}nobody\n`;
    const { id } = await uploadText(test.db, list, text);
    for (let starts = 1; starts < 12; starts++) await carryOut(test.db, 2);
    const between = await getImportJob(test.db, id);
    await carryOut(test.db);
    const done = await getImportJob(test.db, id);
    assert.deepEqual(counts(done), { state: 'done', lines: 2502, taken: 2500, refused: 1 });
    assert.ok(between.taken > 0 && between.taken <= 2500);
    assert.equal((await recorded()).length, 2500);
    assert.equal((await keptRefusals(test.db, done)).length, 1);
  });

  it('is counted by one where two carry it out, as while a lease changes hands', async () => {
    const { id } = await uploadText(test.db, list, csvOf(3000));
    const recorder = createRecorder(test.db, { queueRows: 9000, timeoutMs: 5000, onCommit: () => undefined });
    const open = async () => {
      const run = await openNextImport(test.db, (optOuts) => recorder.record(optOuts), 2000);
      assert.ok(run !== null);
      return run;
    };
    const paused = await open();
    assert.equal(await paused.next(), true);
    const other = await open();
    assert.equal(await other.next(), true);
    assert.equal(await paused.next(), false, 'it sees that the job is another one’s');
    await paused.close();
    while (await other.next());
    await other.close();
    const done = await getImportJob(test.db, id);
    assert.deepEqual(counts(done), { state: 'done', lines: 3001, taken: 3000, refused: 0 });
  });

  it('fails with the reason where the file cannot be read, and says how far it could', async () => {
    const failureOf = async (text: string | Buffer) => {
      const job = await imported(test.db, list, text);
      return [job.state, job.failure?.code, job.taken];
    };
    assert.deepEqual(await failureOf('name,town\nAnn,Rome\n'), ['failed', 'header', 0]);
    assert.deepEqual(await failureOf(Buffer.from('PK\u0003\u0004xxxx')), ['failed', 'archive', 0]);
    assert.deepEqual(await failureOf('\n'), ['failed', 'empty', 0]);
    assert.deepEqual(await failureOf(''), ['failed', 'empty', 0]);
    const packed = gzipSync(csvOf(5000), { level: 1 });
    const [state, code, taken] = await failureOf(packed.subarray(0, packed.length - 2000));
    assert.deepEqual([state, code], ['failed', 'cut-off']);
    assert.ok(typeof taken === 'number' && taken > 1000 && taken < 5000);
    const { failure } = await imported(test.db, list, 'name,town\nAnn,Rome\n');
    assert.ok(failure !== null && !failure.message.includes('--'), failure?.message);
  });

  it('is refused what unpacks to far more than any list of addresses', async () => {
    const bomb = gzipSync(Buffer.alloc(80 * 1024 * 1024, `${' '.repeat(4000)}\n`));
    const job = await imported(test.db, list, bomb);
    assert.deepEqual([job.state, job.failure?.code], ['failed', 'archive']);
  });

  it('leaves nothing of an upload that breaks off', async () => {
    async function* broken() {
      yield* piecesOf(csvOf(20_000));
      throw new Error('the client is gone');
    }
    await assert.rejects(uploadText(test.db, list, broken()), /the client is gone/);
    assert.deepEqual([await rowsOf('import_jobs'), await rowsOf('import_job_chunks')], [0, 0]);
  });

  it('is removed an hour after a killed process has left it half uploaded', async () => {
    let go: () => void = () => undefined;
    const stalled = new Promise<void>((resolve) => (go = resolve));
    async function* octets() {
      yield* piecesOf(csvOf(20_000));
      await stalled;
    }
    const upload = uploadText(test.db, list, octets());
    const rejected = assert.rejects(upload, /given up/);
    while ((await rowsOf('import_job_chunks')) < 5);
    await tidy(Date.now() + 59 * 60_000);
    assert.equal((await importJobsOfList(test.db, list))[0]?.state, 'uploading');
    await tidy(Date.now() + 61 * 60_000);
    assert.deepEqual([await rowsOf('import_jobs'), await rowsOf('import_job_chunks')], [0, 0]);
    // Had it been alive all the same, it must not become a job of which the beginning is missing.
    go();
    await rejected;
    assert.deepEqual([await rowsOf('import_jobs'), await rowsOf('import_job_chunks')], [0, 0]);
  });

  it('gives up its chunks once it is over, the texts after 30 days, and goes with the history', async () => {
    const job = await imported(test.db, list, `${csvOf(20_000)}nobody\n`);
    assert.ok((await rowsOf('import_job_chunks')) > 5);
    await tidy();
    assert.equal(await rowsOf('import_job_chunks'), 0);
    assert.equal((await keptRefusals(test.db, job))[0]?.text, 'nobody');
    await tidy(Date.now() + textsMs - 60_000);
    assert.equal((await keptRefusals(test.db, job))[0]?.text, 'nobody');
    await tidy(Date.now() + textsMs + 60_000);
    assert.deepEqual(await keptRefusals(test.db, job), [{ line: 20_002, problem: 'no-at', text: null }]);
    const retention = { ipMs: dayMs, tombstonesMs: dayMs, historyMs: 100 * dayMs };
    const forget = async (days: number) => {
      while (await forgetImportJobs(test.db, Date.now() + days * dayMs, retention));
    };
    await forget(99);
    assert.equal((await getImportJob(test.db, job.id)).refused, 1);
    await forget(101);
    assert.deepEqual([await rowsOf('import_jobs'), await rowsOf('import_job_refusals')], [0, 0]);
  });

  it('is one of a hundred that an account may have unfinished', async () => {
    const first = await uploadText(test.db, list, 'ann@example.com\n');
    const row = { ...(await test.db('import_jobs').where({ id: first.id }).first()) } as Record<
      string,
      unknown
    >;
    const rows = Array.from({ length: mostUnfinished - 1 }, (_, i) => {
      return { ...row, id: first.id + 1 + i, public_id: `x${i}` };
    });
    await test.db('import_jobs').insert(rows);
    await assert.rejects(uploadText(test.db, list, 'bob@example.com\n'), TooMany);
    assert.equal(await rowsOf('import_jobs'), mostUnfinished);
    const elsewhere = { ...list, accountId: 2 };
    await uploadText(test.db, elsewhere, 'bob@example.com\n');
    await test.db('import_jobs').where({ id: first.id }).update({ state: 'done' });
    await uploadText(test.db, list, 'bob@example.com\n');
    await test.db('import_jobs').where('id', '>', first.id).update({ state: 'done' });
    await test.db('import_jobs').where({ id: first.id }).update({ state: 'waiting', octets: mostOctets });
    await assert.rejects(uploadText(test.db, list, 'bob@example.com\n'), TooMany);
  });

  it('is given up where it kills whoever carries it out, so that the others have their turn', async () => {
    const poison = await uploadText(test.db, list, 'ann@example.com\n');
    const next = await uploadText(test.db, list, 'bob@example.com\n');
    const nothing = () => Promise.resolve();
    // Whoever is killed closes nothing.
    for (let starts = 0; starts < 20; starts++) await openNextImport(test.db, nothing, 0);
    assert.equal((await getImportJob(test.db, poison.id)).state, 'running');
    await carryOut(test.db);
    await carryOut(test.db);
    const { state, failure } = await getImportJob(test.db, poison.id);
    assert.deepEqual([state, failure?.code], ['failed', 'given-up']);
    assert.equal((await getImportJob(test.db, next.id)).state, 'done');
  });

  it('is listed newest first, by list and by account, and found by its id alone', async () => {
    const jobs: ImportJob[] = [];
    for (let i = 0; i < 3; i++) jobs.push(await uploadText(test.db, list, 'ann@example.com\n'));
    const ids = jobs.map(({ id }) => id).reverse();
    const listed = async (page = {}) => (await importJobsOfList(test.db, list, page)).map(({ id }) => id);
    assert.deepEqual(await listed(), ids);
    assert.deepEqual(await listed({ limit: 2 }), ids.slice(0, 2));
    assert.deepEqual(await listed({ before: ids[1] }), ids.slice(2));
    assert.deepEqual(
      (await importJobsOfAccount(test.db, 1)).map(({ id }) => id),
      ids,
    );
    assert.deepEqual(await importJobsOfAccount(test.db, 2), []);
    assert.equal(await findImportJob(test.db, 'nobody'), null);
    await assert.rejects(getImportJob(test.db, 999_999), NotFound);
  });

  it('is noted in the history of its list, which may be archived', async () => {
    list = await archiveList(test.db, list, true, { actor: 'test' });
    const { publicId } = await imported(test.db, list, 'ann@example.com\nnobody\n', {
      actor: 'credential-7',
    });
    const notes = (await test
      .db('history')
      .where({ list_id: list.id, actor: 'credential-7' })
      .orderBy('id')) as { action: string; details: string }[];
    assert.deepEqual(
      notes.map(({ action, details }) => [action, JSON.parse(details) as unknown]),
      [
        ['list.import-started', { import: publicId }],
        ['list.imported', { import: publicId, format: 'lines', recorded: 1, refused: 1, is_whole: true }],
      ],
    );
  });
});

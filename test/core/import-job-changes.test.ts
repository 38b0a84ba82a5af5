import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { createAccount } from '../../src/core/accounts.js';
import { audit } from '../../src/core/audit.js';
import { endImportJob, restartImportJob } from '../../src/core/import-job-changes.js';
import { openNextImport } from '../../src/core/import-job-run.js';
import { getImportJob, type ImportJob } from '../../src/core/import-jobs.js';
import { textOctets } from '../../src/core/import-octets.js';
import { createList, type List } from '../../src/core/lists.js';
import { textsMs, tidyImportJobs } from '../../src/core/old-import-jobs.js';
import { createRecorder } from '../../src/core/recorder.js';
import { Refused, Unavailable } from '../../src/errors.js';
import { createImportSweep } from '../../src/keeper/import-sweep.js';
import { readConfig } from '../../src/config.js';
import { hasPendingChanges } from '../../src/core/feed.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { rowOf } from '../../src/core/opt-outs.js';
import { startKeeper } from '../../src/keeper/keeper.js';
import { createLog } from '../../src/log.js';
import { migratedDatabase, optOutOf, rowsOfList, type TestDatabase } from '../support/core.js';
import { engine } from '../support/engine.js';
import { until } from '../support/service.js';
import { carryOut, csvOf, piecesOf, uploadText } from '../support/import-jobs.js';

describe('An import job in trouble', () => {
  let test: TestDatabase;
  let list: List;
  beforeEach(async () => {
    test = await migratedDatabase();
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
  });
  afterEach(() => test.close());

  const current = ({ id }: ImportJob) => getImportJob(test.db, id);
  const counts = ({ state, lines, taken, refused }: ImportJob) => ({ state, lines, taken, refused });
  const chunksOf = async ({ id }: ImportJob) =>
    ((await test.db('import_job_chunks').where({ job_id: id }).pluck('number')) as number[]).length;
  const tidy = async (at: number) => {
    while (await tidyImportJobs(test.db, at));
  };
  const breaches = async () => {
    const found: string[] = [];
    for await (const { description } of audit(test.db)) found.push(description);
    return found;
  };
  const nothing = () => Promise.resolve();
  /** As where it kills each process that carries it out: nobody closes anything then. */
  async function giveUp(job: ImportJob): Promise<void> {
    for (let starts = 0; starts <= 20; starts++) await openNextImport(test.db, nothing, 0);
    assert.equal((await current(job)).failure?.code, 'given-up');
  }

  it('is finished with exact counts, however often the database would not take its rows', async () => {
    const job = await uploadText(test.db, list, `${csvOf(1500)}nobody\n`);
    const recorder = createRecorder(test.db, { queueRows: 9000, timeoutMs: 5000, onCommit: () => undefined });
    let refusals = 0;
    const step = async (isAway: boolean) => {
      const run = await openNextImport(
        test.db,
        (optOuts) => (isAway ? Promise.reject(new Unavailable('away')) : recorder.record(optOuts)),
        0,
      );
      assert.ok(run !== null);
      try {
        await run.next();
      } catch (error) {
        assert.ok(error instanceof Unavailable, String(error));
        refusals++;
      } finally {
        await run.close();
      }
    };
    for (let rounds = 0; rounds < 30; rounds++) await step(true);
    await step(false);
    for (let rounds = 0; rounds < 30; rounds++) await step(true);
    assert.equal(refusals, 60);
    assert.equal((await current(job)).state, 'running');
    await carryOut(test.db);
    assert.deepEqual(counts(await current(job)), { state: 'done', lines: 1502, taken: 1500, refused: 1 });
  });

  it('is given up where it fails by itself, as often as it is tried', async () => {
    const job = await uploadText(test.db, list, csvOf(10));
    const failing = () => Promise.reject(new Error('a defect'));
    for (let starts = 0; starts <= 20; starts++) {
      const run = await openNextImport(test.db, failing, 0);
      await run?.next().catch(() => undefined);
      await run?.close();
    }
    assert.equal((await current(job)).failure?.code, 'given-up');
  });

  it('keeps its file for 30 days once it is given up, and is whole when it is started again', async () => {
    const job = await uploadText(test.db, list, csvOf(20_000));
    const chunks = await chunksOf(job);
    await giveUp(job);
    await tidy(Date.now() + textsMs - 60_000);
    assert.equal(await chunksOf(job), chunks);
    assert.deepEqual(await breaches(), []);
    await test.db.transaction((trx) => restartImportJob(trx, job.id, 'cli'));
    await carryOut(test.db);
    const done = await current(job);
    assert.deepEqual(counts(done), { state: 'done', lines: 20_001, taken: 20_000, refused: 0 });
    await tidy(Date.now());
    assert.equal(await chunksOf(job), 0);
    assert.deepEqual(
      await test.db('history').where({ action: 'list.import-restarted', actor: 'cli' }).pluck('list_id'),
      [list.id],
    );
  });

  it('is not started again once its file is gone', async () => {
    const job = await uploadText(test.db, list, csvOf(10));
    await giveUp(job);
    await tidy(Date.now() + textsMs + 60_000);
    assert.equal(await chunksOf(job), 0);
    await assert.rejects(
      test.db.transaction((trx) => restartImportJob(trx, job.id, 'cli')),
      (error) => error instanceof Refused && error.reason === 'file-gone',
    );
  });

  it('keeps what was recorded where it is ended, and records no more', async () => {
    const job = await uploadText(test.db, list, csvOf(5000));
    const recorder = createRecorder(test.db, { queueRows: 9000, timeoutMs: 5000, onCommit: () => undefined });
    const run = await openNextImport(test.db, (optOuts) => recorder.record(optOuts), 2000);
    assert.equal(await run?.next(), true);
    await test.db.transaction((trx) => endImportJob(trx, job.id, 'cli'));
    assert.equal(await run?.next(), false);
    await run?.close();
    const { taken } = await current(job);
    const recorded = (await rowsOfList(test.db, list.id)).length;
    assert.ok(taken > 0 && taken <= recorded && recorded < 5000, `${taken} of ${recorded}`);
    await carryOut(test.db);
    const ended = await current(job);
    assert.deepEqual([ended.state, ended.failure?.code, ended.taken], ['failed', 'ended', taken]);
    assert.equal((await rowsOfList(test.db, list.id)).length, recorded);
    await tidy(Date.now());
    assert.equal(await chunksOf(job), 0);
    const noted = { list_id: list.id, action: 'list.imported', actor: 'cli' };
    assert.equal((await test.db('history').where(noted)).length, 1);
    assert.deepEqual(
      (await breaches()).filter((text) => text.startsWith('import job')),
      [],
    );
    await assert.rejects(
      test.db.transaction((trx) => endImportJob(trx, job.id, 'cli')),
      Refused,
    );
  });

  it('keeps no other account waiting', async () => {
    const { id } = await createAccount(test.db, 'Other', { actor: 'test' });
    const others = await createList(test.db, id, { name: 'Others' }, { actor: 'test' });
    const large = await uploadText(test.db, list, csvOf(20_000));
    const sweep = createImportSweep();
    const retention = { ipMs: 1e12, tombstonesMs: 1e12, historyMs: null };
    const round = () => sweep.run(test.db, Date.now(), retention);
    while ((await current(large)).taken === 0) await round();
    const small = await uploadText(test.db, others, csvOf(10, 'q'));
    // A keeper looks for others once a second; one that has just begun, at once.
    await sweep.stop?.();
    const fresh = createImportSweep();
    try {
      while ((await current(small)).state !== 'done') {
        assert.equal((await current(large)).state, 'running');
        await fresh.run(test.db, Date.now(), retention);
      }
      assert.equal((await current(large)).state, 'running');
      while (await fresh.run(test.db, Date.now(), retention));
    } finally {
      await fresh.stop?.();
    }
    assert.deepEqual(counts(await current(large)), {
      ...{ state: 'done', lines: 20_001, taken: 20_000, refused: 0 },
    });
  }).timeout(30_000);

  it('may unpack to so much and no more', async () => {
    const packed = gzipSync(csvOf(50_000));
    const read = async (most: number) => {
      let octets = 0;
      for await (const piece of textOctets(piecesOf(packed), most)) octets += piece.length;
      return octets;
    };
    const whole = csvOf(50_000).length;
    assert.equal(await read(whole), whole);
    await assert.rejects(read(500_000), (error) => error instanceof Refused && error.reason === 'archive');
  });

  if (engine === 'mysql') {
    it('holds up no numbering while the database takes all but its rows, and goes on by itself', async () => {
      // As a lock that outlasts each try: errno 1205.
      await test.db.raw(
        `CREATE TRIGGER locked BEFORE INSERT ON opt_outs FOR EACH ROW
         IF NEW.source = 'import' THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205; END IF`,
      );
      const job = await uploadText(test.db, list, csvOf(1500));
      const warnings: string[] = [];
      const log = createLog('warn', { write: (line: string) => void warnings.push(line) });
      const keeper = startKeeper(test.another(), log, 'ann', readConfig({}).retention);
      try {
        const isTold = () => warnings.some((line) => line.includes('a sweep of the keeper failed'));
        await until('it has failed', () => Promise.resolve(isTold()));
        await writeOptOuts(test.db, [rowOf(optOutOf(list.id, 'ann@example.com'))]);
        await until('it is numbered', async () => !(await hasPendingChanges(test.db, list.id)));
        assert.ok(!warnings.some((line) => line.includes('"the keeper failed')), warnings.join(''));
        const row = await test.db<{ attempts: number }>('import_jobs').first('attempts');
        assert.ok(row !== undefined && row.attempts <= 1, `${row?.attempts}`);
        await test.db.raw('DROP TRIGGER locked');
        await until('it is done', async () => (await current(job)).state === 'done');
      } finally {
        await keeper.stop();
      }
      assert.equal((await current(job)).taken, 1500);
    }).timeout(60_000);
  }
});

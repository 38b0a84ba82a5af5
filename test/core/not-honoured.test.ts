import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { erasePerson } from '../../src/core/erasure.js';
import { logDownload, logDownloadEnd } from '../../src/core/downloads.js';
import { noteFetch } from '../../src/core/fetches.js';
import { getFeed } from '../../src/core/feed.js';
import { findNotHonoured, forgetNotHonoured, listNotHonoured } from '../../src/core/not-honoured.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import { migratedDatabase, newList, numberAll, optOutOf, type TestDatabase } from '../support/core.js';
import { plansOf } from '../support/plans.js';

const day = 24 * 3_600_000;
/** A Monday. */
const monday = Date.parse('2026-03-02T12:00:00Z');
const on = (days: number) => monday + days * day;
/** Ten business days after the first one, and one more. */
const late = on(16);

describe('An opt-out that was not honoured', () => {
  let test: TestDatabase;
  let db: Db;
  let list: number;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close('its mailer is a number'));
  beforeEach(async () => {
    await test.clear();
    for (const table of ['passes', 'downloads', 'not_honoured']) await db(table).delete();
    list = await newList(db);
  });

  const leave = async (email: string, at: number, more: Partial<OptOut> = {}) => {
    await writeOptOuts(db, [rowOf(optOutOf(list, email, { source: 'page', recordedAt: at, ...more }))]);
    await numberAll(db, [list]);
  };
  /** A whole download of a mailer, which ends at a time. */
  async function fetch(mailerId: number, at: number): Promise<void> {
    const about = { listId: list, mailerId };
    const log = { accessKeyId: 1, ip: '192.0.2.1', extent: 'all', format: 'md5', status: 200 } as const;
    const downloadId = await logDownload(db, { ...about, ...log });
    await logDownloadEnd(db, downloadId, 1);
    await db('downloads').where({ id: downloadId }).update({ at, finished_at: at });
    const { lastNumber: reached } = await getFeed(db);
    const place = { extent: 'all', from: null, reached, reachedAt: at, markedAt: 0 } as const;
    await noteFetch(db, { ...about, downloadId, listIds: [list], ...place }, 1000, at);
  }
  async function pass(at = on(100)): Promise<number> {
    await db('passes').delete();
    for (let calls = 1; calls < 100; calls++) if (!(await findNotHonoured(db, at, 3))) return calls;
    throw new Error('the pass comes to no end');
  }
  const found = async (mailerId?: number) =>
    (await listNotHonoured(db, list, { mailerId, limit: 100 }))
      .map(
        (one) =>
          `${one.addressKey.toString('hex').slice(0, 6)} ${one.mailerId} ${one.fetchedAt} ${one.leftAgainAt}`,
      )
      .sort();
  const name = (email: string, mailerId: number, fetchedAt: number, leftAgainAt: number) =>
    `${md5Of(email).toString('hex').slice(0, 6)} ${mailerId} ${fetchedAt} ${leftAgainAt}`;

  it('is one of somebody who left again ten business days after a mailer had fetched it', async () => {
    await leave('ann@example.com', on(0));
    await fetch(1, on(1));
    await leave('bob@example.com', on(2));
    await fetch(2, on(3));
    for (const email of ['ann@example.com', 'bob@example.com']) await leave(email, late);
    await pass();
    assert.deepEqual(await found(), [name('ann@example.com', 1, on(1), late)]);
    for (const email of ['ann@example.com', 'bob@example.com']) await leave(email, late + 10 * day);
    await pass();
    assert.deepEqual(
      await found(),
      [
        name('ann@example.com', 1, on(1), late + 10 * day),
        name('ann@example.com', 2, on(3), late + 10 * day),
        name('bob@example.com', 2, on(3), late + 10 * day),
      ].sort(),
    );
    assert.equal((await found(1)).length, 1);
  });

  it('is found once, and again when they leave once more', async () => {
    await leave('ann@example.com', on(0));
    await fetch(1, on(1));
    await fetch(1, on(50));
    await leave('ann@example.com', late);
    await pass(on(100));
    await pass(on(101));
    const [first] = await listNotHonoured(db, list, { limit: 10 });
    assert.equal(first?.foundAt, on(100));
    await leave('ann@example.com', late + day);
    await pass(on(102));
    const [again, ...others] = await listNotHonoured(db, list, { limit: 10 });
    assert.deepEqual([again?.foundAt, again?.leftAgainAt, others.length], [on(102), late + day, 0]);
  });

  it('is none that machines brought again, that was taken back, or that left anew after a removal', async () => {
    for (const email of ['ann@example.com', 'bob@example.com', 'cyd@example.com']) await leave(email, on(0));
    await fetch(1, on(1));
    for (const source of ['server', 'api', 'import', 'console'] as const)
      await leave('ann@example.com', late, { source });
    await leave('bob@example.com', late);
    await removeOptOuts(db, list, 'bob@example.com', { at: late + 1 });
    await removeOptOuts(db, list, 'cyd@example.com', { at: on(2) });
    await leave('cyd@example.com', late);
    await pass();
    assert.deepEqual(await found(), []);
  });

  it('is none where nobody had fetched it, or a download was cut off', async () => {
    await fetch(1, on(0));
    await leave('ann@example.com', on(1));
    await db('downloads').insert({
      ...{
        list_id: list,
        mailer_id: 1,
        access_key_id: 1,
        at: on(2),
        ip: '',
        extent: 'all',
        format: 'md5',
        status: 200,
      },
    });
    await leave('ann@example.com', on(60));
    await pass();
    assert.deepEqual(await found(), []);
  });

  it('is looked for in slices over all lists, however many left again', async () => {
    for (let n = 0; n < 20; n++) await leave(`p${n}@example.com`, on(0));
    for (let mailer = 1; mailer <= 60; mailer++) await fetch(mailer, on(1));
    for (let n = 0; n < 20; n++) await leave(`p${n}@example.com`, late);
    const first = list;
    list = await newList(db);
    await leave('ann@example.com', on(0));
    await fetch(1, on(1));
    await leave('ann@example.com', late);
    assert.ok((await pass()) >= 20 / 3);
    assert.equal((await found()).length, 1);
    assert.equal((await listNotHonoured(db, first, { limit: 5000 })).length, 20 * 60);
  }).timeout(60_000);

  it('is looked for by keys alone', async () => {
    await leave('ann@example.com', on(0));
    await fetch(1, on(1));
    await leave('ann@example.com', late);
    await db('passes').delete();
    const plans = await plansOf(db, async () => {
      for (let isMore = true; isMore;) isMore = await findNotHonoured(db, on(100));
      await listNotHonoured(db, list, { limit: 10 });
    });
    const used = (table: string) => [
      ...new Set(
        plans.filter((plan) => plan.table === table).map(({ index, isScan }) => `${index} ${isScan}`),
      ),
    ];
    assert.deepEqual(used('opt_outs'), ['PRIMARY false']);
    assert.deepEqual(used('downloads'), ['downloads_reached false']);
    assert.deepEqual(used('not_honoured').includes('not_honoured_list false'), true);
  });

  it('goes with a person who is erased, and does not come back', async () => {
    await leave('ann@example.com', on(0));
    await fetch(1, on(1));
    await leave('ann@example.com', late);
    await pass();
    assert.equal((await found()).length, 1);
    for await (const _ of erasePerson(db, 1, 'ann@example.com', { actor: 'test', retryMs: 1000 }));
    assert.deepEqual(await found(), []);
    await pass();
    assert.deepEqual(await found(), []);
  });

  it('is forgotten with the history', async () => {
    await leave('ann@example.com', on(0));
    await fetch(1, on(1));
    await leave('ann@example.com', late);
    await pass(on(100));
    assert.equal(await forgetNotHonoured(db, on(1000), null), false);
    await forgetNotHonoured(db, on(199), 100 * day);
    assert.equal((await found()).length, 1);
    await forgetNotHonoured(db, on(201), 100 * day);
    assert.deepEqual(await found(), []);
  });
});

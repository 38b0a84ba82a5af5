import assert from 'node:assert/strict';
import request from 'supertest';
import { getAccount } from '../../src/core/accounts.js';
import { tenBusinessDaysAfter } from '../../src/core/business-days.js';
import { complianceOfList, type Compliance } from '../../src/core/compliance.js';
import { erasePerson } from '../../src/core/erasure.js';
import { findFetch } from '../../src/core/fetches.js';
import { setGlobalList } from '../../src/core/global-list.js';
import type { List } from '../../src/core/lists.js';
import type { Mailer } from '../../src/core/mailers.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf } from '../support/core.js';
import {
  makeList,
  makeMailer,
  startTestService,
  until,
  untilNumbered,
  type TestService,
} from '../support/service.js';

const hour = 3_600_000;
const day = 24 * hour;

describe('The compliance clock', () => {
  let service: TestService;
  let list: List;
  let mailer: Mailer;
  let key: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    ({ mailer, key } = await makeMailer(service, list));
  });

  /** So that the mailer has been granted the list long ago. */
  const grantedLongAgo = () =>
    service.deps.db('grants').where({ mailer_id: mailer.id }).update({ created_at: 1 });
  async function leave(email: string, ago = 0, on = list): Promise<void> {
    await service.deps.recorder.record([optOutOf(on.id, email, { recordedAt: Date.now() - ago })]);
    await untilNumbered(service, on);
  }
  async function clock(now = Date.now()): Promise<Compliance> {
    const [one, ...others] = await complianceOfList(service.deps.db, list, { zone: 'UTC', now });
    assert.ok(one !== undefined && others.length === 0);
    return one;
  }
  const fetch = () => findFetch(service.deps.db, list.id, mailer.id);
  const endOf = async (id: number) =>
    (await service.deps.db('downloads').where({ id }).first<{ finished_at: number | null }>('finished_at'))
      .finished_at;
  const newest = async () => {
    const row = await service.deps.db('downloads').orderBy('id', 'desc').first<{ id: number }>('id');
    return row.id;
  };
  /** Takes the list, and waits until that is noted. @returns the cursor. */
  async function download(query: Record<string, string> = {}, status = 200): Promise<string> {
    const answer = await request(service.url)
      .get(`/l/${list.publicId}/download`)
      .query({ key, ...query });
    assert.equal(answer.status, status);
    const id = await newest();
    await until('the end is logged', async () => (await endOf(id)) !== null);
    // What follows in the same turn: a query that comes later is answered later.
    await until('the queries of before are over', async () => (await fetch(), true));
    return answer.get('Signoff-Cursor') ?? '';
  }
  const untilWaiting = (count: number) =>
    until(`${count} wait`, async () => (await clock()).optOuts === count);

  it('counts what a mailer has not fetched, and stops with a whole list', async () => {
    await grantedLongAgo();
    const before = await clock();
    assert.deepEqual([before.optOuts, before.state, before.fetchedAt, before.wholeAt], [0, 'ok', null, null]);
    await leave('ann@example.com', 2 * hour);
    await leave('bob@example.com', 5 * hour);
    const waiting = await clock();
    assert.deepEqual([waiting.optOuts, waiting.isMore, waiting.mailerName], [2, false, 'Mailer']);
    const age = Date.now() - (waiting.since ?? 0);
    assert.ok(Math.abs(age - 5 * hour) < 60_000);
    await download();
    await untilWaiting(0);
    const fetched = await clock();
    assert.deepEqual([fetched.since, fetched.dueAt, fetched.state], [null, null, 'ok']);
    assert.ok((fetched.fetchedAt ?? 0) > Date.now() - 60_000 && (fetched.wholeAt ?? 0) > Date.now() - 60_000);
    await leave('cyd@example.com');
    assert.equal((await clock()).optOuts, 1);
  });

  it('is ok, due soon after a day, late after two, and past the law after ten business days', async () => {
    await grantedLongAgo();
    await leave('ann@example.com');
    const { since, lawfulUntil, dueAt } = await clock();
    assert.ok(since !== null && lawfulUntil !== null);
    assert.equal(dueAt, since + 48 * hour);
    const states = [0, 24 * hour - 1, 24 * hour, 48 * hour - 1, 48 * hour].map(
      async (ms) => (await clock(since + ms)).state,
    );
    assert.deepEqual(await Promise.all(states), ['ok', 'ok', 'due-soon', 'due-soon', 'late']);
    assert.equal((await clock(lawfulUntil - 1)).isUnlawful, false);
    assert.equal((await clock(lawfulUntil)).isUnlawful, true);
    assert.ok(lawfulUntil - since > 13 * day && lawfulUntil - since <= 16 * day);
  });

  it('begins for a mailer when it is granted the list', async () => {
    await leave('ann@example.com', 90 * day);
    const { state, since, optOuts } = await clock();
    assert.deepEqual([state, optOuts], ['ok', 1]);
    assert.ok((since ?? 0) > Date.now() - 60_000);
  });

  it('goes on from delta to delta, and takes none that begins beyond what the mailer has', async () => {
    await leave('ann@example.com');
    const first = await download();
    await leave('bob@example.com');
    const second = await download({ cursor: first });
    await untilWaiting(0);
    await leave('cyd@example.com');
    // A cursor of which the body never came.
    const head = await request(service.url).head(`/l/${list.publicId}/download`).query({ key });
    await leave('dan@example.com');
    await download({ cursor: head.get('Signoff-Cursor') ?? '' });
    assert.equal((await clock()).optOuts, 2);
    await download({ cursor: second });
    await untilWaiting(0);
    assert.ok(((await clock()).wholeAt ?? 0) > 0);
  });

  it('takes what was recorded since a date where that leaves nothing out', async () => {
    await leave('ann@example.com', 5 * hour);
    await download();
    await untilWaiting(0);
    await leave('bob@example.com', 3 * hour);
    await leave('cyd@example.com');
    const since = (ago: number) => new Date(Date.now() - ago).toISOString();
    await download({ since: since(hour) });
    assert.equal((await clock()).optOuts, 2);
    await download({ since: since(4 * hour) });
    await untilWaiting(0);
  });

  it('takes no date for a beginning, no part of a list, no 304, and no HEAD', async () => {
    await addTags(service.deps.db, list.id, ['sale']);
    await leave('ann@example.com');
    await download({ since: '2020-01-01' });
    await download({ tag: 'sale' });
    await request(service.url).head(`/l/${list.publicId}/download`).query({ key }).expect(200);
    await request(service.url)
      .get(`/l/${list.publicId}/download`)
      .query({ key })
      .set('If-None-Match', '*')
      .expect(304);
    assert.equal((await clock()).optOuts, 1);
    assert.equal(await fetch(), null);
  });

  it('does not start again for what only changed: an erased person, a later expiry', async () => {
    await service.deps.recorder.record([
      optOutOf(list.id, 'bob@example.com', { recordedAt: Date.now(), expiresAt: Date.now() + day }),
    ]);
    await leave('ann@example.com', 200 * day);
    await download();
    await untilWaiting(0);
    for await (const _ of erasePerson(service.deps.db, list.accountId, 'ann@example.com', {
      actor: 'test',
      retryMs: 1000,
    }));
    await service.deps.recorder.record([
      optOutOf(list.id, 'bob@example.com', { recordedAt: Date.now(), expiresAt: Date.now() + 2 * day }),
    ]);
    await untilNumbered(service, list);
    assert.equal((await clock()).optOuts, 0);
    const { reached } = (await fetch()) ?? {};
    const row = await service.deps
      .db('opt_outs')
      .where({ list_id: list.id })
      .max('feed_number as n')
      .first<{ n: number }>();
    assert.ok(row.n > (reached ?? Infinity), 'the feed has carried them again');
  });

  it('starts for whom a removal made mailable, and who left again', async () => {
    await leave('ann@example.com', 200 * day);
    await download();
    await untilWaiting(0);
    await removeOptOuts(service.deps.db, list.id, 'ann@example.com');
    await untilNumbered(service, list);
    assert.equal((await clock()).optOuts, 0);
    await leave('ann@example.com');
    assert.equal((await clock()).optOuts, 1);
  });

  it('counts the global list, all of it where it became that after the download', async () => {
    const other = await makeList(service);
    await leave('eve@example.com', hour, other);
    await download();
    await untilWaiting(0);
    const account = await getAccount(service.deps.db, list.accountId);
    await setGlobalList(service.deps.db, account, other, { actor: 'test' });
    try {
      assert.equal((await clock()).optOuts, 1);
      await download();
      await untilWaiting(0);
      await leave('fay@example.com', 0, other);
      assert.equal((await clock()).optOuts, 1);
    } finally {
      await setGlobalList(service.deps.db, account, null, { actor: 'test' });
    }
  });

  it('notes a scrub, which brings a mailer nothing to keep', async () => {
    await leave('ann@example.com');
    await request(service.url)
      .post(`/l/${list.publicId}/scrub`)
      .query({ key, return: 'white' })
      .set('Content-Type', 'text/plain')
      .send('ann@example.com\nbob@example.com\n')
      .expect(200);
    await until('it is noted', async () => (await clock()).scrubbedAt !== null);
    const { optOuts, fetchedAt, wholeAt } = await clock();
    assert.deepEqual([optOuts, fetchedAt, wholeAt], [1, null, null]);
    await download();
    await untilWaiting(0);
  });

  it('counts no more than ten thousand', async () => {
    const people = Array.from({ length: 10_500 }, (_, n) =>
      optOutOf(list.id, `p${n}@example.com`, { recordedAt: Date.now() }),
    );
    for (let i = 0; i < people.length; i += 1000)
      await service.deps.recorder.record(people.slice(i, i + 1000));
    await until('all are numbered', async () => (await clock()).optOuts >= 10_000);
    const { optOuts, isMore } = await clock();
    assert.deepEqual([optOuts, isMore], [10_000, true]);
  }).timeout(60_000);

  it('shows one mailer alone where it is asked to', async () => {
    const { mailer: second } = await makeMailer(service, list);
    const { db } = service.deps;
    const all = await complianceOfList(db, list, { zone: 'UTC', now: Date.now() });
    assert.deepEqual(all.map(({ mailerId }) => mailerId).sort(), [mailer.id, second.id].sort());
    const own = await complianceOfList(db, list, { mailerId: second.id, zone: 'UTC', now: Date.now() });
    assert.deepEqual(
      own.map(({ mailerId }) => mailerId),
      [second.id],
    );
  });
});

describe('Ten business days', () => {
  const end = (text: string, zone = 'UTC') =>
    new Date(tenBusinessDaysAfter(Date.parse(text), zone)).toISOString();

  it('end with the tenth day that is no Saturday and no Sunday', () => {
    // A Thursday, a Friday, a Saturday, a Sunday and a Monday.
    assert.equal(end('2026-03-05T12:00:00Z'), '2026-03-20T00:00:00.000Z');
    assert.equal(end('2026-03-06T23:59:59Z'), '2026-03-21T00:00:00.000Z');
    assert.equal(end('2026-03-07T00:00:00Z'), '2026-03-21T00:00:00.000Z');
    assert.equal(end('2026-03-08T12:00:00Z'), '2026-03-21T00:00:00.000Z');
    assert.equal(end('2026-03-09T12:00:00Z'), '2026-03-24T00:00:00.000Z');
  });

  it('are those of a time zone', () => {
    assert.equal(end('2026-03-05T15:00:00Z', 'Asia/Tokyo'), '2026-03-20T15:00:00.000Z');
    assert.equal(end('2026-03-20T12:00:00Z', 'Europe/Berlin'), '2026-04-03T22:00:00.000Z');
  });
});

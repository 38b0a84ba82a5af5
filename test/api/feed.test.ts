import assert from 'node:assert/strict';
import type { Response } from 'supertest';
import { createAccount } from '../../src/core/accounts.js';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { setGlobalList } from '../../src/core/global-list.js';
import type { List } from '../../src/core/lists.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { makeList, startTestService, untilNumbered, type TestService } from '../support/service.js';
import { clientOf, clientOfList, problemIn, type Client } from './client.js';
import { followerOf, type FeedPage } from './follower.js';

const md5 = (text: string) => md5Of(text).toString('hex');
const sha256 = (text: string) => sha256Of(text).toString('hex');

describe("The API's feed", () => {
  let service: TestService;
  let list: List;
  let call: Client;
  let path: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    ({ list, call } = await clientOfList(service, 'read'));
    path = `/lists/${list.publicId}/feed`;
  });

  async function record(emails: readonly string[], more = {}, on = list): Promise<void> {
    const optOuts = emails.map((email) => optOutOf(on.id, email, { recordedAt: Date.now(), ...more }));
    await service.deps.recorder.record(optOuts);
    await untilNumbered(service, on);
  }
  async function remove(email: string, tag?: string): Promise<void> {
    await removeOptOuts(service.deps.db, list.id, email, tag === undefined ? {} : { tag });
    await untilNumbered(service, list);
  }
  async function page(query: Record<string, string> = {}): Promise<FeedPage & { link: string }> {
    const answer = await call('get', `${path}?${new URLSearchParams(query).toString()}`);
    assert.equal(answer.status, 200, answer.text);
    return { ...(answer.body as FeedPage), link: String(answer.headers.link) };
  }
  const signed = ({ changes }: FeedPage) =>
    changes.map(({ change, item }) => `${change === 'add' ? '+' : '-'}${item}`);

  it('begins with the whole list, and goes on with what changes, for ever', async () => {
    await record(['ann@example.com', 'bob@example.com']);
    const whole = await page();
    assert.deepEqual([whole.part, whole.has_more, whole.not_expressed], ['list', false, 0]);
    assert.deepEqual(signed(whole).sort(), ['+ann@example.com', '+bob@example.com']);

    const none = await page({ cursor: whole.next_cursor });
    assert.deepEqual([none.part, none.changes, none.has_more], ['changes', [], false]);
    await record(['cat@example.com']);
    await remove('ann@example.com');
    const changes = await page({ cursor: none.next_cursor });
    assert.deepEqual(signed(changes), ['+cat@example.com', '-ann@example.com']);
    assert.deepEqual(
      signed(await page({ cursor: whole.next_cursor })),
      signed(changes),
      'a cursor may come again',
    );
    assert.deepEqual((await page({ cursor: changes.next_cursor })).changes, []);
  });

  it('comes in pages, each of which links to the next, without a gap or a double', async () => {
    const emails = Array.from({ length: 25 }, (_, i) => `a${i}@example.com`);
    await record(emails);
    const seen: string[] = [];
    let pages = 0;
    const take = async (from: string) => {
      for (let next: string | undefined = from; next !== undefined; pages++) {
        const answer: Response = await call('get', next);
        const { changes } = answer.body as FeedPage;
        assert.ok(changes.length <= 4);
        seen.push(...changes.map(({ item }) => item));
        const [, target]: (string | undefined)[] =
          /<http:\/\/signoff\.test(\/[^>]*)>; rel="next"/.exec(String(answer.headers.link)) ?? [];
        next = target;
        if (next === undefined) return (answer.body as FeedPage).next_cursor;
      }
      throw new Error('there was no page');
    };
    const cursor = await take(`${path}?limit=4&format=plain`);
    assert.equal(pages >= 6, true);
    assert.deepEqual([...seen].sort(), [...emails].sort());
    seen.length = 0;
    const more = Array.from({ length: 10 }, (_, i) => `b${i}@example.com`);
    await record(more);
    await take(`${path}?limit=4&format=plain&cursor=${cursor}`);
    assert.deepEqual([...seen].sort(), more);
    const { link } = await page({ limit: '4', format: 'plain' });
    assert.match(link, new RegExp(`<http://signoff.test/api/v1${path}\\?format=plain&limit=4>; rel="first"`));
  });

  it('has every format, with the hashes of both forms of a domain, and counts what it leaves out', async () => {
    const idn = 'jo@xn--bcher-kva.example';
    await plant(service.deps.db, list.id, [
      rowKinds.plain(idn),
      rowKinds.md5Only('md5@example.com'),
      rowKinds.sha256Only('sha@example.com'),
      rowKinds.erased('erased@example.com'),
    ]);
    await untilNumbered(service, list);
    const forms = [idn, 'jo@bücher.example'];
    for (const [format, items, left] of [
      ['plain', [idn], 3],
      ['md5', [...forms, 'md5@example.com', 'erased@example.com'].map(md5), 1],
      ['sha256', [...forms, 'sha@example.com', 'erased@example.com'].map(sha256), 1],
    ] as const) {
      const { changes, not_expressed } = await page({ format });
      assert.deepEqual(changes.map(({ item }) => item).sort(), [...items].sort(), format);
      assert.equal(not_expressed, left, format);
    }
  });

  it('tells that an entry of which only the SHA-256 was known is gone, unless its address stands', async () => {
    const only = ['ann@example.com', 'bob@example.com'];
    await plant(service.deps.db, list.id, only.map(rowKinds.sha256Only));
    await untilNumbered(service, list);
    const { next_cursor: cursor } = await page({ format: 'sha256' });
    await record(['bob@example.com']);
    await service.deps
      .db('opt_outs')
      .where({ list_id: list.id })
      .whereIn(
        'address_key',
        only.map((email) => sha256Of(email).subarray(0, 16)),
      )
      .update({ removed_at: Date.now(), feed_number: null });
    await untilNumbered(service, list);
    const removed = (await page({ format: 'sha256', cursor })).changes.filter(
      (one) => one.change === 'remove',
    );
    assert.deepEqual(removed, [{ change: 'remove', item: sha256('ann@example.com') }]);
  });

  it('is for a tag, where one is named, and never removes what another tag still suppresses', async () => {
    await record(['ann@example.com'], { tag: 'offers' });
    await record(['ann@example.com', 'all@example.com']);
    const all = await page();
    const offers = await page({ tag: 'offers' });
    const everything = await page({ tag: '*' });
    for (const one of [all, offers, everything]) {
      assert.deepEqual(signed(one).sort(), ['+all@example.com', '+ann@example.com']);
    }
    await remove('ann@example.com', '*');
    assert.ok(!signed(await page({ cursor: all.next_cursor })).includes('-ann@example.com'));
    assert.ok(
      !signed(await page({ tag: 'offers', cursor: offers.next_cursor })).includes('-ann@example.com'),
    );
    const gone = await page({ tag: '*', cursor: everything.next_cursor });
    assert.deepEqual(signed(gone), ['-ann@example.com']);
    await remove('ann@example.com');
    const both = signed(await page({ cursor: all.next_cursor }));
    assert.deepEqual(new Set(both), new Set(['-ann@example.com']));
  });

  it('holds what the global list suppresses, and begins anew where that changes', async () => {
    const account = await createAccount(service.deps.db, 'Global');
    const theirs = { ...service, accountId: account.id };
    const [own, global] = [await makeList(theirs), await makeList(theirs)];
    await record(['own@example.com'], {}, own);
    await record(['global@example.com', 'own@example.com'], {}, global);
    call = await clientOf(service, { rights: ['read'] }, account.id);
    path = `/lists/${own.publicId}/feed`;
    const before = await page();
    assert.deepEqual(signed(before), ['+own@example.com']);
    const middle = await page({ limit: '1' });
    await setGlobalList(service.deps.db, account, global, { actor: 'test' });
    for (const cursor of [before.next_cursor, middle.next_cursor]) {
      problemIn(await call('get', `${path}?cursor=${cursor}`), 'cursor-gone');
    }
    assert.deepEqual(signed(await page()).sort(), ['+global@example.com', '+own@example.com']);
  });

  it('is followed through many thousands of entries, in pages of their own size', async function () {
    this.timeout(60_000);
    const emails = Array.from({ length: 5200 }, (_, i) => `a${i}@example.com`);
    await plant(service.deps.db, list.id, emails.map(rowKinds.plain));
    await untilNumbered(service, list);
    const follower = followerOf(call, list.publicId);
    await follower.catchUp(999);
    assert.deepEqual([...follower.items].sort(), [...emails].sort());
    await service.deps
      .db('opt_outs')
      .where({ list_id: list.id })
      .update({ removed_at: Date.now(), feed_number: null });
    await untilNumbered(service, list);
    await follower.catchUp(2001);
    assert.deepEqual([follower.items.size, follower.begun], [0, 1]);
  });
});

import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import type { List } from '../../src/core/lists.js';
import { optOutOf } from '../support/core.js';
import { makeList, startTestService, untilNumbered, type TestService } from '../support/service.js';
import { clientOf, clientOfList, problemIn, send, type Client } from './client.js';
import type { FeedPage } from './follower.js';

const md5 = (text: string) => md5Of(text).toString('hex');

describe("The API's feed, asked for a page,", () => {
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

  async function record(emails: readonly string[]): Promise<void> {
    await service.deps.recorder.record(emails.map((email) => optOutOf(list.id, email)));
    await untilNumbered(service, list);
  }
  async function page(query: Record<string, string> = {}): Promise<FeedPage> {
    const answer = await call('get', `${path}?${new URLSearchParams(query).toString()}`);
    assert.equal(answer.status, 200, answer.text);
    return answer.body as FeedPage;
  }

  it('is 410 for a cursor that can be served no more, in either part', async () => {
    await record(['ann@example.com', 'bob@example.com']);
    const inside = await page({ limit: '1' });
    assert.equal(inside.has_more, true);
    const end = await page();
    await record(['cat@example.com']);
    const feed = service.deps.db('feed').where({ id: 1 });
    const { purged_number, epoch, last_number } = (await feed.clone().first()) as Record<string, number>;
    try {
      for (const [is, change] of [
        ['purged', { purged_number: last_number }],
        ['restored', { epoch: 'another' }],
        ['set back', { last_number: 0 }],
      ] as const) {
        await feed.clone().update(change);
        for (const { next_cursor: cursor } of [inside, end]) {
          problemIn(await call('get', `${path}?cursor=${cursor}`), 'cursor-gone');
        }
        await feed.clone().update({ purged_number, epoch, last_number });
        assert.equal((await call('get', `${path}?cursor=${end.next_cursor}`)).status, 200, is);
      }
    } finally {
      await feed.clone().update({ purged_number, epoch, last_number });
    }
  });

  it('refuses what is no cursor of this feed, and every other bad parameter, by its name', async () => {
    await record(['ann@example.com']);
    const { next_cursor: cursor } = await page();
    const other = await makeList(service);
    const theirs = await clientOf(service, { rights: ['read'], lists: [other] });
    const foreign = await theirs('get', `/lists/${other.publicId}/feed?cursor=${cursor}`);
    assert.equal(problemIn(foreign, 'invalid-request').errors?.[0]?.parameter, 'cursor');
    for (const [query, parameter, code] of [
      [`cursor=${cursor}&format=md5`, 'cursor', 'malformed'],
      [`cursor=${cursor}&tag=offers`, 'cursor', 'malformed'],
      [`cursor=${cursor.slice(0, -2)}AA`, 'cursor', 'malformed'],
      ['cursor=', 'cursor', 'too-short'],
      ['cursor=abc.1', 'cursor', 'malformed'],
      ['format=sha1', 'format', 'not-one-of'],
      ['tag=nothing', 'tag', 'unknown-tag'],
      ['limit=0', 'limit', 'out-of-range'],
      ['limit=10001', 'limit', 'out-of-range'],
      ['limit=1e3', 'limit', 'out-of-range'],
      ['since=2026-01-31', 'since', 'unknown'],
      ['format=md5&format=plain', 'format', 'repeated'],
    ]) {
      const { errors } = problemIn(await call('get', `${path}?${query}`), 'invalid-request');
      assert.deepEqual(
        errors?.map((one) => [one.parameter, one.code]),
        [[parameter, code]],
        query,
      );
    }
  });

  it('needs the right to read, a list that is granted, and a network that is allowed', async () => {
    const other = await makeList(service);
    problemIn(await call('get', `/lists/${other.publicId}/feed`), 'not-found');
    const recorder = await clientOf(service, { rights: ['record', 'remove', 'admin'] });
    problemIn(await recorder('get', path), 'missing-right');
    const elsewhere = await clientOf(service, { ipWhitelist: '203.0.113.0/24' });
    problemIn(await elsewhere('get', path), 'wrong-network');
    problemIn(await send(service, 'get', path), 'unauthorized');
  });

  it('names no address in a cursor', async () => {
    await record(['ann@example.com', 'bob@example.com']);
    const { next_cursor: cursor } = await page({ limit: '1' });
    const octets = Buffer.from(cursor, 'base64url');
    for (const email of ['ann@example.com', 'bob@example.com']) {
      assert.ok(!octets.includes(md5Of(email)) && !octets.includes(md5(email)));
    }
  });
});

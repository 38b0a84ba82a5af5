import assert from 'node:assert/strict';
import type { Response } from 'supertest';
import type { List } from '../../src/core/lists.js';
import { createAccount } from '../../src/core/accounts.js';
import { removeAddresses } from '../../src/core/removals.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf } from '../support/core.js';
import { insertManyRows } from '../support/many-rows.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { clientOf, problemIn, type Client } from './client.js';

const many = 3000;

describe('The pages of the API', () => {
  let service: TestService;
  let list: List;
  let call: Client;
  let path: string;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
    await addTags(service.deps.db, list.id, ['offers']);
    call = await clientOf(service);
    path = `/lists/${list.publicId}/opt-outs`;
    const emails = Array.from({ length: many }, (_, i) => `a${String(i).padStart(4, '0')}@example.com`);
    for (let i = 0; i < many; i += 1000) await record(emails.slice(i, i + 1000));
    await record(['b0001@example.com', 'b0002@example.com'], 'offers');
  });
  after(() => service.close());

  function record(emails: readonly string[], tag = '*'): Promise<void> {
    return service.deps.recorder.record(emails.map((email) => optOutOf(list.id, email, { tag })));
  }
  /** Where the Link header leads, below the origin; parsed as RFC 8288 has it. */
  function linksOf(answer: Response): Record<string, string> {
    const links: Record<string, string> = {};
    for (const [, url = '', rel = ''] of String(answer.headers.link).matchAll(
      /<([^>]*)>; rel="([a-z]+)"(?:, |$)/g,
    )) {
      assert.ok(url.startsWith('http://signoff.test/api/v1/'), url);
      links[rel] = url.slice('http://signoff.test'.length);
    }
    return links;
  }
  function addressesIn({ status, body, text }: Response): string[] {
    assert.equal(status, 200, text);
    return (body as { suppressed: { address: string }[] }).suppressed.map(({ address }) => address);
  }
  async function walk(
    start: string,
    rel: 'next' | 'prev',
    between?: (page: number, last: string) => Promise<void>,
  ) {
    const found: string[][] = [];
    let links: Record<string, string> = {};
    for (let next: string | undefined = start; next !== undefined; next = links[rel]) {
      const answer: Response = await call('get', next);
      links = linksOf(answer);
      found.push(addressesIn(answer));
      await between?.(found.length, found.at(-1)?.at(-1) ?? '');
      assert.ok(found.length < 1000, 'it comes to an end');
    }
    return { found, links };
  }

  it('lead through thousands and back again, each address once', async () => {
    const there = await walk(`${path}?limit=700&prefix=a`, 'next');
    const all = there.found.flat();
    assert.deepEqual(
      there.found.map((page) => page.length),
      [700, 700, 700, 700, 200],
    );
    assert.deepEqual(
      [all.length, new Set(all).size, all[0], all.at(-1)],
      [many, many, 'a0000@example.com', 'a2999@example.com'],
    );
    assert.deepEqual(all, [...all].sort());
    const back = await walk(there.links.prev ?? '', 'prev');
    assert.deepEqual(back.found.reverse().flat(), all.slice(0, 2800));
    assert.equal(back.links.first, there.links.first);
  });

  it('miss and repeat nothing that stays, while others come and go', async () => {
    const { db } = service.deps;
    const { found } = await walk(`${path}?limit=500&prefix=a`, 'next', async (page, last) => {
      const behind = last.replace('@', 'x@');
      await record([behind, `a0000y${page}@example.com`]);
      await removeAddresses(db, list, [last, `a000${page}@example.com`], { actor: 'test' });
    });
    const all = found.flat();
    assert.equal(new Set(all).size, all.length);
    const untouched = all.filter((one) => /^a\d{4}@/.test(one));
    assert.equal(untouched.length, many);
    assert.ok(all.includes('a0499x@example.com'));
    assert.equal(all.includes('a0000y1@example.com'), false);
  });

  it('of one tag, or one beginning, are of that alone', async () => {
    assert.deepEqual(addressesIn(await call('get', `${path}?tag=offers`)), [
      'b0001@example.com',
      'b0002@example.com',
    ]);
    assert.deepEqual(addressesIn(await call('get', `${path}?prefix=B0002`)), ['b0002@example.com']);
    assert.deepEqual(addressesIn(await call('get', `${path}?prefix=b&tag=*`)), []);
    const { links } = await walk(`${path}?tag=offers&limit=1`, 'next');
    assert.match(links.prev ?? '', /tag=offers&limit=1&cursor=/);
  });

  it('that find nothing for long are short, and go on', async () => {
    const own = await makeList(service);
    await addTags(service.deps.db, own.id, ['offers']);
    await insertManyRows(service.databaseUrl, own.id, 41_000, 'm');
    const emails = ['a1@example.com', 'z1@example.com', 'z2@example.com'];
    await service.deps.recorder.record(emails.map((email) => optOutOf(own.id, email, { tag: 'offers' })));
    const start = `/lists/${own.publicId}/opt-outs?tag=offers&limit=1`;
    const there = await walk(start, 'next');
    assert.deepEqual(there.found, [['a1@example.com'], [], ['z1@example.com'], ['z2@example.com']]);
    const back = await walk(there.links.prev ?? '', 'prev');
    assert.deepEqual(back.found.flat(), ['z1@example.com', 'a1@example.com']);
    const empty = linksOf(await call('get', linksOf(await call('get', start)).next ?? ''));
    assert.ok(empty.next);
    assert.deepEqual((await walk(empty.prev ?? '', 'prev')).found.flat(), ['a1@example.com']);
  });

  it('of a tag that nobody knows, or a beginning that is no text, are refused', async () => {
    for (const [query, parameter] of [
      ['tag=offer', 'tag'],
      ['prefix=%ff', 'prefix'],
    ]) {
      const { errors } = problemIn(await call('get', `${path}?${query}`), 'invalid-request');
      assert.deepEqual(
        errors?.map((one) => one.parameter),
        [parameter],
      );
    }
  });

  it('have cursors that show no address, and are good for their own search alone', async () => {
    const next = new URLSearchParams(
      (linksOf(await call('get', `${path}?limit=1`)).next ?? '').split('?')[1],
    );
    const cursor = next.get('cursor') ?? '';
    assert.ok(cursor.length > 20);
    assert.equal(Buffer.from(cursor, 'base64url').includes('example'), false);
    const other = await makeList(service);
    for (const where of [
      `${path}?prefix=a&cursor=${cursor}`,
      `${path}?tag=*&cursor=${cursor}`,
      `/lists/${other.publicId}/opt-outs?cursor=${cursor}`,
      `/lists?cursor=${cursor}`,
      `${path}?cursor=${cursor.slice(0, -4)}AAAA`,
    ]) {
      problemIn(await call('get', where), 'invalid-request');
    }
    assert.equal(addressesIn(await call('get', `${path}?limit=5&cursor=${cursor}`)).length, 5);
  });

  it('of lists lead through all of them and back', async () => {
    const account = await createAccount(service.deps.db, 'Many');
    const mine = { ...service, accountId: account.id };
    const made: List[] = [];
    for (let i = 0; i < 7; i++) made.push(await makeList(mine));
    const theirs = await clientOf(service, {}, account.id);
    const ids: string[] = [];
    let links: Record<string, string> = {};
    const read = async (where: string) => {
      const answer = await theirs('get', where);
      links = linksOf(answer);
      return (answer.body as { lists: { id: string }[] }).lists.map(({ id }) => id);
    };
    for (let next: string | undefined = '/lists?limit=3'; next !== undefined; next = links.next)
      ids.push(...(await read(next)));
    assert.deepEqual(
      ids,
      made.map(({ publicId }) => publicId),
    );
    const before = await read(links.prev ?? '');
    assert.deepEqual(before, ids.slice(3, 6));
    assert.deepEqual(await read(links.prev ?? ''), ids.slice(0, 3));
    assert.equal(links.prev, undefined);
  });
});

import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { setGlobalList } from '../../src/core/global-list.js';
import type { List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { clientOf, clientOfList, problemIn, send, type Client } from './client.js';

interface Checked {
  results: { may_mail: boolean; suppressed_by: string[]; error?: { code: string; detail: string } }[];
  suppressed: number;
  unreadable: number;
}

const md5 = (text: string) => md5Of(text).toString('hex');
const sha256 = (text: string) => sha256Of(text).toString('hex');

describe("The API's check", () => {
  let service: TestService;
  let list: List;
  let call: Client;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    ({ list, call } = await clientOfList(service, 'read'));
  });

  const record = (email: string, more = {}, on = list) =>
    service.deps.recorder.record([optOutOf(on.id, email, { recordedAt: Date.now(), ...more })]);
  async function ask(items: readonly string[], more = {}, as = call, of = list): Promise<Checked> {
    const answer = await as('post', `/lists/${of.publicId}/check`, { body: { items, ...more } });
    assert.equal(answer.status, 200, answer.text);
    const checked = answer.body as Checked;
    assert.equal(checked.results.length, items.length);
    return checked;
  }
  const mayMail = async (items: readonly string[], more = {}) =>
    (await ask(items, more)).results.map((one) => one.may_mail);

  it('tells of addresses, MD5s and SHA-256s of any case, mixed, in the order asked', async () => {
    await record('ann@example.com');
    const held = ['ann@example.com', md5('ann@example.com'), sha256('ann@example.com')];
    const free = ['bob@example.com', md5('bob@example.com'), sha256('bob@example.com')];
    const items = [
      ...[held[0], free[1], held[2]?.toUpperCase(), free[0], ` ${held[1]?.toUpperCase()} `, free[2]],
      ...['Ann@EXAMPLE.com', 'ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ', held[2], held[2]],
    ].map(String);
    const { results, suppressed, unreadable } = await ask(items);
    assert.deepEqual(
      results.map(({ may_mail, suppressed_by }) => [may_mail, suppressed_by]),
      [0, 1, 0, 1, 0, 1, 0, 0, 0, 0].map((free) => (free === 1 ? [true, []] : [false, ['list']])),
    );
    assert.deepEqual([suppressed, unreadable], [7, 0]);
  });

  it('never lets mail pass to what it could not read, and says why by its place', async () => {
    await record('ann@example.com');
    const wrong = [
      '',
      'nobody',
      'a@',
      '{{email}}',
      `${'a'.repeat(300)}@example.com`,
      'f'.repeat(40),
      'f'.repeat(31),
    ];
    const { results, suppressed, unreadable } = await ask(['bob@example.com', ...wrong, 'ann@example.com']);
    assert.deepEqual(
      results.map(({ may_mail, error }) => [may_mail, error?.code ?? null]),
      [
        [true, null],
        ...['missing', 'no-at', 'bad-domain', 'merge-tag', 'too-long', 'sha1', 'no-at'].map((code) => [
          false,
          code,
        ]),
        [false, null],
      ],
    );
    assert.deepEqual([suppressed, unreadable], [1, wrong.length]);
  });

  it('is for a tag, where one is named: its opt-outs, and those from all mail', async () => {
    await record('tag@example.com', { tag: 'offers' });
    await record('all@example.com');
    const items = ['tag@example.com', 'all@example.com', sha256('tag@example.com')];
    assert.deepEqual(await mayMail(items), [false, false, false]);
    assert.deepEqual(await mayMail(items, { tag: 'offers' }), [false, false, false]);
    assert.deepEqual(await mayMail(items, { tag: '*' }), [true, false, true]);
    await addTags(service.deps.db, list.id, ['other']);
    assert.deepEqual(await mayMail(items, { tag: 'other' }), [true, false, true]);
    const unknown = { items, tag: 'nothing we know' };
    const { errors } = problemIn(
      await call('post', `/lists/${list.publicId}/check`, { body: unknown }),
      'invalid-request',
    );
    assert.deepEqual(
      errors?.map(({ pointer, code }) => [pointer, code]),
      [['#/tag', 'unknown-tag']],
    );
  });

  it('forgets what has expired or was removed, and knows what only a hash is known of', async () => {
    const { db } = service.deps;
    await plant(db, list.id, [
      { ...rowKinds.plain('expired@example.com'), expires_at: Date.now() - 1000 },
      { ...rowKinds.plain('removed@example.com'), removed_at: 1000 },
      rowKinds.md5Only('md5@example.com'),
      rowKinds.sha256Only('sha@example.com'),
      rowKinds.erased('erased@example.com'),
    ]);
    assert.deepEqual(await mayMail(['expired@example.com', 'removed@example.com']), [true, true]);
    const known = ['md5@example.com', 'sha@example.com', 'erased@example.com'];
    assert.deepEqual(await mayMail(known), [false, false, false]);
    assert.deepEqual(await mayMail([md5('md5@example.com'), sha256('sha@example.com')]), [false, false]);
  });

  it('says whether the list or the global list of the account suppresses', async () => {
    const account = await createAccount(service.deps.db, 'Global');
    const theirs = { ...service, accountId: account.id };
    const [own, global] = [await makeList(theirs), await makeList(theirs)];
    await setGlobalList(service.deps.db, account, global, { actor: 'test' });
    await addTags(service.deps.db, global.id, ['theirs']);
    await record('own@example.com', {}, own);
    await record('global@example.com', { tag: 'theirs' }, global);
    await record('both@example.com', {}, own);
    await record('both@example.com', {}, global);
    const client = await clientOf(service, { rights: ['read'] }, account.id);
    const emails = ['own@example.com', 'global@example.com', 'both@example.com', 'nobody@example.com'];
    const expected = [['list'], ['global-list'], ['list', 'global-list'], []];
    for (const items of [emails, emails.map(md5), emails.map(sha256)]) {
      const { results } = await ask(items, {}, client, own);
      assert.deepEqual(
        results.map((one) => one.suppressed_by),
        expected,
      );
    }
    const tagged = await ask(emails, { tag: 'theirs' }, client, own);
    assert.deepEqual(
      tagged.results.map((one) => one.suppressed_by),
      expected,
    );
    const ofGlobal = await ask(emails, {}, client, global);
    assert.deepEqual(
      ofGlobal.results.map((one) => one.suppressed_by),
      [[], ['list'], ['list'], []],
    );
  });

  it('takes 10,000 items at once, and lets others be answered meanwhile', async function () {
    this.timeout(60_000);
    const emails = Array.from({ length: 10_000 }, (_, i) => `a${i}@example.com`);
    const held = emails.filter((_, i) => i % 100 === 0);
    await service.deps.recorder.record(held.map((email) => optOutOf(list.id, email)));
    let isOver = false;
    const checking = ask(
      emails.map((email, i) => (i % 3 === 0 ? email : i % 3 === 1 ? md5(email) : sha256(email))),
    );
    const over = checking.finally(() => (isOver = true));
    over.catch(() => undefined);
    let answered = 0;
    await until('it is over', async () => {
      assert.equal((await send(service, 'get', '/openapi.json')).status, 200);
      answered++;
      return isOver;
    });
    assert.ok(answered > 2, 'others were answered');
    const { results, suppressed } = await over;
    assert.equal(suppressed, 100);
    assert.ok(results.every((one, i) => one.may_mail === (i % 100 !== 0)));
    const many = { body: { items: [...emails, 'one@example.com'] } };
    const { errors } = problemIn(
      await call('post', `/lists/${list.publicId}/check`, many),
      'invalid-request',
    );
    assert.deepEqual(
      errors?.map(({ pointer, code }) => [pointer, code]),
      [['#/items', 'too-long']],
    );
  });

  it('refuses what has another shape, by its place', async () => {
    for (const [body, pointer, code] of [
      [{}, '#/items', 'missing'],
      [{ items: [] }, '#/items', 'too-short'],
      [{ items: 'ann@example.com' }, '#/items', 'wrong-type'],
      [{ items: ['ann@example.com', 7] }, '#/items/1', 'wrong-type'],
      [{ items: ['ann@example.com', null] }, '#/items/1', 'wrong-type'],
      [{ items: ['a@example.com'], tags: 'offers' }, '#/tags', 'unknown'],
      [{ items: ['a@example.com'], tag: ['offers'] }, '#/tag', 'wrong-type'],
    ] as const) {
      const answer = await call('post', `/lists/${list.publicId}/check`, { body });
      assert.deepEqual(
        problemIn(answer, 'invalid-request').errors?.map((one) => [one.pointer, one.code]),
        [[pointer, code]],
      );
    }
    const large = { items: Array.from({ length: 9000 }, () => 'a'.repeat(400)) };
    problemIn(await call('post', `/lists/${list.publicId}/check`, { body: large }), 'too-large');
    problemIn(await call('post', `/lists/${list.publicId}/check`, { body: '{"items": [' }), 'malformed');
  });

  it('needs the right to read, a list that is granted, and a network that is allowed', async () => {
    const body = { items: ['ann@example.com'] };
    const other = await makeList(service);
    problemIn(await call('post', `/lists/${other.publicId}/check`, { body }), 'not-found');
    const recorder = await clientOf(service, { rights: ['record', 'remove', 'admin'] });
    problemIn(await recorder('post', `/lists/${list.publicId}/check`, { body }), 'missing-right');
    const elsewhere = await clientOf(service, { ipWhitelist: '203.0.113.0/24' });
    problemIn(await elsewhere('post', `/lists/${list.publicId}/check`, { body }), 'wrong-network');
    problemIn(await send(service, 'post', `/lists/${list.publicId}/check`, { body }), 'unauthorized');
  });

  it('is the same whether a key for repeats comes with it or not', async () => {
    const headers = { 'Idempotency-Key': 'again' };
    const body = { items: ['ann@example.com'] };
    const path = `/lists/${list.publicId}/check`;
    const [before] = ((await call('post', path, { body, headers })).body as Checked).results;
    await record('ann@example.com');
    const [after] = ((await call('post', path, { body, headers })).body as Checked).results;
    assert.deepEqual([before?.may_mail, after?.may_mail], [true, false]);
  });
});

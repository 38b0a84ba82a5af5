import assert from 'node:assert/strict';
import request from 'supertest';
import { revokeAccessKeys, rotateAccessKey } from '../../src/core/access-keys.js';
import { createAccount } from '../../src/core/accounts.js';
import type { ListSettings } from '../../src/core/list-settings.js';
import { archiveList, type List } from '../../src/core/lists.js';
import { grantList, revokeList } from '../../src/core/mailers.js';
import { forwarded, mailersServer } from '../support/doors.js';
import { accessLogOf } from '../support/downloads.js';
import { formOf } from '../support/html.js';
import { problemIn } from '../support/records.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';

const actor = 'test';
const elsewhere = '198.51.100.7';

describe('Who may download a list', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const newList = (settings: Partial<ListSettings> = {}) =>
    makeList(service, { ipWhitelist: '203.0.113.0/24', ...settings });
  const get = (list: List, key: string | null, from = mailersServer, more = {}) =>
    forwarded(request(service.url).get(`/l/${list.publicId}/download`), from).query({
      ...(key === null ? {} : { key }),
      ...more,
    });

  async function isRefused(answer: request.Response, code: string, detail: RegExp): Promise<void> {
    assert.equal(answer.status, 403, answer.text);
    const problem = problemIn(answer);
    assert.equal(problem.code, code);
    assert.match(String(problem.detail), detail);
    assert.equal(answer.get('ETag'), undefined);
    assert.equal(answer.get('Signoff-Cursor'), undefined);
    return Promise.resolve();
  }

  it('is the holder of a key, by query or as Bearer', async () => {
    const list = await newList();
    const { key } = await makeMailer(service, list);
    assert.equal((await get(list, key)).status, 200);
    for (const scheme of ['Bearer', 'bearer', 'BEARER ']) {
      assert.equal((await get(list, null).set('Authorization', `${scheme} ${key}`)).status, 200, scheme);
    }
    const both = await get(list, 'x').set('Authorization', `Bearer ${key}`);
    assert.equal(both.status, 200, 'the header counts');
    const basic = Buffer.from(`x:${key}`).toString('base64');
    assert.equal((await get(list, null).set('Authorization', `Basic ${basic}`)).status, 403);
  });

  it('is nobody without a key, or with one that is not this list’s, and the list says no more than that', async () => {
    const list = await newList({ ipWhitelist: '' });
    const other = await newList();
    const stranger = { ...service, accountId: (await createAccount(service.deps.db, 'Other')).id };
    const ofAnotherAccount = await makeMailer(stranger, await makeList(stranger));
    const notGranted = await makeMailer(service, other);
    const withdrawn = await makeMailer(service, list);
    await revokeList(service.deps.db, withdrawn.mailer, list, { actor });
    const revoked = await makeMailer(service, list);
    await revokeAccessKeys(service.deps.db, revoked.mailer, { actor });
    const expired = await makeMailer(service, list);
    await rotateAccessKey(service.deps.db, expired.mailer, { actor, overlapMs: 0 });

    await isRefused(await get(list, null), 'key', /needs an access key/);
    const keys = [ofAnotherAccount, notGranted, withdrawn, revoked, expired].map(({ key }) => key);
    const answers = await Promise.all(
      [...keys, '', 'x', `so_${'A'.repeat(43)}`, `${keys[0]} `].map((key) => get(list, key)),
    );
    for (const answer of answers) {
      await isRefused(answer, 'key', /^This access key is not valid for this list\.$/);
      assert.equal(answer.text, answers[0]?.text);
    }
    assert.deepEqual(await accessLogOf(service, { list, key: '' }), []);
  });

  it('comes from the whitelist of the list, or from the mailer’s own', async () => {
    const list = await newList();
    const { key } = await makeMailer(service, list);
    await isRefused(await get(list, key, elsewhere), 'not-whitelisted', /198\.51\.100\.7.*Ask its owner/);
    const own = await makeMailer(service, list, { ipWhitelist: '198.51.100.0/24' });
    assert.equal((await get(list, own.key, elsewhere)).status, 200);
    assert.equal((await get(list, own.key, mailersServer)).status, 200);
    const bare = await newList({ ipWhitelist: '' });
    await grantList(service.deps.db, own.mailer, bare, { actor });
    assert.equal((await get(bare, own.key, elsewhere)).status, 200);
  });

  it('is nobody while there is no whitelist, and is told how to get one', async () => {
    const list = await newList({ ipWhitelist: '' });
    const { key } = await makeMailer(service, list);
    const answer = await get(list, key);
    await isRefused(answer, 'not-whitelisted', /203\.0\.113\.7/);
    assert.match(String(problemIn(answer).detail), /no downloads without one.*--ip-whitelist/);
  });

  it('is any holder of a key where the owner has ticked "from any address", except who has none', async () => {
    const list = await newList({ ipWhitelist: '', downloadsFromAnyAddress: true });
    const { key } = await makeMailer(service, list);
    assert.equal((await get(list, key, elsewhere)).status, 200);
    assert.equal((await get(list, key, '2001:db8::1')).status, 200);
    assert.equal((await get(list, null, elsewhere)).status, 403);
    await isRefused(await get(list, key, 'unknown'), 'not-whitelisted', /could not be told/);
  });

  it('does not change by what a stranger says of his address', async () => {
    const list = await newList();
    const { key } = await makeMailer(service, list);
    for (const name of ['X-Forwarded-For', 'X-Real-IP', 'Client-IP', 'CF-Connecting-IP']) {
      const asked = request(service.url).get(`/l/${list.publicId}/download?key=${key}`);
      assert.equal((await asked.set(name, mailersServer)).status, 403, name);
    }
    assert.equal((await get(list, key, `203.0.113.7, ${elsewhere}`)).status, 403);
  });

  it('is nobody while the list is closed or archived, and its page stays open', async () => {
    const closed = await newList({ state: 'closed' });
    const archived = await archiveList(service.deps.db, await newList(), true, { actor });
    for (const list of [closed, archived]) {
      const { key } = await makeMailer(service, list);
      await isRefused(await get(list, key), 'closed', /opt-out page stays open/);
      const page = await request(service.url).get(`/l/${list.publicId}`).set(browser);
      assert.notEqual(formOf(page.text), null);
    }
  });

  it('gets hashes, and plain addresses only where the owner allows them', async () => {
    const list = await newList();
    const { key } = await makeMailer(service, list, { plainAllowed: false });
    assert.equal((await get(list, key)).status, 200);
    assert.equal((await get(list, key, mailersServer, { format: 'sha256' })).status, 200);
    const plain = await get(list, key, mailersServer, { format: 'plain' });
    await isRefused(plain, 'plain', /hashes/);
    const allowed = await makeMailer(service, list, { plainAllowed: true });
    assert.equal((await get(list, allowed.key, mailersServer, { format: 'plain' })).status, 200);
  });

  it('is asked the same of HEAD and of Range, and other methods are not taken', async () => {
    const list = await newList();
    const { key } = await makeMailer(service, list);
    const path = `/l/${list.publicId}/download`;
    assert.equal((await request(service.url).head(path)).status, 403);
    assert.equal((await request(service.url).head(path).query({ key })).status, 403, 'not whitelisted');
    assert.equal((await get(list, null).set('Range', 'bytes=0-10')).status, 403);
    for (const method of ['post', 'put', 'delete', 'patch'] as const) {
      const answer = await request(service.url)[method](path).query({ key });
      assert.deepEqual([answer.status, answer.get('Allow')], [405, 'GET, HEAD, OPTIONS']);
    }
    const options = await request(service.url).options(path);
    assert.deepEqual([options.status, options.get('Allow')], [204, 'GET, HEAD, OPTIONS']);
  });

  it('learns nothing of a list that does not exist', async () => {
    for (const id of ['abcdefghjkmnpqrstuvw', 'x', '%00', "'--"]) {
      const answer = await request(service.url).get(`/l/${encodeURIComponent(id)}/download?key=x`);
      assert.deepEqual([answer.status, problemIn(answer).code], [404, 'not-found']);
    }
  });
});

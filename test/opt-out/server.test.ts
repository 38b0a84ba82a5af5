import assert from 'node:assert/strict';
import request from 'supertest';
import { revokeAccessKeys, rotateAccessKey } from '../../src/core/access-keys.js';
import { createAccount } from '../../src/core/accounts.js';
import type { List } from '../../src/core/lists.js';
import { revokeList } from '../../src/core/mailers.js';
import { forwarded, mailersServer } from '../support/doors.js';
import { addressesOf, onlyRowOf, problemIn } from '../support/records.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';

const elsewhere = '198.51.100.7';
const actor = 'test';

describe('The server door', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const path = (list: List, more = '') => `/l/${list.publicId}/notify?email=ann@example.com${more}`;
  const notify = (list: List, from: string, more = '') =>
    forwarded(request(service.url).get(path(list, more)), from);
  const post = (list: List, from: string) =>
    forwarded(request(service.url).post(`/l/${list.publicId}/notify`), from).type('form');
  const isEmpty = async (list: List) => assert.deepEqual(await addressesOf(service, list), []);

  it('is open to every address of the whitelist, and to no other', async () => {
    const list = await makeList(service, { ipWhitelist: '203.0.113.0/24, 2001:db8:7::/48, 192.0.2.1' });
    for (const from of ['203.0.113.0', '203.0.113.255', '2001:db8:7::1', '192.0.2.1', '::ffff:192.0.2.1']) {
      assert.equal((await notify(list, from)).status, 200, from);
    }
    for (const from of ['203.0.112.255', '203.0.114.0', '2001:db8:8::1', '192.0.2.2']) {
      const answer = await notify(list, from);
      assert.equal(answer.status, 403, from);
      assert.ok(problemIn(answer).detail?.includes(from), 'it names the address that was seen');
    }
  });

  it('is shut while the list has no whitelist, and to whoever has no address', async () => {
    const shut = await makeList(service, { ipWhitelist: '' });
    const list = await makeList(service, { ipWhitelist: '203.0.113.0/24' });
    assert.equal((await notify(shut, mailersServer)).status, 403);
    for (const junk of ['unknown', '<script>alert(1)</script>', '203.0.113.7:443', '[203.0.113.7]']) {
      const answer = await notify(list, junk);
      assert.equal(answer.status, 403, junk);
      const { detail } = problemIn(answer);
      assert.match(String(detail), /could not be told/);
      assert.doesNotMatch(answer.text, /script|unknown/);
    }
    await isEmpty(shut);
    await isEmpty(list);
  });

  it('believes no forwarding header of a peer that TRUST_PROXY does not name', async () => {
    const list = await makeList(service, { ipWhitelist: '203.0.113.0/24' });
    for (const name of ['X-Forwarded-For', 'Forwarded', 'X-Real-IP', 'CF-Connecting-IP', 'True-Client-IP']) {
      const value = name === 'Forwarded' ? 'for=203.0.113.7' : mailersServer;
      const answer = await request(service.url).get(path(list)).set(name, value);
      assert.equal(answer.status, 403, name);
      assert.match(String(problemIn(answer).detail), /127\.0\.0\.1/);
    }
    const chained = await notify(list, `203.0.113.7, ${elsewhere}`);
    assert.equal(chained.status, 403);
    await isEmpty(list);
  });

  it('lets nobody in by a proxy that TRUST_PROXY does not name, whatever the whitelist says of the proxy', async () => {
    const list = await makeList(service, { ipWhitelist: '127.0.0.0/16' });
    const { key } = await makeMailer(service, list, { plainAllowed: true, ipWhitelist: '127.0.0.0/16' });
    for (const asked of [
      request(service.url).get(path(list)),
      request(service.url).get(`/l/${list.publicId}/download?key=${key}`),
    ]) {
      const answer = await asked.set('X-Forwarded-For', elsewhere);
      assert.equal(answer.status, 403);
      assert.match(String(problemIn(answer).detail), /TRUST_PROXY/);
    }
    await isEmpty(list);
    assert.equal(
      (await request(service.url).get(path(list))).status,
      200,
      'without the header it is a neighbour',
    );
  });

  it("opens to a mailer's key from anywhere, and records that mailer whoever is named", async () => {
    for (const give of ['query', 'header'] as const) {
      const list = await makeList(service, { ipWhitelist: '' });
      const { key, mailer } = await makeMailer(service, list, {});
      const { mailer: other } = await makeMailer(service, list, {});
      const answer =
        give === 'query'
          ? await notify(list, elsewhere, `&mailer=${other.id}&key=${key}`)
          : await notify(list, elsewhere, `&mailer=${other.id}`).set('Authorization', `bearer ${key}`);
      assert.equal(answer.status, 200, give);
      const row = await onlyRowOf(service, list);
      assert.deepEqual([row.mailer_id, row.ip], [mailer.id, elsewhere]);
    }
  });

  it('opens to a key in a POST, which may stand in the query alone', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const { key } = await makeMailer(service, list, {});
    const fields = 'email=ann@example.com';
    assert.equal((await post(list, elsewhere).query({ key }).send(fields)).status, 200);
    assert.equal((await post(list, elsewhere).send(`${fields}&key=${key}`)).status, 403);
  });

  it('refuses a key that is revoked, expired, foreign, malformed or not granted, even from the whitelist', async () => {
    const list = await makeList(service, { ipWhitelist: '203.0.113.0/24' });
    const { deps } = service;
    const revoked = await makeMailer(service, list);
    await revokeAccessKeys(deps.db, revoked.mailer, { actor });
    const rotated = await makeMailer(service, list);
    await rotateAccessKey(deps.db, rotated.mailer, { actor, overlapMs: 0 });
    const withdrawn = await makeMailer(service, list);
    await revokeList(deps.db, withdrawn.mailer, list, { actor });
    const ofAnotherList = await makeMailer(service, await makeList(service));
    const stranger = { ...service, accountId: (await createAccount(deps.db, 'Other')).id };
    const ofAnotherAccount = await makeMailer(stranger, await makeList(stranger));

    const keys = [revoked, rotated, withdrawn, ofAnotherList, ofAnotherAccount].map(({ key }) => key);
    for (const key of [...keys, '', 'x', `so_${'a'.repeat(43)}`, `${keys[0]}x`, "' OR 1=1 --"]) {
      const answer = await notify(list, mailersServer, `&key=${encodeURIComponent(key)}`);
      assert.equal(answer.status, 403, key);
      assert.equal(problemIn(answer).code, 'key');
    }
    await isEmpty(list);
  });

  it('keeps an older key open for as long as its overlap lasts', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const { key, mailer } = await makeMailer(service, list);
    await rotateAccessKey(service.deps.db, mailer, { actor, overlapMs: 60_000 });
    assert.equal((await notify(list, elsewhere, `&key=${key}`)).status, 200);
    await revokeAccessKeys(service.deps.db, mailer, { actor });
    assert.equal((await notify(list, elsewhere, `&key=${key}`)).status, 403);
  });

  it('names no key and no address in its log, whatever comes of the request', async () => {
    const list = await makeList(service, { ipWhitelist: '203.0.113.0/24' });
    const { key } = await makeMailer(service, list);
    await notify(list, mailersServer, `&key=${key}`);
    await notify(list, elsewhere, `&key=${key}x`);
    await notify(list, elsewhere);
    await post(list, mailersServer).send('email=ann');
    const log = service.logged.join('');
    assert.match(log, /"status":403/);
    assert.doesNotMatch(log, /ann@|ann%40|so_/);
  });
});

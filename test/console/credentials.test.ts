import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { createCredential, credentialsOfAccount, getCredential } from '../../src/core/credentials.js';
import { nameList } from '../../src/core/list-names.js';
import { createList, type List } from '../../src/core/lists.js';
import { goodPassword, signInAs, type Visitor } from '../support/console.js';
import { makeList, startTestService, type TestService } from '../support/service.js';

const actor = 'test';
const password = goodPassword;

describe('API keys in the console', function () {
  this.timeout(60_000);
  let service: TestService;
  let olive: Visitor;
  let news: List;
  let digest: List;
  let base: string;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner', { password: true });
    news = await makeList(service, { name: 'News', internalName: 'news' });
    digest = await makeList(service, { name: 'Digest', internalName: 'digest' });
    base = `/console/accounts/${service.accountId}/credentials`;
  });
  after(() => service.close());

  const newest = async () => (await credentialsOfAccount(service.deps.db, service.accountId)).at(-1);
  const keyIn = ({ text }: { text: string }) => /so_[\w-]{43}/.exec(text)?.[0] ?? '';
  const listsFor = async (key: string) => {
    const answer = await fetch(`${service.url}/api/v1/lists`, {
      headers: { Authorization: `Bearer ${key}` },
    });
    return answer.status;
  };

  it('begin with an empty page that says what to do', async () => {
    assert.match((await olive.get(base)).text, /There is no API key yet/);
    const choice = await olive.get(`${base}/new`);
    for (const api of ['api', 'mailgun', 'sendcloud', 'customers-mail-cloud']) {
      assert.ok(choice.html.includes(`href="${base}/new/${api}"`), api);
      assert.doesNotMatch((await olive.get(`${base}/new/${api}`)).text, /credentials\.|mailers\./);
    }
    assert.equal((await olive.get(`${base}/new/no-such-api`)).status, 404);
  });

  it('are made with a role, shown once with a call that works, and kept hashed', async () => {
    const made = await olive.post(`${base}/new/api`, {
      ...{ name: '<i>Shop</i>', role: 'editor', scope: 'all', password },
    });
    assert.equal(made.status, 200);
    const key = keyIn(made);
    assert.ok(made.text.includes(`curl "${service.deps.baseUrl}/api/v1/lists"`));
    assert.equal(await listsFor(key), 200);
    const credential = await newest();
    assert.deepEqual([...(credential?.rights ?? [])], ['read', 'record', 'remove']);
    assert.equal(credential?.listIds, null);
    const all = await olive.get(base);
    assert.ok(!all.html.includes('<i>Shop') && !all.html.includes(key));
    assert.match(
      all.text,
      new RegExp(`<i>Shop</i> Signoff API v1 …${key.slice(-4)} read, record, remove All Anywhere`),
    );
    assert.ok(!service.logged.some((line) => line.includes(key)));
  });

  it('are narrowed to lists, networks and rights', async () => {
    const asked = {
      ...{ name: 'Narrow', role: 'admin', right: ['read'], scope: 'some', list: [String(digest.id)] },
      ...{ ipWhitelist: '203.0.113.0/24', password },
    };
    await nameList(service.deps.db, digest, 'mailgun', 'digest.example', { actor });
    const made = await olive.post(`${base}/new/mailgun`, asked);
    assert.match(made.text, /\/v3\/digest\.example\/unsubscribes/);
    const credential = await newest();
    assert.deepEqual([...(credential?.rights ?? [])], ['read']);
    assert.deepEqual([...(credential?.listIds ?? [])], [digest.id]);
    assert.deepEqual(
      credential?.networks.map(({ text }) => text),
      ['203.0.113.0/24'],
    );
    const page = await olive.get(`${base}/${credential?.id}`);
    assert.match(page.text, /digest/);
    assert.match(page.text, /203\.0\.113\.0\/24 256 addresses/);
    const all = await olive.get(base);
    assert.match(all.text, /Mailgun v3 domain digest\.example → digest/);
  });

  it('say at which field something is wrong, and make nothing then', async () => {
    const before = (await credentialsOfAccount(service.deps.db, service.accountId)).length;
    const good = { name: 'Wrong', role: 'reader', scope: 'all', password };
    const other = await createAccount(service.deps.db, 'Other');
    const foreign = await createList(service.deps.db, other.id, { name: 'Foreign' }, { actor });
    const wrongs: [Record<string, string | string[]>, RegExp, string?][] = [
      [{ ...good, name: '' }, /Please fill this in/],
      [{ ...good, role: 'king' }, /not one of the choices/],
      [{ ...good, scope: 'some' }, /Tick at least one list/],
      [{ ...good, scope: '' }, /not one of the choices/],
      [{ ...good, right: ['everything'] }, /not one of the choices/],
      [{ ...good, password: 'not mine' }, /This is not your password/],
      [{ ...good, key: 'short' }, /16 to 200/],
      [{ ...good, ipWhitelist: '10.1.2.3' }, /not a public address/],
      [{ ...good, login: '' }, /Please fill this in/, 'sendcloud'],
    ];
    for (const [fields, told, api = 'api'] of wrongs) {
      const page = await olive.post(`${base}/new/${api}`, fields);
      assert.equal(page.status, 422, JSON.stringify(fields));
      assert.match(page.text, told);
    }
    const strange = { ...good, scope: 'some', list: [String(foreign.id)] };
    assert.equal((await olive.post(`${base}/new/api`, strange)).status, 404);
    assert.equal((await credentialsOfAccount(service.deps.db, service.accountId)).length, before);
  });

  it('can be keys that programs hold already, once an API', async () => {
    const fields = { name: 'CRM', login: 'acme_crm', scope: 'all', key: 'a-key-that-they-have', password };
    const made = await olive.post(`${base}/new/sendcloud`, fields);
    assert.equal(made.status, 200);
    assert.match(made.text, /apiUser=acme_crm/);
    const twice = await olive.post(`${base}/new/sendcloud`, fields);
    assert.equal(twice.status, 422);
    assert.match(twice.text, /in use in this API already/);
    assert.ok(!twice.html.includes('a-key-that-they-have'), 'a key is not sent back');
  });

  it('are rotated: the new one may do the same, the old one lives on for as long as was chosen', async () => {
    const { credential, key } = await createCredential(
      service.deps.db,
      service.accountId,
      {
        ...{ surface: 'api', name: 'Rotated', login: '', role: 'reader', rights: ['read'] },
        ...{ lists: [news], ipWhitelist: '127.0.0.1' },
      },
      { actor, confirmPrivate: true },
    );
    const path = `${base}/${credential.id}/rotate`;
    assert.equal((await olive.post(path, { overlap: '1d', password: '' })).status, 422);
    assert.equal((await olive.post(path, { overlap: 'x', password })).status, 422);
    const shown = await olive.post(path, { overlap: '1d', password });
    const next = await newest();
    assert.notEqual(next?.id, credential.id);
    const { id: _id, ending: _ending, createdAt: _createdAt, ...same } = credential;
    assert.deepEqual(
      { ...next, id: 0, ending: '', createdAt: 0 },
      { ...same, id: 0, ending: '', createdAt: 0 },
    );
    for (const one of [key, keyIn(shown)]) assert.equal(await listsFor(one), 200);
    const old = await getCredential(service.deps.db, credential.id);
    assert.ok((old.expiresAt ?? 0) > Date.now() + 23 * 3_600_000);

    // Rotated once more, one that is ending is not given more time.
    await olive.post(path, { overlap: '30d', password });
    const still = await getCredential(service.deps.db, credential.id);
    assert.ok((still.expiresAt ?? Infinity) <= (old.expiresAt ?? 0) + 5000);
  });

  it('are ended, and stay so', async () => {
    const { credential, key } = await createCredential(
      service.deps.db,
      service.accountId,
      { surface: 'api', name: 'Short-lived', rights: ['read'] },
      { actor },
    );
    const path = `${base}/${credential.id}/end`;
    assert.equal((await olive.post(path, { overlap: 'none', password: 'wrong' })).status, 422);
    assert.equal(await listsFor(key), 200);
    assert.equal(
      (await olive.post(path, { overlap: 'none', password })).location,
      `${base}/${credential.id}?done=credential-ended`,
    );
    assert.equal(await listsFor(key), 401);
    // With more time, it would come back.
    const again = await olive.post(path, { overlap: '7d', password });
    assert.equal(again.status, 403);
    assert.match(again.text, /has ended already/);
    assert.equal(
      (await olive.post(`${base}/${credential.id}/rotate`, { overlap: '7d', password })).status,
      403,
    );
    assert.equal(await listsFor(key), 401);
    assert.match((await olive.get(base)).text, /1 that has ended/);
  });

  it("are out of another account's reach, and of mailers'", async () => {
    const { credential } = await createCredential(
      service.deps.db,
      service.accountId,
      { surface: 'api', name: 'Ours', rights: ['read'] },
      { actor },
    );
    const other = await createAccount(service.deps.db, 'Others');
    const otto = await signInAs(service, { owner: other }, { password: true });
    const theirs = `/console/accounts/${other.id}/credentials/${credential.id}`;
    for (const path of ['', '/rotate', '/end']) {
      assert.equal((await otto.get(`${theirs}${path}`)).status, 404);
      assert.equal((await otto.get(`${base}/${credential.id}${path}`)).status, 404);
    }
    assert.equal((await otto.post(`${theirs}/end`, { overlap: 'none', password })).status, 404);
    assert.equal((await getCredential(service.deps.db, credential.id)).expiresAt, null);
  });
});

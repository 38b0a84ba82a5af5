import assert from 'node:assert/strict';
import { accessKeysOf, rotateAccessKey } from '../../src/core/access-keys.js';
import { createAccount, type Account } from '../../src/core/accounts.js';
import { createMailer, getMailer, grantedLists, type Mailer } from '../../src/core/mailers.js';
import { fieldOf, goodPassword, signInAs, type Visitor } from '../support/console.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';

const hostile = '<img src=x onerror=alert(1)>"\'&';

describe('Mailers in the console', function () {
  this.timeout(60_000);
  let service: TestService;
  let olive: Visitor;
  let base: string;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner', { password: true });
    base = `/console/accounts/${service.accountId}/mailers`;
  });
  after(() => service.close());

  it('are added by an owner, who then ticks their lists', async () => {
    const [news, digest] = [
      await makeList(service, { name: 'News', internalName: 'news' }),
      await makeList(service, { name: 'Digest', internalName: 'digest' }),
    ];
    const nameless = await olive.post(`${base}/new`, { name: '  ' });
    assert.equal(nameless.status, 422);
    assert.match(nameless.text, /Please fill this in/);

    const made = await olive.post(`${base}/new`, { name: hostile });
    assert.equal(made.status, 303);
    const [, id = ''] = /\/mailers\/(\d+)\/lists\?done=mailer-created$/.exec(made.location ?? '') ?? [];
    const mailer = await getMailer(service.deps.db, Number(id));
    assert.equal(mailer.plainAllowed, false);

    const boxes = await olive.get(`${base}/${id}/lists`);
    assert.ok(boxes.html.includes(`value="${news.id}"`) && boxes.html.includes(`value="${digest.id}"`));
    assert.ok(!boxes.html.includes('<img src=x'), 'the name is escaped');
    const last = fieldOf(boxes, 'last');
    await olive.post(`${base}/${id}/lists`, { last, list: [String(news.id), String(digest.id)] });
    assert.deepEqual(await grantedLists(service.deps.db, mailer), [news.id, digest.id]);
    // A list that came after the page was opened is left alone.
    const later = await makeList(service, { name: 'Later' });
    await olive.post(`${base}/${id}/lists`, { last, list: [String(digest.id), String(later.id)] });
    assert.deepEqual(await grantedLists(service.deps.db, mailer), [digest.id]);

    const all = await olive.get(base);
    assert.ok(!all.html.includes('<img src=x'));
    assert.match(all.text, /No key/);
    assert.match(all.text, /digest/);
    const actions = await actionsOf('mailer.%');
    assert.deepEqual(actions.slice(0, 4), [
      'mailer.created',
      'mailer.granted',
      'mailer.granted',
      'mailer.revoked',
    ]);
  });

  it("take no other account's list, and none that is not shown", async () => {
    const other = await createAccount(service.deps.db, 'Other');
    const { mailer } = await makeMailer(service, await makeList(service));
    const foreign = await foreignMailer(other);
    const granted = await grantedLists(service.deps.db, mailer);
    await olive.post(`${base}/${mailer.id}/lists`, {
      last: '999999',
      list: [...granted, 424242].map(String),
    });
    assert.deepEqual(await grantedLists(service.deps.db, mailer), granted);
    for (const path of ['', '/edit', '/lists', '/keys/new', '/keys/end', '/downloads', '/downloads.csv']) {
      assert.equal((await olive.get(`${base}/${foreign.id}${path}`)).status, 404, path);
    }
    assert.equal((await olive.post(`${base}/${foreign.id}/keys/new`)).status, 404);
    assert.equal((await accessKeysOf(service.deps.db, foreign)).length, 0);
  });

  it('are listed fifty a page', async () => {
    const many = await createAccount(service.deps.db, 'Many');
    for (let n = 1; n <= 51; n++) {
      await createMailer(service.deps.db, many.id, { name: `Mailer ${n} of many` }, { actor: 'test' });
    }
    const mary = await signInAs(service, { owner: many });
    const first = await mary.get(`/console/accounts/${many.id}/mailers`);
    assert.match(first.text, /Mailer 50 of many/);
    assert.doesNotMatch(first.text, /Mailer 51 of many/);
    const [, next = ''] = /href="([^"]*beyond=\d+)"/.exec(first.html) ?? [];
    const second = await mary.get(next);
    assert.match(second.text, /Mailer 51 of many/);
    assert.doesNotMatch(second.text, /Mailer 50 of many|Next page/);
  });

  it('get a new key that works at once, while the old one lives on for as long as was chosen', async () => {
    const list = await makeList(service);
    const { mailer, key: old } = await makeMailer(service, list);
    const wrong = await olive.post(`${base}/${mailer.id}/keys/new`, {
      overlap: 'for ever',
      password: goodPassword,
    });
    assert.equal(wrong.status, 422);
    assert.equal((await accessKeysOf(service.deps.db, mailer)).length, 1);

    const shown = await olive.post(`${base}/${mailer.id}/keys/new`, {
      overlap: '1h',
      password: goodPassword,
    });
    const [key = ''] = /so_[\w-]{43}/.exec(shown.text) ?? [];
    assert.match(shown.headers.get('cache-control') ?? '', /no-store/);
    assert.ok(shown.text.includes(`curl -f "${service.deps.baseUrl}/l/${list.publicId}/download"`));
    assert.ok(shown.text.includes(`"Authorization: Bearer ${key}"`));
    for (const one of [key, old]) assert.equal(await download(list.publicId, one), 200);
    const [newest, older] = await accessKeysOf(service.deps.db, mailer);
    assert.equal(newest?.expiresAt, null);
    const leftMs = (older?.expiresAt ?? 0) - Date.now();
    assert.ok(leftMs > 3_500_000 && leftMs <= 3_600_000, `${leftMs} ms are an hour`);
    const page = await olive.get(`${base}/${mailer.id}`);
    assert.ok(page.text.includes(`…${key.slice(-4)}`) && page.text.includes(`…${old.slice(-4)}`));
    assert.ok(!page.text.includes(key), 'a key is shown once');

    await olive.post(`${base}/${mailer.id}/keys/new`, { overlap: 'none', password: goodPassword });
    for (const one of [key, old]) assert.equal(await download(list.publicId, one), 403);
    assert.ok(!service.logged.some((line) => line.includes(key)), 'no key is in the log');
  });

  it('say where nobody could download with the new key', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const { mailer } = await makeMailer(service, list, {});
    const shown = await olive.post(`${base}/${mailer.id}/keys/new`, {
      overlap: 'none',
      password: goodPassword,
    });
    assert.match(shown.text, /This list lets nobody in yet/);
  });

  it('lose all keys only after the password is typed again', async () => {
    const list = await makeList(service);
    const { mailer, key } = await makeMailer(service, list);
    for (const password of ['', 'not the password']) {
      assert.equal((await olive.post(`${base}/${mailer.id}/keys/end`, { password })).status, 422);
    }
    assert.equal(await download(list.publicId, key), 200);
    const ended = await olive.post(`${base}/${mailer.id}/keys/end`, { password: goodPassword });
    assert.equal(ended.location, `${base}/${mailer.id}?done=keys-ended`);
    assert.equal(await download(list.publicId, key), 403);
    assert.match((await olive.get(`${base}/${mailer.id}`)).text, /There is no access key/);
  });

  it('lose one key, and go on with the other', async () => {
    const list = await makeList(service);
    const { mailer, key: old } = await makeMailer(service, list);
    const key = await rotateAccessKey(service.deps.db, mailer, { actor: 'test', overlapMs: 3_600_000 });
    const path = `${base}/${mailer.id}/keys/end`;
    const [, older] = await accessKeysOf(service.deps.db, mailer);
    assert.ok(older !== undefined);
    assert.match((await olive.get(path)).html, new RegExp(`name="key" value="${older.id}"`));

    const { mailer: stranger } = await makeMailer(service, list);
    const [strange] = await accessKeysOf(service.deps.db, stranger);
    for (const chosen of [String(strange?.id), 'none', '']) {
      assert.equal((await olive.post(path, { key: chosen, password: goodPassword })).status, 422, chosen);
    }
    const mistyped = await olive.post(path, { key: String(older.id), password: 'not the password' });
    assert.equal(mistyped.status, 422);
    assert.match(mistyped.html, new RegExp(`value="${older.id}" checked`), 'the choice is kept');

    const ended = await olive.post(path, { key: String(older.id), password: goodPassword });
    assert.equal(ended.location, `${base}/${mailer.id}?done=key-ended`);
    assert.deepEqual([await download(list.publicId, old), await download(list.publicId, key)], [403, 200]);
    const history = await olive.get(`/console/accounts/${service.accountId}/history`);
    assert.ok(history.text.includes(`…${old.slice(-4)}`) && !history.text.includes(`…${key.slice(-4)}`));
    assert.equal((await olive.post(path, { key: String(older.id), password: goodPassword })).status, 422);
  });

  it('have networks of their own, told as they were understood; wide and private ones are confirmed', async () => {
    const { mailer } = await makeMailer(service, await makeList(service), {});
    const path = `${base}/${mailer.id}/edit`;
    const typo = await olive.post(path, { name: 'Mail House', ipWhitelist: '203.0.113.*\n192.0.2.7/24' });
    assert.equal(typo.status, 422);
    assert.match(
      typo.text,
      /203\.0\.113\.\* is no IPv4 or IPv6 address or network\. Did you mean 203\.0\.113\.0\/24\?/,
    );
    assert.match(typo.text, /192\.0\.2\.7\/24 is an address inside a network/);

    const asked = await olive.post(path, { name: 'Mail House', ipWhitelist: '10.0.0.0/8 203.0.113.0/24' });
    assert.equal(asked.status, 422);
    assert.match(asked.text, /203\.0\.113\.0\/24 256 addresses/);
    const [wide, unreachable] = [fieldOf(asked, 'confirmWide'), fieldOf(asked, 'confirmPrivate')];
    assert.deepEqual([wide, unreachable], ['10.0.0.0/8', '10.0.0.0/8']);
    // What was confirmed stands for that entry, and for no other.
    const sneaked = await olive.post(path, {
      ...{ name: 'Mail House', ipWhitelist: '10.0.0.0/8 192.0.0.0/2' },
      ...{ confirmWide: wide, confirmPrivate: unreachable },
    });
    assert.equal(sneaked.status, 422);
    assert.deepEqual((await getMailer(service.deps.db, mailer.id)).ipWhitelist, []);

    const saved = await olive.post(path, {
      ...{ name: 'Mail House', plainAllowed: 'yes', ipWhitelist: '10.0.0.0/8 203.0.113.0/24' },
      ...{ confirmWide: wide, confirmPrivate: unreachable },
    });
    assert.equal(saved.location, `${base}/${mailer.id}?done=saved`);
    const after = await getMailer(service.deps.db, mailer.id);
    assert.deepEqual(
      [after.name, after.plainAllowed, after.ipWhitelist.map(({ text }) => text)],
      ['Mail House', true, ['10.0.0.0/8', '203.0.113.0/24']],
    );
    // What was confirmed once stands.
    const again = await olive.post(path, { name: 'Mail House 2', ipWhitelist: '10.0.0.0/8' });
    assert.equal(again.location, `${base}/${mailer.id}?done=saved`);
    assert.equal((await getMailer(service.deps.db, mailer.id)).plainAllowed, false);
  });

  it('see their own page, and rotate their own key: the owner finds that in the history', async () => {
    const list = await makeList(service, { internalName: 'for the mailer' });
    const { mailer, key: old } = await makeMailer(service, list);
    const { mailer: other } = await makeMailer(service, list);
    const mia = await signInAs(service, { mailer }, { password: true });
    assert.equal((await mia.get(base)).location, `${base}/${mailer.id}`);
    const own = await mia.get(`${base}/${mailer.id}`);
    assert.match(own.text, /for the mailer/);
    assert.ok(own.text.includes(`…${old.slice(-4)}`));
    assert.doesNotMatch(own.html, /\/edit"|\/keys\/end"|\/lists"[^>]*>Choose/);
    for (const path of [`${other.id}`, `${other.id}/keys/new`, `${other.id}/downloads`]) {
      assert.equal((await mia.get(`${base}/${path}`)).status, 404, path);
    }
    assert.equal((await mia.post(`${base}/${other.id}/keys/new`, { overlap: 'none' })).status, 404);
    for (const path of ['edit', 'lists', 'keys/end']) {
      assert.equal((await mia.post(`${base}/${mailer.id}/${path}`)).status, 403, path);
    }

    const asked = await mia.post(`${base}/${mailer.id}/keys/new`, { overlap: 'none' });
    assert.equal(asked.status, 422, 'a key outlives the session: the password is asked');
    const shown = await mia.post(`${base}/${mailer.id}/keys/new`, {
      ...{ overlap: 'none', password: goodPassword },
    });
    const [key = ''] = /so_[\w-]{43}/.exec(shown.text) ?? [];
    assert.equal(await download(list.publicId, key), 200);
    assert.equal(await download(list.publicId, old), 403);
    const history = await olive.get(
      `/console/accounts/${service.accountId}/history?actor=user:${mia.user.id}`,
    );
    assert.match(history.text, /Olive Owner Made a new access key for “Mailer” Older keys end at once/);
  });

  async function download(publicId: string, key: string): Promise<number> {
    const { status } = await fetch(`${service.url}/l/${publicId}/download`, {
      headers: { Authorization: `Bearer ${key}` },
    });
    return status;
  }

  function foreignMailer({ id }: Account): Promise<Mailer> {
    return createMailer(service.deps.db, id, { name: 'Foreign' }, { actor: 'test' });
  }

  async function actionsOf(pattern: string): Promise<string[]> {
    const by = `user:${olive.user.id}`;
    const rows = await service.deps
      .db<{ id: number; actor: string; action: string }>('history')
      .where({ actor: by })
      .where('action', 'like', pattern)
      .orderBy('id');
    return rows.map(({ action }) => action);
  }
});

import assert from 'node:assert/strict';
import { createAccount, getAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { findSuppressed } from '../../src/core/suppressed.js';
import { fieldOf, goodPassword, signInAs, type Visitor } from '../support/console.js';
import { optOutOf, plant, rowKinds, rowsOfList } from '../support/core.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';

describe('A person in the console', () => {
  let service: TestService;
  let olive: Visitor;
  let base: string;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner', { password: true });
    base = `/console/accounts/${service.accountId}/people`;
  });
  after(() => service.close());

  it('is found on all lists by the address alone, hashes included, and in no URL', async () => {
    const { db, recorder } = service.deps;
    const [plain, hashed, global] = [
      await makeList(service),
      await makeList(service),
      await makeList(service),
    ];
    await recorder.record([
      optOutOf(plain.id, 'eve@example.com', { source: 'page', reason: '<script>alert(1)</script>' }),
      optOutOf(plain.id, 'bob@example.com'),
      optOutOf(global.id, 'eve@example.com', { tag: '<b>news</b>' }),
    ]);
    await plant(db, hashed.id, [{ ...rowKinds.md5Only('eve@example.com'), removed_at: 86_400_000 }]);
    await setGlobalList(db, await getAccount(db, service.accountId), global, { actor: 'test' });
    assert.match((await olive.get(base)).text, /Find a person.*about one address/);

    const page = await olive.post(base, { address: ' Eve@Example.com ' });
    assert.equal(page.status, 200);
    assert.match(page.text, /eve@example\.com Suppressed/);
    assert.match(page.text, /The global list suppresses this address/);
    assert.match(page.text, /Opt-out page Address Suppressed/);
    assert.match(page.text, /Known by its MD5 only Removed/);
    assert.doesNotMatch(page.html, /bob@|<b>news|<script>alert/);
    const links = [...page.html.matchAll(/href="(\/console\/lists\/[^"]*\/opt-outs\/[^"]*)"/g)];
    assert.equal(links.length, 3);
    for (const [, href = ''] of links) {
      // Ids are random, and may hold her letters in the midst of others.
      assert.doesNotMatch(decodeURIComponent(href), /\beve\b|@/);
      assert.equal((await olive.get(href)).status, 200, href);
    }

    const file = await olive.post(`${base}/file`, { address: 'eve@example.com' });
    assert.match(file.headers.get('content-disposition') ?? '', /^attachment/);
    assert.match(file.headers.get('cache-control') ?? '', /no-store/);
    const held = JSON.parse(file.html) as { address: string; opt_outs: { list: string; kind: string }[] };
    assert.equal(held.address, 'eve@example.com');
    assert.deepEqual(
      held.opt_outs.map(({ list, kind }) => [list, kind]),
      [
        [plain.publicId, 'address'],
        [hashed.publicId, 'md5'],
        [global.publicId, 'address'],
      ],
    );
    await setGlobalList(db, await getAccount(db, service.accountId), null, { actor: 'test' });
    assert.doesNotMatch((await olive.post(base, { address: 'eve@example.com' })).text, /The global list/);
  });

  it('is nobody where no list holds anything, and what is no address is said to be none', async () => {
    const nobody = await olive.post(base, { address: 'nobody@example.com' });
    assert.match(nobody.text, /No list of this account holds anything/);
    const junk = await olive.post(base, { address: 'junk' });
    assert.equal(junk.status, 422);
    assert.match(junk.html, /value="junk"/);
    assert.equal((await olive.get(`${base}/erase`)).location, base);
    assert.equal((await olive.get(`${base}/file`)).status, 405);
  });

  it('is found by owners of the account alone', async () => {
    const list = await makeList(service);
    await service.deps.recorder.record([optOutOf(list.id, 'fay@example.com')]);
    const account = await createAccount(service.deps.db, 'Other');
    const stranger = await signInAs(service, { owner: account });
    const { mailer } = await makeMailer(service, list, { plainAllowed: true });
    const max = await signInAs(service, { mailer });
    const asked = { address: 'fay@example.com', person: 'fay@example.com' };
    for (const path of [base, `${base}/file`, `${base}/erase`]) {
      assert.equal((await stranger.post(path, asked)).status, 404, path);
      assert.equal((await max.post(path, asked)).status, 403, path);
    }
    const own = await stranger.post(`/console/accounts/${account.id}/people`, asked);
    assert.match(own.text, /No list of this account holds anything/);
  });

  it('is erased from all lists, with the address typed again and the password, and stays suppressed', async () => {
    const { db, recorder } = service.deps;
    const lists = [await makeList(service), await makeList(service)];
    await recorder.record(lists.map(({ id }) => optOutOf(id, 'gus@example.com', { reason: 'gus is me' })));
    const asked = await olive.post(`${base}/erase`, { person: 'gus@example.com' });
    assert.match(asked.text, /cannot be undone/);
    const sure = { person: fieldOf(asked, 'person'), confirmed: fieldOf(asked, 'confirmed') };
    for (const [fields, text] of [
      [{ address: 'bob@example.com', password: goodPassword }, /not the address/],
      [{ address: 'gus@example.com', password: 'wrong' }, /not your password/],
      [{ address: 'gus@example.com' }, /Type your password/],
    ] as const) {
      const refused = await olive.post(`${base}/erase`, { ...sure, ...fields });
      assert.equal(refused.status, 422);
      assert.match(refused.text, text);
    }
    assert.equal(String((await rowsOfList(db, lists[0]?.id ?? 0))[0]?.address), 'gus@example.com');
    const done = await olive.post(`${base}/erase`, {
      ...sure,
      ...{ address: 'Gus@example.com', password: goodPassword },
    });
    assert.match(done.text, /Of 2 opt-outs, only the hashes/);
    for (const { id } of lists) {
      const [row] = await rowsOfList(db, id);
      assert.deepEqual([row?.address, row?.reason, row?.removed_at], [null, null, null]);
      assert.equal((await findSuppressed(db, id, ['gus@example.com'])).size, 1);
    }
    const noted = (await db('history').where({ action: 'person.erased' }).pluck('actor')) as string[];
    assert.deepEqual([...new Set(noted)], [`user:${olive.user.id}`]);
    const after = await olive.post(base, { address: 'gus@example.com' });
    assert.match(after.text, /This person was erased on.*Erased person Suppressed/);
  });

  it('is found in Japanese', async () => {
    const jiro = await signInAs(service, 'owner', { language: 'ja' });
    assert.match((await jiro.get(base)).text, /個人の検索.*メールアドレス/);
  });
});

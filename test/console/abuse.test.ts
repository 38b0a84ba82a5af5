import assert from 'node:assert/strict';
import { createAccount, type Account } from '../../src/core/accounts.js';
import { listBlocks, writeBlocks } from '../../src/core/blocks.js';
import { listBursts, noteBursts, type Burst } from '../../src/core/bursts.js';
import { createList, getListById, type List } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { startRevert } from '../../src/console/burst-reverts.js';
import { connect } from '../../src/db/connect.js';
import { optOutOf } from '../support/core.js';
import { goodPassword, signInAs, type Visitor } from '../support/console.js';
import { startTestService, until, untilNumbered, type TestService } from '../support/service.js';

const windowMs = 600_000;

describe("The console's page of abuse", () => {
  let service: TestService;
  let account: Account;
  let list: List;
  let olive: Visitor;
  let path: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    const { db } = service.deps;
    account = await createAccount(db, 'Acme', { actor: 'test' });
    const whitelist = { ipWhitelist: '198.51.100.0/24' };
    list = await createList(db, account.id, { name: 'Acme News', ...whitelist }, { actor: 'test' });
    olive = await signInAs(service, { owner: account }, { password: true });
    path = `/console/accounts/${account.id}/abuse`;
  });

  const isOut = (email: string) => isSuppressed(service.deps.db, list.id, email);

  async function block(network: string): Promise<void> {
    const now = Date.now();
    const times = { startedAt: now, endsAt: now + 3_600_000, liftedAt: null, countedFrom: now - 1000 };
    await writeBlocks(service.deps.db, [{ accountId: account.id, network, ...times }]);
  }

  /** So many forged ones, and one that somebody else stands behind. */
  async function burstOf(network: string, people: number): Promise<Burst> {
    const { db, recorder } = service.deps;
    const at = Date.now();
    const common = { source: 'pixel' as const, ip: network, recordedAt: at, createdAt: at };
    const forged = Array.from({ length: people }, (_, i) => optOutOf(list.id, `p${i}@example.com`, common));
    await recorder.record(forged);
    await recorder.record([optOutOf(list.id, 'vouched@example.com', { ...common, isVouched: true })]);
    const part = { accountId: account.id, network, source: 'pixel' as const };
    await noteBursts(db, [{ ...part, from: at, to: at, recipients: people }], windowMs);
    await untilNumbered(service, list);
    const [burst] = await listBursts(db, account.id);
    assert.ok(burst !== undefined);
    return burst;
  }

  it('says that nothing happened where nothing did', async () => {
    const { text } = await olive.get(path);
    assert.match(text, /more than 100 different people in 10 minutes .* blocked there for 60 minutes/);
    assert.match(text, /Nobody is blocked/);
    assert.match(text, /No burst was seen/);
  });

  it('shows who is blocked, and lifts a block', async () => {
    await block('203.0.113.7');
    await block('2001:db8:0:100::/56');
    const { text, html } = await olive.get(path);
    assert.ok(text.includes('203.0.113.7') && text.includes('2001:db8:0:100::/56'));
    assert.match(html, /aria-label="Lift the block of 203\.0\.113\.7"/);
    const lifted = await olive.post(`${path}/lift`, { network: '2001:db8:0:100::/56' });
    assert.equal(lifted.location, `${path}?done=block-lifted`);
    const standing = await listBlocks(service.deps.db, account.id);
    assert.deepEqual(
      standing.map(({ network }) => network),
      ['203.0.113.7'],
    );
    const [note] = (await service.deps
      .db('history')
      .where({ account_id: account.id, action: 'block.lifted' })) as { actor: string }[];
    assert.equal(note?.actor, `user:${olive.user.id}`);
    assert.equal((await olive.post(`${path}/lift`, { network: '192.0.2.1' })).status, 404);
  });

  it('puts a blocked address on the whitelist of a list, and nothing that is not blocked', async () => {
    await block('203.0.113.7');
    const form = await olive.get(`${path}/whitelist?network=203.0.113.7`);
    assert.match(form.text, /Never block this address again .* download the list with an access key/);
    const fields = { network: '203.0.113.7', list: list.publicId };
    const done = await olive.post(`${path}/whitelist`, fields);
    assert.equal(done.location, `${path}?done=block-whitelisted`);
    const entries = async () =>
      (await getListById(service.deps.db, list.id)).ipWhitelist.map(({ text }) => text);
    assert.deepEqual(await entries(), ['198.51.100.0/24', '203.0.113.7']);
    assert.deepEqual(await listBlocks(service.deps.db, account.id), []);
    assert.equal((await olive.post(`${path}/whitelist`, { ...fields, network: '0.0.0.0/0' })).status, 404);
    await block('203.0.113.8');
    const strange = await createList(service.deps.db, service.accountId, { name: 'X' }, { actor: 'test' });
    const elsewhere = { network: '203.0.113.8', list: strange.publicId };
    assert.equal((await olive.post(`${path}/whitelist`, elsewhere)).status, 404);
    const admin = await signInAs(service, 'admin');
    assert.equal((await admin.post(`${path}/whitelist`, elsewhere)).status, 404, 'of another account');
    assert.deepEqual((await getListById(service.deps.db, strange.id)).ipWhitelist, []);
    assert.deepEqual(await entries(), ['198.51.100.0/24', '203.0.113.7']);
  });

  it('tells what taking a burst back would come to, and takes it back with the password', async () => {
    const burst = await burstOf('203.0.113.9', 7);
    const at = `${path}/bursts/${burst.id}`;
    const listed = await olive.get(path);
    assert.ok(listed.html.includes(`href="${at}"`));
    assert.match(listed.text, /203\.0\.113\.9 Pixel 7 or more No/);
    const page = await olive.get(at);
    assert.match(page.text, /Would be taken back 7 Would stay 1 Acme News : 7/);
    assert.match(page.text, /Take 7 opt-outs back/);
    const wrong = await olive.post(at, { password: 'not the password' });
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /This is not your password/);
    assert.equal((await olive.post(at)).status, 422);
    assert.equal(await isOut('p3@example.com'), true);
    const done = await olive.post(at, { password: goodPassword });
    assert.equal(done.location, at);
    const after = await olive.get(at);
    assert.match(after.text, /7 opt-outs were taken back\. One stayed/);
    assert.match(after.text, /There is nothing left of it to take back/);
    assert.deepEqual([await isOut('p3@example.com'), await isOut('vouched@example.com')], [false, true]);
    assert.match((await olive.get(path)).text, /Pixel 7 or more 7 /);
    const [note] = (await service.deps
      .db('history')
      .where({ account_id: account.id, action: 'burst.reverted' })) as { actor: string }[];
    assert.equal(note?.actor, `user:${olive.user.id}`);
  });

  it('goes on showing a burst that takes long, until it is taken back', async () => {
    const burst = await burstOf('203.0.113.9', 7);
    const at = `${path}/bursts/${burst.id}`;
    await olive.get(at);
    // Somebody else holds what it has to write.
    const other = connect(service.databaseUrl, { timeoutMs: 10_000, poolSize: 1 });
    const lock = await other.transaction();
    await lock('bursts').where({ id: burst.id }).update({ recipients: 7 });
    await startRevert(service.deps, burst, 'user:1', 20);
    const going = await olive.get(at);
    assert.match(going.text, /It is being taken back: 0 opt-outs so far/);
    assert.match(going.html, /data-live="3"/);
    assert.match(going.html, /<noscript><meta http-equiv="refresh" content="3">/);
    await lock.rollback();
    await other.destroy();
    await until('it is taken back', async () =>
      (await olive.get(at)).text.includes('7 opt-outs were taken back'),
    );
    assert.equal(await isOut('p3@example.com'), false);
  });

  it('warns where the address is a proxy’s', async () => {
    const burst = await burstOf('10.0.0.1', 2);
    assert.match((await olive.get(`${path}/bursts/${burst.id}`)).text, /This is a private address/);
  });

  it('is for the account’s owners alone', async () => {
    const { db } = service.deps;
    await block('203.0.113.7');
    const burst = await burstOf('203.0.113.9', 2);
    const other = await createAccount(db, 'Stranger', { actor: 'test' });
    const sam = await signInAs(service, { owner: other }, { password: true });
    const mailer = await createMailer(db, account.id, { name: 'Mail House' }, { actor: 'test' });
    await grantList(db, mailer, list, { actor: 'test' });
    const mia = await signInAs(service, { mailer });
    const theirs = `/console/accounts/${other.id}/abuse`;
    const network = '203.0.113.7';
    for (const page of [path, `${path}/whitelist?network=${network}`, `${path}/bursts/${burst.id}`]) {
      assert.equal((await sam.get(page)).status, 404, page);
      assert.equal((await mia.get(page)).status, 403, page);
    }
    assert.doesNotMatch((await sam.get(theirs)).text, /203\.0\.113/);
    assert.equal((await sam.get(`${theirs}/bursts/${burst.id}`)).status, 404);
    assert.equal((await sam.get(`${theirs}/whitelist?network=${network}`)).status, 404);
    const tries: [string, Record<string, string>][] = [
      [`${path}/lift`, { network }],
      [`${theirs}/lift`, { network }],
      [`${theirs}/whitelist`, { network, list: list.publicId }],
      [`${path}/bursts/${burst.id}`, { password: goodPassword }],
      [`${theirs}/bursts/${burst.id}`, { password: goodPassword }],
    ];
    for (const [page, fields] of tries) assert.equal((await sam.post(page, fields)).status, 404, page);
    assert.equal((await listBlocks(db, account.id)).length, 1);
    assert.equal(await isOut('p0@example.com'), true);
  });

  it('speaks Japanese to whoever does', async () => {
    await block('203.0.113.7');
    const yuki = await signInAs(service, { owner: account }, { language: 'ja' });
    const burst = await burstOf('203.0.113.9', 2);
    assert.match((await yuki.get(path)).text, /遮断中のアドレス .*203\.0\.113\.7/);
    const { text } = await yuki.get(`${path}/bursts/${burst.id}`);
    assert.match(text, /2件の配信停止を取り消す/);
  });
});

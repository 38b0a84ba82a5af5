import assert from 'node:assert/strict';
import { getAccountSettings, getZipEncryption } from '../../src/core/account-settings.js';
import { getAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { goodPassword, signInAs, type Visitor } from '../support/console.js';
import { makeList, startTestService, type TestService } from '../support/service.js';

const password = goodPassword;

describe("An account's settings in the console", function () {
  this.timeout(60_000);
  let service: TestService;
  let olive: Visitor;
  let path: string;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner', { password: true });
    path = `/console/accounts/${service.accountId}/settings`;
  });
  after(() => service.close());

  const standing = () => getAccountSettings(service.deps.db, service.accountId);
  const noted = async () => {
    const rows = await service.deps
      .db<{ id: number; account_id: number; action: string; details: string }>('history')
      .where({ account_id: service.accountId, action: 'account.edited' })
      .orderBy('id');
    return rows.map(({ details }) => JSON.parse(details) as unknown);
  };

  it('hold its name and its time zone, in which its pages tell the time', async () => {
    const page = await olive.get(path);
    for (const zone of ['UTC', 'Asia/Tokyo', 'America/New_York']) {
      assert.ok(page.html.includes(`<option value="${zone}">`), zone);
    }
    const saved = await olive.post(path, { name: '<b>Acme</b> & Co', timeZone: 'Asia/Tokyo' });
    assert.equal(saved.location, `${path}?done=saved`);
    assert.equal((await getAccount(service.deps.db, service.accountId)).name, '<b>Acme</b> & Co');
    assert.equal((await standing()).timeZone, 'Asia/Tokyo');
    const after = await olive.get(path);
    assert.ok(!after.html.includes('<b>Acme'));
    assert.match(after.text, /there now \(Asia\/Tokyo\)/);
    assert.deepEqual(await noted(), [{ name: '<b>Acme</b> & Co', time_zone: 'Asia/Tokyo' }]);

    await olive.post(path, { name: '<b>Acme</b> & Co', timeZone: 'Asia/Tokyo' });
    assert.equal((await noted()).length, 1, 'what stays as it is leaves no trace');
    await olive.post(path, { name: 'Acme', timeZone: '' });
    assert.equal((await standing()).timeZone, null);
  });

  it('take no name that is empty, and no zone that there is not', async () => {
    for (const [fields, told] of [
      [{ name: ' ', timeZone: '' }, /Please fill this in/],
      [{ name: 'x'.repeat(201), timeZone: '' }, /too long/],
      [{ name: 'Acme', timeZone: 'Mars/Olympus' }, /There is no such time zone/],
    ] as const) {
      const page = await olive.post(path, fields);
      assert.equal(page.status, 422);
      assert.match(page.text, told);
    }
    assert.equal((await getAccount(service.deps.db, service.accountId)).name, 'Acme');
  });

  it('hold the ZIP password, which is set after the own one is typed, and shown to nobody', async () => {
    const zip = `${path}/zip`;
    const good = { zipPassword: 'a ZIP password', zipCipher: 'aes-256', password };
    for (const [fields, told] of [
      [{ ...good, password: '' }, /Type your password/],
      [{ ...good, password: 'wrong' }, /This is not your password/],
      [{ ...good, zipPassword: '' }, /Please fill this in/],
      [{ ...good, zipPassword: 'short' }, /8 to 128 characters/],
      [{ ...good, zipPassword: 'パスワードです。' }, /Only (letters|ASCII)/],
      [{ ...good, zipCipher: 'rot13' }, /not one of the choices/],
      [{ ...good, zipCipher: 'zipcrypto' }, /Confirm that you want the weak encryption/],
    ] as const) {
      const page = await olive.post(zip, fields);
      assert.equal(page.status, 422, JSON.stringify(fields));
      assert.match(page.text, told);
      assert.ok(!page.html.includes('a ZIP password'));
    }
    assert.equal((await standing()).hasZipPassword, false);

    assert.equal((await olive.post(zip, good)).location, `${path}?done=saved`);
    const { db, secret } = service.deps;
    assert.deepEqual(await getZipEncryption(db, secret, service.accountId), {
      password: 'a ZIP password',
      cipher: 'aes-256',
    });
    // The cipher alone: the password stays.
    await olive.post(zip, { zipPassword: '', zipCipher: 'zipcrypto', confirmZipCrypto: 'yes', password });
    assert.deepEqual(await getZipEncryption(db, secret, service.accountId), {
      password: 'a ZIP password',
      cipher: 'zipcrypto',
    });
    const page = await olive.get(path);
    assert.match(page.text, /ZipCrypto can be broken within minutes/);
    assert.ok(!page.html.includes('a ZIP password'));

    assert.equal((await olive.post(`${path}/zip/clear`, { password: 'wrong' })).status, 422);
    assert.equal((await standing()).hasZipPassword, true);
    assert.equal((await olive.post(`${path}/zip/clear`, { password })).location, `${path}?done=zip-cleared`);
    assert.equal((await standing()).hasZipPassword, false);
    assert.deepEqual(
      (await noted()).slice(-3),
      [
        { zip_cipher: undefined, zip_password: 'set' },
        { zip_cipher: 'zipcrypto' },
        { zip_password: 'cleared' },
      ].map((one) => JSON.parse(JSON.stringify(one)) as unknown),
    );
    assert.ok(!service.logged.some((line) => line.includes('a ZIP password')));
  });

  it('say which list is the global one, and where that is set', async () => {
    assert.match((await olive.get(path)).text, /No list is the global one/);
    const list = await makeList(service, { internalName: 'for everything' });
    const account = await getAccount(service.deps.db, service.accountId);
    await setGlobalList(service.deps.db, account, list, { actor: 'test' });
    const page = await olive.get(path);
    assert.match(page.text, /for everything/);
    assert.ok(page.html.includes(`/console/lists/${list.publicId}/edit`));
  });
});

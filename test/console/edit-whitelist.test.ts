import assert from 'node:assert/strict';
import { getListById, type List } from '../../src/core/lists.js';
import { goodPassword, signInAs, type Visitor } from '../support/console.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { openSettings, saveSettings, settingsPath } from './edit-form.js';

describe('What the settings of a list explain and have confirmed', () => {
  let service: TestService;
  let olive: Visitor;
  before(async () => {
    service = await startTestService({ TRUST_PROXY: '127.0.0.0/8' });
    olive = await signInAs(service, 'owner', { password: true });
  });
  after(() => service.close());

  const again = (list: List) => getListById(service.deps.db, list.id);
  const save = (list: List, typed: Record<string, string>, left: readonly string[] = []) =>
    saveSettings(olive, list, typed, left);

  it('explain each entry of the whitelist as it was understood, whatever else stands beside it', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const page = await olive.post(settingsPath(list), {
      ...(await openSettings(olive, list)),
      do: 'check',
      ipWhitelist:
        '203.0.113.0/24; 203.0.113.9\n::ffff:198.51.100.0/120, 2001:db8::/48 10.0.0.1 010.0.0.1 203.0.113.5/24',
    });
    for (const text of [
      '203.0.113.0/24 : 256 addresses',
      '203.0.113.9 : 1 address',
      '198.51.100.0/24 : 256 addresses',
      '2001:db8::/48 : 2⁸⁰ addresses',
      '10.0.0.1 is not a public address',
      '010.0.0.1 is no IPv4 or IPv6 address',
      '203.0.113.5/24 is an address inside a network rather than a network. Did you mean 203.0.113.0/24?',
    ]) {
      assert.ok(page.text.includes(text), text);
    }
  });

  it('let in wide and private networks only once just these are confirmed', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const ipWhitelist = '10.0.0.0/8 192.168.0.1 203.0.113.7';
    const refused = await save(list, { ipWhitelist });
    assert.equal(refused.status, 422);
    assert.match(refused.html, /name="confirmPrivate" value="10\.0\.0\.0\/8 192\.168\.0\.1">/);
    assert.match(refused.html, /name="confirmWide" value="10\.0\.0\.0\/8">/);

    const boxes = { confirmPrivate: '10.0.0.0/8', confirmWide: '10.0.0.0/8' };
    assert.equal(
      (await save(list, { ipWhitelist, ...boxes })).status,
      422,
      'one was not there when it was ticked',
    );
    assert.deepEqual((await again(list)).ipWhitelist, []);

    boxes.confirmPrivate = '10.0.0.0/8 192.168.0.1';
    assert.equal((await save(list, { ipWhitelist, ...boxes })).status, 303);
    assert.equal((await again(list)).ipWhitelist.length, 3);
    const standing = await olive.get(settingsPath(list));
    assert.doesNotMatch(standing.html, /name="confirmPrivate"/, 'what stands was confirmed');
    const added = `${ipWhitelist} 203.0.113.8`;
    assert.equal((await save(list, { ipWhitelist: added })).status, 303);
  });

  it('take a whitelist of 1,000 entries, and say so of more', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const many = Array.from({ length: 1000 }, (_, i) => `203.0.${i >> 8}.${i & 255}`);
    assert.equal((await save(list, { ipWhitelist: many.join('\r\n') })).status, 303);
    assert.ok((await olive.get(settingsPath(list))).text.includes('And 900 more.'));
    const page = await save(list, { ipWhitelist: [...many, '203.0.113.0/24'].join('\r\n') });
    assert.equal(page.status, 422);
    assert.ok(page.text.includes('more than 1,000 entries'));
    assert.equal((await save(list, { ipWhitelist: 'x'.repeat(70_000) })).status, 422);
  });

  it("offer the reader's own address, unless it is a proxy's or not a public one", async () => {
    const list = await makeList(service, { ipWhitelist: '203.0.113.7' });
    const from = async (address: string, path = settingsPath(list)) =>
      (await olive.fetch(path, { headers: { 'X-Forwarded-For': address } })).text();
    assert.match(await from('198.51.100.7'), /You are at 198\.51\.100\.7 now\./);
    assert.match(await from('198.51.100.7'), /data-own-address="198\.51\.100\.7"/);
    assert.match(await from('203.0.113.7'), /which is let in already/);
    const inside = await from('10.0.0.7');
    assert.match(inside, /not a public one/);
    assert.doesNotMatch(inside, /data-own-address|10\.0\.0\.7/);

    const body = new URLSearchParams({
      ...(await openSettings(olive, list)),
      csrf: olive.formToken,
      do: 'own-address',
      ip: '10.0.0.0/8',
    });
    const answer = await olive.fetch(settingsPath(list), {
      method: 'POST',
      body,
      headers: { 'X-Forwarded-For': '198.51.100.7', 'Sec-Fetch-Site': 'same-origin' },
    });
    const html = await answer.text();
    assert.match(html, /203\.0\.113\.7\n198\.51\.100\.7<\/textarea>/);
    assert.deepEqual(await again(list), list, 'nothing is saved by that');
  });

  it('never offer the address of a proxy that the installation does not know', async () => {
    const list = await makeList(service);
    const other = await startTestService({ DATABASE_URL: service.databaseUrl, TRUST_PROXY: '' });
    try {
      const headers = { Cookie: olive.cookie, 'X-Forwarded-For': '198.51.100.7' };
      const html = await (await fetch(`${other.url}${settingsPath(list)}`, { headers })).text();
      assert.match(html, /a proxy that this installation does not know/);
      assert.doesNotMatch(html, /data-own-address/);
    } finally {
      await other.close();
    }
  });

  it('open the downloads to any address only with the password, which is asked for then alone', async () => {
    const list = await makeList(service);
    assert.doesNotMatch((await olive.get(settingsPath(list))).html, /name="password"/);
    const refused = await save(list, { downloadsFromAnyAddress: 'yes' });
    assert.equal(refused.status, 422);
    assert.equal([...refused.html.matchAll(/name="password"/g)].length, 1);
    assert.ok(refused.text.includes('Type your password.'));
    assert.equal((await again(list)).downloadsFromAnyAddress, false);
    const both = await save(list, { downloadsFromAnyAddress: 'yes', cap: '1000', confirmCap: '1000' });
    assert.equal([...both.html.matchAll(/name="password"/g)].length, 1);
    const typed = { downloadsFromAnyAddress: 'yes', password: goodPassword };
    assert.equal((await save(list, typed)).status, 303);
    assert.equal((await again(list)).downloadsFromAnyAddress, true);
    assert.equal((await save(list, {}, ['downloadsFromAnyAddress'])).status, 303, 'to close them needs none');
  });

  it('cap a list only once it is confirmed at what price', async () => {
    const list = await makeList(service);
    await service.deps.db('list_counts').insert({ list_id: list.id, addresses: 1500, md5_only: 0, sha256_only: 0, erased: 0, last_number: 1 }); // prettier-ignore
    const page = await save(list, { cap: '1,000' });
    assert.equal(page.status, 422);
    assert.ok(page.text.includes('500 opt-outs leave the list at once.'));
    assert.equal((await save(list, { cap: '1000', confirmCap: '2000' })).status, 422);
    const confirmed = { cap: '1,000', confirmCap: '1000' };
    assert.match(page.html, /<input id="password"/);
    for (const [password, says] of [
      ['', 'Type your password.'],
      ['not it at all', 'This is not your password.'],
    ] as const) {
      const refused = await save(list, { ...confirmed, password });
      assert.equal(refused.status, 422);
      assert.ok(refused.text.includes(says));
      assert.doesNotMatch(refused.html, /not it at all/);
    }
    assert.equal((await again(list)).cap, null);
    assert.equal((await save(list, { ...confirmed, password: goodPassword })).status, 303);
    assert.equal((await again(list)).cap, 1000);
    assert.equal((await save(list, { cap: '2000' })).status, 303, 'a higher one takes nobody away');
    assert.equal((await save(list, { cap: '' })).status, 303);
    assert.equal((await again(list)).cap, null);
  });
});

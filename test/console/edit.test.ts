import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { languages } from '../../src/core/languages.js';
import type { ListSettings } from '../../src/core/list-settings.js';
import { editList, getListById, type List } from '../../src/core/lists.js';
import type { Refused } from '../../src/errors.js';
import { signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';
import { fieldsOf, openSettings } from './edit-form.js';

const full: Partial<ListSettings> = {
  name: 'Acme News & more',
  internalName: 'acme-news',
  operatorName: 'Acme "GmbH"',
  postalAddress: 'Street 1\n12345 Town',
  contact: 'help@acme.example',
  privacyUrl: 'https://acme.example/privacy?a=1&b=2',
  thankYou: { en: '# Goodbye\n\nSee **you**.', ja: '  ありがとう  ' },
  redirectTemplate: 'https://acme.example/bye?mail={email}',
  ipWhitelist: '203.0.113.0/24 10.0.0.0/8 2001::/20',
  signedLinksOnly: true,
  downloadsFromAnyAddress: true,
  directLink: 'instant',
  pixel: false,
  state: 'closed',
  cap: 5000,
};

describe('The settings of a list', () => {
  let service: TestService;
  let olive: Visitor;
  before(async () => {
    service = await startTestService({ TRUST_PROXY: '127.0.0.0/8' });
    olive = await signInAs(service, 'owner', { password: true });
  });
  after(() => service.close());

  const pathOf = (list: List) => `/console/lists/${list.publicId}/edit`;
  const again = (list: List) => getListById(service.deps.db, list.id);
  const historyOf = async (list: List) => {
    const noted = service.deps.db<{
      list_id: number;
      action: string;
      actor: string;
      details: string;
      id: number;
    }>('history');
    return noted.where({ list_id: list.id, action: 'list.edited' }).orderBy('id').select('actor', 'details');
  };

  /** Sends the form as it stands, with what is typed over it. */
  async function save(list: List, typed: Record<string, string>, left: string[] = []): Promise<ConsolePage> {
    const fields: Record<string, string> = { ...(await openSettings(olive, list)), ...typed, do: 'save' };
    for (const name of left) delete fields[name];
    return olive.post(pathOf(list), fields);
  }

  it('are sent back as they stand, and then nothing has changed', async () => {
    const list = await makeList(service, full);
    const answer = await save(list, {});
    assert.equal(answer.location, `${pathOf(list)}?done=saved`);
    assert.deepEqual(await again(list), list);
    assert.deepEqual(await historyOf(list), []);
  });

  it('are saved all at once, and the history names those that changed', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const answer = await save(
      list,
      {
        name: 'Acme Weekly',
        internalName: 'weekly',
        defaultLanguage: 'de',
        operatorName: 'Acme GmbH',
        postalAddress: 'Street 1\r\n12345 Town',
        contact: '+49 30 1234',
        privacyUrl: 'https://acme.example/privacy',
        'thankYou.de': '# Schade',
        redirectTemplate: 'https://acme.example/bye?mail={email}&list={list}&how={status}',
        directLink: 'instant',
        signedLinksOnly: 'yes',
        state: 'closed',
        ipWhitelist: '203.0.113.7, 198.51.100.0/24',
        downloadsFromAnyAddress: 'yes',
      },
      ['pixel'],
    );
    assert.equal(answer.location, `${pathOf(list)}?done=saved`);
    const edited = await again(list);
    assert.equal(edited.name, 'Acme Weekly');
    assert.equal(edited.internalName, 'weekly');
    assert.equal(edited.defaultLanguage, 'de');
    assert.equal(edited.postalAddress, 'Street 1\n12345 Town');
    assert.deepEqual(edited.thankYou, { de: '# Schade' });
    assert.equal(edited.redirect?.text, 'https://acme.example/bye?mail={email}&list={list}&how={status}');
    assert.equal(edited.directLink, 'instant');
    assert.equal(edited.signedLinksOnly, true);
    assert.equal(edited.pixel, false);
    assert.equal(edited.state, 'closed');
    assert.deepEqual(
      edited.ipWhitelist.map(({ text }) => text),
      ['203.0.113.7', '198.51.100.0/24'],
    );
    assert.equal(edited.downloadsFromAnyAddress, true);
    const [noted] = await historyOf(list);
    assert.equal(noted?.actor, `user:${olive.user.id}`);
    assert.ok(noted.details.includes('ip_whitelist') && !noted.details.includes('cap'), noted.details);
  });

  it('keep what was typed where some of it does not pass, and say all that is wrong', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const typed = {
      name: ' ',
      privacyUrl: 'javascript:alert(1)',
      contact: 'kept as typed',
      'thankYou.fr': 'gardé',
      redirectTemplate: 'https://acme.example/{mail}',
      ipWhitelist: '203.0.113.*\nnonsense',
      cap: '12',
    };
    const page = await save(list, typed);
    assert.equal(page.status, 422);
    for (const text of [
      'Please fill this in.',
      'This is not a web address.',
      'There is a brace in it that belongs to none of',
      'Did you mean 203.0.113.0/24?',
      'nonsense is no IPv4 or IPv6 address or network.',
      'A whole number from 1,000 to 100,000,000',
    ]) {
      assert.ok(page.text.includes(text), text);
    }
    const fields = fieldsOf(page);
    assert.equal(fields.contact, typed.contact);
    assert.equal(fields['thankYou.fr'], typed['thankYou.fr']);
    assert.equal(fields.redirectTemplate, typed.redirectTemplate);
    assert.equal(fields.ipWhitelist?.replace(/\r/g, ''), typed.ipWhitelist);
    assert.deepEqual(await again(list), list);
  });

  it('say which thank-you text does not pass, and offer all languages', async () => {
    const list = await makeList(service, { thankYou: { de: 'Danke' } });
    const fields = await openSettings(olive, list);
    for (const { code } of languages) assert.ok(`thankYou.${code}` in fields, code);
    const page = await save(list, {
      'thankYou.ko': '[](https://a.example) <!-- -->\u0007',
      'thankYou.de': '',
    });
    assert.equal(page.status, 422);
    assert.match(page.html, /id="thankYou\.ko-error"/);
    assert.doesNotMatch(page.html, /id="thankYou\.de-error"/);
    assert.equal((await save(list, { 'thankYou.de': '' })).status, 303);
    assert.deepEqual((await again(list)).thankYou, {});
  });

  it('show nothing that was typed as anything but text', async () => {
    const list = await makeList(service);
    const junk = '"><script>alert(1)</script><img src=x onerror=alert(1)>';
    const names = ['name', 'internalName', 'operatorName', 'postalAddress', 'contact', 'privacyUrl'];
    const texts = [
      'redirectTemplate',
      'ipWhitelist',
      'cap',
      'thankYou.en',
      'defaultLanguage',
      'state',
      'changedAt',
    ];
    const typed = Object.fromEntries([...names, ...texts].map((name) => [name, junk]));
    for (const page of [await save(list, typed), await save(list, { ...typed, do: 'check' })]) {
      assert.doesNotMatch(page.html, /<script>|<img src=x/);
    }
    const kept: Record<string, string> = {
      ...{ ...typed, privacyUrl: '', redirectTemplate: '' },
      ...{ ipWhitelist: '', cap: '' },
    };
    for (const name of ['defaultLanguage', 'state', 'changedAt']) delete kept[name];
    assert.equal((await save(list, kept)).status, 303);
    const page = await olive.get(pathOf(list));
    assert.doesNotMatch(page.html, /<script>|<img src=x/);
    assert.equal(fieldsOf(page).name, junk);
  });

  it('try a redirect on an address with a plus, and save nothing by that', async () => {
    const list = await makeList(service);
    const typed = {
      do: 'check',
      redirectTemplate: 'https://acme.example/bye?mail={email}&list={list}#{status}',
    };
    const fields = { ...(await openSettings(olive, list)), ...typed };
    const page = await olive.post(pathOf(list), fields);
    assert.equal(page.status, 200);
    const url = `https://acme.example/bye?mail=ann%2Bnews%40example.com&list=${list.publicId}#opted-out`;
    assert.ok(page.text.includes(url));
    assert.ok(page.html.includes(`<a href="${url.replaceAll('&', '&amp;')}" target="_blank"`));
    assert.ok(page.text.includes('sees neither the receipt number, nor the question about the reason'));
    assert.equal((await again(list)).redirect, null);
  });

  const junkRedirects: [redirect: string, says: string][] = [
    ['javascript:alert(1)', 'begins with https:// or http://'],
    ['//acme.example/', 'begins with https:// or http://'],
    ['https://ann:secret@acme.example/', 'no user name or password'],
    ['https://{list}.acme.example/', 'stand behind the host name'],
    ['https://acme.example\\@evil.example/', 'no blanks, backslashes'],
    ['https://acme.example/\u202e', 'invisible characters'],
    ['https://[2001:db8::1]/', 'no host name in it'],
    [`https://acme.example/${'x'.repeat(2000)}`, 'at most 2,000 characters'],
    ['https://acme.example/{{email}}', 'a brace in it'],
  ];
  it('refuse a redirect that is none, with the reason at its field, and give no link to open it', async () => {
    const list = await makeList(service);
    for (const [redirectTemplate, says] of junkRedirects) {
      const checked = await olive.post(pathOf(list), {
        ...(await openSettings(olive, list)),
        redirectTemplate,
        do: 'check',
      });
      const saved = await save(list, { redirectTemplate });
      assert.equal(saved.status, 422, redirectTemplate);
      for (const page of [checked, saved]) {
        assert.ok(page.text.includes(says), `${redirectTemplate}: ${says}`);
        assert.doesNotMatch(page.html, /target="_blank"/);
      }
      assert.match(saved.html, /<input id="redirectTemplate"[^>]* aria-invalid="true"/);
    }
    assert.equal((await again(list)).redirect, null);
  });

  it('explain each entry of the whitelist as it was understood, whatever else stands beside it', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const page = await olive.post(pathOf(list), {
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
    const standing = await olive.get(pathOf(list));
    assert.doesNotMatch(standing.html, /name="confirmPrivate"/, 'what stands was confirmed');
    const added = `${ipWhitelist} 203.0.113.8`;
    assert.equal((await save(list, { ipWhitelist: added })).status, 303);
  });

  it('take a whitelist of 1,000 entries, and say so of more', async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const many = Array.from({ length: 1000 }, (_, i) => `203.0.${i >> 8}.${i & 255}`);
    assert.equal((await save(list, { ipWhitelist: many.join('\r\n') })).status, 303);
    assert.ok((await olive.get(pathOf(list))).text.includes('And 900 more.'));
    const page = await save(list, { ipWhitelist: [...many, '203.0.113.0/24'].join('\r\n') });
    assert.equal(page.status, 422);
    assert.ok(page.text.includes('more than 1,000 entries'));
    assert.equal((await save(list, { ipWhitelist: 'x'.repeat(70_000) })).status, 422);
  });

  it("offer the reader's own address, unless it is a proxy's or not a public one", async () => {
    const list = await makeList(service, { ipWhitelist: '203.0.113.7' });
    const from = async (address: string, path = pathOf(list)) =>
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
    const answer = await olive.fetch(pathOf(list), {
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
      const html = await (await fetch(`${other.url}${pathOf(list)}`, { headers })).text();
      assert.match(html, /a proxy that this installation does not know/);
      assert.doesNotMatch(html, /data-own-address/);
    } finally {
      await other.close();
    }
  });

  it('cap a list only once it is confirmed at what price', async () => {
    const list = await makeList(service);
    await service.deps.db('list_counts').insert({ list_id: list.id, addresses: 1500, md5_only: 0, sha256_only: 0, erased: 0, last_number: 1 }); // prettier-ignore
    const page = await save(list, { cap: '1,000' });
    assert.equal(page.status, 422);
    assert.ok(page.text.includes('500 opt-outs leave the list at once.'));
    assert.equal((await save(list, { cap: '1000', confirmCap: '2000' })).status, 422);
    assert.equal((await save(list, { cap: '1,000', confirmCap: '1000' })).status, 303);
    assert.equal((await again(list)).cap, 1000);
    assert.equal((await save(list, { cap: '2000' })).status, 303, 'a higher one takes nobody away');
    assert.equal((await save(list, { cap: '' })).status, 303);
    assert.equal((await again(list)).cap, null);
  });

  it('are not overwritten by somebody who has not seen them', async () => {
    const list = await makeList(service, {
      thankYou: { de: 'Danke', fr: 'Merci' },
      cap: 5000,
      ipWhitelist: '',
    });
    const bob = await signInAs(service, 'owner');
    const open = await openSettings(olive, list);
    const bobs: Record<string, string> = {
      ...(await openSettings(bob, list)),
      ...{
        name: "Bob's",
        contact: 'bob@acme.example',
        cap: '',
        'thankYou.de': 'Tschüss',
        'thankYou.it': 'Ciao',
      },
      ...{ signedLinksOnly: 'yes', do: 'save' },
    };
    delete bobs.pixel;
    assert.equal((await bob.post(pathOf(list), bobs)).status, 303);
    const standing = await again(list);

    const mine = {
      contact: 'olive@acme.example',
      operatorName: 'Acme',
      'thankYou.de': 'Schade',
      'thankYou.fr': '',
    };
    const page = await olive.post(pathOf(list), { ...open, ...mine, do: 'save' });
    assert.equal(page.status, 409);
    assert.ok(page.text.includes('Somebody else saved settings meanwhile'));
    assert.ok(page.text.includes('Olive Owner saved settings of this list on'), 'it says who');
    const [, taken = '', both = ''] =
      /had changed nothing\.(.*)Changed by both of you\.(.*)Look through/.exec(page.text) ?? [];
    for (const text of [
      "Public name Bob's",
      'Most opt-outs that the list holds nothing',
      'Thank-you text, Italiano Ciao',
    ]) {
      assert.ok(taken.includes(text), text);
    }
    assert.ok(
      both.includes('Contact bob@acme.example') && both.includes('Thank-you text, Deutsch Tschüss'),
      both,
    );
    for (const own of ['Operator', 'Français']) assert.ok(!`${taken}${both}`.includes(own), own);
    assert.deepEqual(await again(list), standing, 'nothing was saved');

    const fields = fieldsOf(page);
    for (const [name, value] of Object.entries(mine)) assert.equal(fields[name], value, name);
    assert.equal(fields.name, "Bob's");
    assert.equal(fields['thankYou.it'], 'Ciao');
    assert.deepEqual([fields.cap, fields.pixel, fields.signedLinksOnly], ['', undefined, 'yes']);

    assert.equal((await olive.post(pathOf(list), { ...fields, do: 'save' })).status, 303, 'now it was seen');
    const saved = await again(list);
    assert.deepEqual(saved.thankYou, { de: 'Schade', it: 'Ciao' });
    assert.deepEqual(
      [saved.name, saved.contact, saved.operatorName, saved.cap, saved.pixel, saved.signedLinksOnly],
      ["Bob's", 'olive@acme.example', 'Acme', null, false, true],
    );
  });

  it('take a form whose marks were tampered with for one that was typed as a whole', async () => {
    const list = await makeList(service);
    const open = await openSettings(olive, list);
    await editList(service.deps.db, list, { name: 'Theirs' }, { actor: 'cli' });
    for (const opened of ['', 'null', '[1', '"x"', '{"name":{"a":1}}', '[]']) {
      const page = await olive.post(pathOf(list), { ...open, opened, do: 'save' });
      assert.equal(page.status, 409, opened);
      assert.equal(fieldsOf(page).name, 'Acme News');
      assert.ok(page.text.includes('Public name Theirs'));
    }
  });

  it('are not overwritten either by who has only looked at the own ones since', async () => {
    const list = await makeList(service);
    const open = await openSettings(olive, list);
    await editList(service.deps.db, list, { contact: 'b' }, { actor: 'cli' });
    const looked = await olive.post(pathOf(list), { ...open, operatorName: 'Acme', do: 'check' });
    assert.equal(looked.status, 200);
    const page = await olive.post(pathOf(list), { ...fieldsOf(looked), do: 'save' });
    assert.equal(page.status, 409);
    assert.ok(page.text.includes('The command line saved settings'));
    assert.ok(page.text.includes('Contact b'));
    for (const changedAt of ['', 'x', '-1', '1e99', '0x7f']) {
      const fields = { ...open, contact: 'c', changedAt, do: 'save' };
      assert.equal((await olive.post(pathOf(list), fields)).status, 409, changedAt);
    }
    assert.equal((await again(list)).contact, 'b');
  });

  it('say of a form that is out of date and wrong that it is out of date', async () => {
    const list = await makeList(service);
    const open = await openSettings(olive, list);
    await editList(service.deps.db, list, { contact: 'b' }, { actor: 'cli' });
    assert.equal((await olive.post(pathOf(list), { ...open, cap: '1', do: 'save' })).status, 409);
  });

  it('of two who save at the same moment, one is told', async () => {
    const list = await makeList(service);
    const open = await openSettings(olive, list);
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        olive.post(pathOf(list), { ...open, contact: `no. ${i}`, do: 'save' }),
      ),
    );
    assert.deepEqual(
      answers.map(({ status }) => status).sort((a, b) => a - b),
      [303, ...Array<number>(7).fill(409)],
    );
    assert.equal((await historyOf(list)).length, 1);
  });

  it('are changed by one of those who looked at the same ones', async () => {
    const list = await makeList(service);
    const { db } = service.deps;
    const looked = { actor: 'test', ifChangedAt: list.changedAt };
    const saves = await Promise.allSettled(
      Array.from({ length: 4 }, (_, i) => editList(db, list, { contact: `no. ${i}` }, looked)),
    );
    const refused = saves.filter((save) => save.status === 'rejected');
    assert.equal(refused.length, 3);
    for (const { reason } of refused) assert.equal((reason as Refused).reason, 'changed-meanwhile');
    assert.equal((await historyOf(list)).length, 1);
    assert.ok((await again(list)).changedAt > list.changedAt);
  });

  it('are in Japanese for who reads Japanese', async () => {
    const list = await makeList(service, full);
    const hana = await signInAs(service, 'owner', { language: 'ja' });
    const page = await hana.get(pathOf(list));
    assert.ok(page.text.includes('配信停止ページ') && page.text.includes('203.0.113.0/24 : アドレス256個'));
    assert.doesNotMatch(page.text, /\bedit\.[a-z]/i, 'no text is missing');
  });

  it("are not there for another account's owner, and not a mailer's to see", async () => {
    const made = await makeList(service);
    const { mailer } = await makeMailer(service, made);
    const list = await again(made);
    const stranger = await signInAs(service, { owner: await createAccount(service.deps.db, 'Other') });
    const mia = await signInAs(service, { mailer });
    const parts = [
      'edit',
      'edit/tags',
      'edit/names',
      'edit/special',
      'edit/global',
      'edit/archive',
      'edit/clear',
      'preview',
    ];
    for (const part of parts) {
      const path = `/console/lists/${list.publicId}/${part}`;
      assert.equal((await stranger.get(path)).status, 404, part);
      assert.equal((await mia.get(path)).status, 403, part);
      if (part === 'edit/special') continue;
      assert.equal((await stranger.post(path, { name: 'x', do: 'archive' })).status, 404, part);
      assert.equal((await mia.post(path, { name: 'x', do: 'archive' })).status, 403, part);
    }
    assert.deepEqual(await again(list), list);
  });

  it('say of the global list what its cap costs', async () => {
    const account = await createAccount(service.deps.db, 'Global');
    const gina = await signInAs(service, { owner: account });
    const list = await makeList({ ...service, accountId: account.id });
    await setGlobalList(service.deps.db, account, list, { actor: 'test' });
    const fields = { ...(await openSettings(gina, list)), cap: '1000', do: 'check' };
    const page = await gina.post(pathOf(list), fields);
    assert.ok(page.text.includes('they can be mailed again by all lists of the account'));
  });
});

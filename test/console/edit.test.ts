import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { languages } from '../../src/core/languages.js';
import type { ListSettings } from '../../src/core/list-settings.js';
import { getListById, type List } from '../../src/core/lists.js';
import { goodPassword, signInAs, type Visitor } from '../support/console.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';
import { fieldsOf, openSettings, saveSettings, settingsPath } from './edit-form.js';

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
    service = await startTestService();
    olive = await signInAs(service, 'owner', { password: true });
  });
  after(() => service.close());

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

  const save = (list: List, typed: Record<string, string>, left: readonly string[] = []) =>
    saveSettings(olive, list, typed, left);

  it('are sent back as they stand, and then nothing has changed', async () => {
    const list = await makeList(service, full);
    const answer = await save(list, {});
    assert.equal(answer.location, `${settingsPath(list)}?done=saved`);
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
        password: goodPassword,
      },
      ['pixel'],
    );
    assert.equal(answer.location, `${settingsPath(list)}?done=saved`);
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
    const page = await olive.get(settingsPath(list));
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
    const page = await olive.post(settingsPath(list), fields);
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
      const checked = await olive.post(settingsPath(list), {
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

  it('are in Japanese for who reads Japanese', async () => {
    const list = await makeList(service, full);
    const hana = await signInAs(service, 'owner', { language: 'ja' });
    const page = await hana.get(settingsPath(list));
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
    const page = await gina.post(settingsPath(list), fields);
    assert.ok(page.text.includes('they can be mailed again by all lists of the account'));
  });
});

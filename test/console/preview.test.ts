import assert from 'node:assert/strict';
import { languages } from '../../src/core/languages.js';
import type { List } from '../../src/core/lists.js';
import { signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { textOf } from '../support/html.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { openSettings } from './edit-form.js';

describe('The preview of the hosted pages', () => {
  let service: TestService;
  let olive: Visitor;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());

  const pathOf = (list: List) => `/console/lists/${list.publicId}/preview`;
  /** The form as it was opened once, with what is typed over it. */
  const opened = new Map<List, Record<string, string>>();
  async function typedOver(list: List, typed: Record<string, string>): Promise<ConsolePage> {
    const fields = opened.get(list) ?? (await openSettings(olive, list));
    opened.set(list, fields);
    return olive.post(pathOf(list), { ...fields, ...typed });
  }

  it('stands in a frame of the settings, where nothing runs and no form is sent', async () => {
    const list = await makeList(service);
    const page = await olive.get(`/console/lists/${list.publicId}/edit`);
    const [frame = ''] = /<iframe[^>]*>/.exec(page.html) ?? [];
    assert.match(frame, / sandbox="allow-same-origin"/);
    assert.ok(frame.includes(`src="${pathOf(list)}?`));
    assert.match(
      page.html,
      new RegExp(`<button[^>]* formaction="${pathOf(list)}" formtarget="preview" formnovalidate>`),
    );

    for (const answer of [await olive.get(pathOf(list)), await typedOver(list, {})]) {
      assert.equal(answer.status, 200);
      const policy = answer.headers.get('content-security-policy') ?? '';
      for (const rule of [
        "default-src 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
        "style-src 'self'",
      ]) {
        assert.ok(policy.includes(rule), rule);
      }
      assert.match(policy, /sandbox allow-same-origin$/);
      assert.equal(answer.headers.get('x-frame-options'), 'SAMEORIGIN');
      assert.match(answer.headers.get('cache-control') ?? '', /no-store/);
    }
    const edit = await olive.get(`/console/lists/${list.publicId}/edit`);
    assert.equal(edit.headers.get('x-frame-options'), 'DENY', 'the console itself stands in no frame');
  });

  it('shows each page in each language, with what is typed and not saved', async () => {
    const list = await makeList(service, { name: 'Acme News' });
    const typed = {
      name: 'Acme Weekly',
      operatorName: 'Acme GmbH',
      postalAddress: 'Street 1\r\n12345 Town',
      'thankYou.de': '# Schade!\n\nBis **bald**.',
    };
    for (const { code, dir } of languages) {
      for (const previewPage of ['form', 'link', 'thanks']) {
        const page = await typedOver(list, { ...typed, previewPage, previewLanguage: code });
        assert.ok(page.html.includes(`<html lang="${code}" dir="${dir}">`), code);
        assert.ok(page.html.includes('Street 1\n12345 Town'), code);
        const shown =
          previewPage === 'form'
            ? 'page.emailLabel'
            : previewPage === 'link'
              ? 'page.confirmLead'
              : 'thankYou.undo';
        assert.ok(page.text.includes(textOf(code, shown).replace(/\s+/g, ' ')), `${code} ${previewPage}`);
        const isOwn = page.html.includes('Bis <strong>bald</strong>.');
        assert.equal(isOwn, code === 'de' && previewPage === 'thanks', `${code} ${previewPage}`);
        assert.equal(page.html.includes('Acme News'), false);
      }
    }
    assert.ok((await olive.get(pathOf(list))).text.includes('Acme News'), 'nothing is saved');
  });

  it('shows where a redirect leads, and what an instant link opens', async () => {
    const list = await makeList(service);
    const form = await typedOver(list, { redirectTemplate: 'https://acme.example/bye', previewPage: 'form' });
    assert.ok(form.text.includes('acme.example'));
    const link = await typedOver(list, { directLink: 'instant', previewPage: 'link' });
    assert.ok(link.text.includes(textOf('en', 'thankYou.undo')));
  });

  it('leads nowhere', async () => {
    const list = await makeList(service);
    const typed = {
      contact: 'help@acme.example',
      privacyUrl: 'https://acme.example/privacy',
      'thankYou.en':
        '[one](https://acme.example/1) [two](mailto:a@acme.example) [three](javascript:alert(1))',
    };
    for (const previewPage of ['form', 'link', 'thanks']) {
      const page = await typedOver(list, { ...typed, previewPage });
      const links = [...page.html.matchAll(/<a\b[^>]*>/g)].map(([tag]) => tag);
      assert.ok(links.length > 1, previewPage);
      for (const link of links) assert.match(link, / href="#"/);
    }
  });

  it('shows junk as text, and never fails on it', async () => {
    const list = await makeList(service);
    const junk = [
      '<script>alert(1)</script><img src=x onerror=alert(1)>"\'><a href="javascript:x">',
      '![x](https://evil.example/x.png) <iframe src=//evil.example></iframe> [a](data:text/html,x)',
      `${'> '.repeat(3000)}deep`,
      `${'*'.repeat(20_000)}`,
      '\u0000\u202e\ud800 {{email}} <%= 1 %>',
    ];
    const names = [
      'name',
      'operatorName',
      'postalAddress',
      'contact',
      'privacyUrl',
      'redirectTemplate',
      'thankYou.en',
    ];
    const others = ['defaultLanguage', 'directLink', 'cap', 'ipWhitelist'];
    for (const text of junk) {
      for (const previewPage of ['form', 'link', 'thanks', text]) {
        const fields = Object.fromEntries([...names, ...others].map((name) => [name, text]));
        const page = await typedOver(list, {
          ...fields,
          previewPage,
          previewLanguage: previewPage === text ? text : 'en',
        });
        assert.equal(page.status, 200, text.slice(0, 50));
        assert.doesNotMatch(page.html, /<script|<img|<iframe|href="(?!#")[^"/]/);
      }
    }
  });

  it('shows no more of what is typed than could be saved', async () => {
    const list = await makeList(service);
    const long = 'x <'.repeat(100_000);
    const typed = { name: long, operatorName: long, postalAddress: long, contact: long };
    for (const previewPage of ['form', 'thanks']) {
      assert.ok((await typedOver(list, { ...typed, previewPage })).html.length < 30_000);
    }
  });

  it('is refused without the token of the session, and from other sites', async () => {
    const list = await makeList(service);
    const post = (body: URLSearchParams, site: string) =>
      olive.fetch(pathOf(list), { method: 'POST', body, headers: { 'Sec-Fetch-Site': site } });
    assert.equal((await post(new URLSearchParams({ name: 'x' }), 'same-origin')).status, 403);
    const withToken = new URLSearchParams({ name: 'x', csrf: olive.formToken });
    assert.equal((await post(withToken, 'cross-site')).status, 403);
    assert.equal((await post(withToken, 'same-origin')).status, 200);
  });
});

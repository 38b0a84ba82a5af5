import assert from 'node:assert/strict';
import request from 'supertest';
import { languages } from '../../src/core/languages.js';
import type { ListSettings } from '../../src/core/list-settings.js';
import type { List } from '../../src/core/lists.js';
import { lessReceipt, errorOf, formOf, textOf } from '../support/html.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';

describe("The page's language", () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const newList = (settings: Partial<ListSettings> = {}) => makeList(service, settings);
  const get = (list: List, query: string, accept?: string) => {
    const asked = request(service.url).get(`/l/${list.publicId}${query}`);
    const { 'Accept-Language': _, ...others } = browser;
    return asked.set(accept === undefined ? others : { ...browser, 'Accept-Language': accept });
  };
  const send = (list: List, fields: Record<string, string>, accept = 'en') =>
    request(service.url)
      .post(`/l/${list.publicId}/opt-out`)
      .set({ ...browser, 'Accept-Language': accept })
      .type('form')
      .send(fields);
  const languageOf = (html: string) =>
    /<html lang="([^"]+)" dir="([^"]+)">/.exec(html)?.slice(1, 3).join(' ');

  it('is the one that was asked for, else the one that the browser wants, else the list’s, else English', async () => {
    const list = await newList({ defaultLanguage: 'ja' });
    assert.equal(languageOf((await get(list, '?lang=ar', 'en')).text), 'ar rtl');
    assert.equal(languageOf((await get(list, '?lang=AR', 'en')).text), 'ar rtl');
    assert.equal(languageOf((await get(list, '', 'en-GB,ja;q=0.5')).text), 'en ltr');
    assert.equal(languageOf((await get(list, '', 'tlh;q=1, ar-EG;q=0.9')).text), 'ar rtl');
    assert.equal(languageOf((await get(list, '?lang=xx', 'tlh')).text), 'ja ltr');
    assert.equal(languageOf((await get(list, '')).text), 'ja ltr');
    assert.equal(languageOf((await get(await newList(), '', 'xx')).text), 'en ltr');
    assert.equal((await get(list, '')).get('Vary'), 'Accept-Language');
  });

  for (const { code: language, dir } of languages) {
    it(`is kept from the page to the thanks, and in what is wrong: ${language}`, async () => {
      const list = await newList();
      const page = await get(list, `?lang=${language}`, 'en');
      const fields = Object.fromEntries(formOf(page.text)?.fields ?? []);
      assert.equal(fields.lang, language);
      const wrong = await send(list, { ...fields, email: 'ann' });
      assert.equal(wrong.status, 422);
      assert.equal(languageOf(wrong.text), `${language} ${dir}`);
      assert.equal(errorOf(wrong.text), textOf(language, 'address.no-at'));
      const thanks = await send(list, { ...fields, email: 'ann@example.com' });
      assert.equal(languageOf(thanks.text), `${language} ${dir}`);
      assert.ok(thanks.text.includes(textOf(language, 'thankYou.title')));
    });

    it(`can be changed on the page, with nothing lost, to ${language}`, async () => {
      const list = await newList();
      const page = await get(list, '?email=ann%2Bx@example.com&mailer=5&tag=x', 'en');
      const [, action = '', inside = ''] = /<form action="([^"]+)">([\s\S]*?)<\/form>/.exec(page.text) ?? [];
      assert.match(inside, new RegExp(`<button name="lang" value="${language}" lang="${language}"`));
      const hidden = [...inside.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)];
      const fields = Object.fromEntries(hidden.map(([, name = '', value = '']) => [name, value] as const));
      assert.deepEqual(fields, { email: 'ann+x@example.com', mailer: '5', tag: 'x' });
      const query = new URLSearchParams({ ...fields, lang: language });
      const there = await request(service.url).get(`${action}?${query.toString()}`).set(browser);
      assert.equal(languageOf(there.text), `${language} ${dir}`);
      assert.equal(there.text.includes('<bdi>ann+x@example.com</bdi>'), true);
    });
  }

  it('is the asker’s on the pages for what went wrong', async () => {
    const list = await newList({ defaultLanguage: 'ja' });
    const missing = await request(service.url).get('/l/none?lang=ar');
    assert.equal(languageOf(missing.text), 'ar rtl');
    assert.ok(missing.text.includes(textOf('ar', 'problem.not-found.title')));
    const other = await request(service.url).get('/nowhere').set('Accept-Language', 'ja');
    assert.ok(other.text.includes(textOf('ja', 'problem.not-found.title')));
    const unreadable = await request(service.url)
      .post(`/l/${list.publicId}/opt-out`)
      .set('Accept-Language', 'ar')
      .type('text/plain')
      .send('ann@example.com');
    assert.ok(unreadable.text.includes(textOf('ar', 'problem.unsupported-type.title')));
  });

  it('takes any header for a language or for none', async () => {
    const list = await newList();
    for (const header of [
      '*',
      ';;;q=,',
      'en;q=x',
      'a'.repeat(8000),
      '../../etc/passwd',
      '__proto__',
      'ja;q=0',
    ]) {
      assert.equal(languageOf((await get(list, '', header)).text), 'en ltr', header.slice(0, 40));
    }
    for (const lang of ['../en', 'en%00', '__proto__', 'constructor', '<script>', '&lang=ja']) {
      const { text, status } = await get(list, `?lang=${lang}`, 'en');
      assert.deepEqual([status, languageOf(text)], [200, 'en ltr'], lang);
    }
  });
});

describe('The thank-you text', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const thanks = async (list: List, lang: string) =>
    (
      await request(service.url)
        .post(`/l/${list.publicId}/opt-out`)
        .set(browser)
        .type('form')
        .send({ email: 'ann@example.com', lang })
    ).text;

  it('is the owner’s in the recipient’s language, and the built-in one where there is none', async () => {
    const list = await makeList(service, {
      thankYou: {
        en: '# Goodbye\n\n**Thank you**, [here](https://acme.example/?a=1&b=2) you go.',
        ar: 'وداعا',
      },
    });
    const english = await thanks(list, 'en');
    assert.match(english, /<h1 lang="en" dir="ltr">Goodbye<\/h1>/);
    assert.match(english, /<strong>Thank you<\/strong>/);
    assert.match(
      english,
      /<a href="https:\/\/acme\.example\/\?a=1&amp;b=2" rel="noopener nofollow">here<\/a>/,
    );
    assert.ok((await thanks(list, 'ar')).includes('<p>وداعا</p>'));
    const japanese = await thanks(list, 'ja');
    assert.ok(japanese.includes(textOf('ja', 'thankYou.title')));
    assert.ok(!japanese.includes('Goodbye'));
  });

  it('is Markdown without HTML, images, scripts or links to anywhere but the web', async () => {
    const list = await makeList(service, {
      thankYou: {
        en: 'A <script>alert(1)</script> <b>b</b> ![x](https://evil.example/p.gif) [y](javascript:alert(1)) [z](/l/x)',
      },
    });
    const page = await thanks(list, 'en');
    assert.match(page, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
    assert.doesNotMatch(page, /<script|<b>|<img|href="(?!\/signoff\.css|https?:|mailto:)/);
  });

  it('shows the address, and never whether it was on the list', async () => {
    const list = await makeList(service, { thankYou: { en: 'Goodbye' } });
    const first = await thanks(list, 'en');
    assert.match(first, /<bdi>ann@example\.com<\/bdi>/);
    assert.equal(lessReceipt(await thanks(list, 'en')), lessReceipt(first));
  });
});

import assert from 'node:assert/strict';
import { getLanguage, languages, translatorFor } from '../../src/core/languages.js';
import { stylesheet } from '../../src/http/view-frame.js';
import { baseUrl, email, languageForm, list, optOutPage, pageStates } from './pages.js';

const link = `${baseUrl}/l/${list.publicId}`;

describe('Every hosted page', () => {
  for (const { code } of languages) {
    it(`is short, in one language and direction, and asks for nothing but its stylesheet: ${code}`, () => {
      const css = Buffer.from(stylesheet.css);
      for (const [state, html] of Object.entries(pageStates(code))) {
        assert.match(
          html,
          new RegExp(`^<!doctype html>\\s<html lang="${code}" dir="${getLanguage(code).dir}">`),
        );
        assert.match(html, /<title>[^<]+<\/title>/);
        assert.match(html, /<meta name="robots" content="noindex">/);
        assert.match(html, /<meta name="referrer" content="no-referrer">/);
        assert.equal(html.match(/<h1/g)?.length, 1, state);
        assert.doesNotMatch(html, /<script|\sstyle=|\son[a-z]+=|<img|<iframe|undefined|\[object|NaN/, state);
        assert.doesNotMatch(html, /\b(?:page|scope|thankYou|footer|problem|address)\.[a-z]/, state);
        const loaded = [...html.matchAll(/<link [^>]*href="([^"]*)"|\ssrc="([^"]*)"/g)].map(
          (match) => match[1],
        );
        assert.deepEqual(loaded, [`${baseUrl}/signoff.css?v=${stylesheet.version}`]);
        assert.ok(
          Buffer.byteLength(html) + css.length < 10 * 1024,
          `${state}: ${html.length} + ${css.length}`,
        );
      }
    });
  }

  it('has a stylesheet that loads nothing, and whose link changes with it', () => {
    assert.doesNotMatch(stylesheet.css, /url\(|@import|@font-face/);
    assert.match(stylesheet.version, /^[\w-]{12}$/);
  });

  it("ends with the operator's name, postal address, contact and privacy policy", () => {
    const html = optOutPage('en');
    const foot = html.slice(html.indexOf('<footer>'));
    assert.match(foot, /Acme Garden Supplies GmbH/);
    assert.match(foot, /Gartenstraße 12\n10115 Berlin\nGermany/);
    assert.match(foot, /href="mailto:privacy@acme\.example"/);
    assert.match(foot, /href="https:\/\/acme\.example\/privacy"/);
  });

  it('links a contact that is an e-mail address or a web address, and writes any other', () => {
    const contactIn = (contact: string) => {
      const html = optOutPage('en', { list: { ...list, contact } });
      return /<dt>Contact<\/dt><dd>(.*?)<\/dd>/s.exec(html)?.[1];
    };
    assert.match(contactIn('a+b@acme.example') ?? '', /^<a href="mailto:a%2Bb@acme\.example"/);
    assert.match(contactIn('https://acme.example/help') ?? '', /^<a href="https:\/\/acme\.example\/help"/);
    assert.equal(contactIn('+49 30 123456'), '<bdi>+49 30 123456</bdi>');
    for (const other of [
      'javascript:alert(1)',
      'a@b?bcc=c@d',
      'a b@c',
      'https://',
      '//evil.example',
      'x@',
      'mailto:x',
    ]) {
      assert.doesNotMatch(contactIn(other) ?? '', /href/, other);
    }
  });

  it('leaves out what the list does not have', () => {
    const bare = { ...list, postalAddress: null, contact: null, privacyUrl: null };
    assert.doesNotMatch(optOutPage('en', { list: bare }), /Contact|Privacy|class="lines"/);
    for (const privacyUrl of ['javascript:alert(1)', '/privacy', 'acme.example']) {
      assert.doesNotMatch(optOutPage('en', { list: { ...list, privacyUrl } }), /Privacy/);
    }
  });

  it('can be had in the other languages, by one form with a button for each', () => {
    const html = optOutPage('ja', { languageForm: languageForm(baseUrl, { email, tag: 'a&b' }) });
    const [, form = ''] = /<details>([\s\S]*)<\/details>/.exec(html) ?? [];
    assert.ok(form.includes(`<form action="${link}">`));
    assert.deepEqual(hiddenIn(form), { email, tag: 'a&amp;b' });
    for (const { code, name } of languages) {
      const current = code === 'ja' ? ' aria-current="true"' : '';
      const button = `<button name="lang" value="${code}" lang="${code}"${current}>${name}</button>`;
      assert.ok(form.includes(button), button);
    }
    assert.equal(form.match(/<button/g)?.length, languages.length);
    assert.doesNotMatch(optOutPage('ja', { languageForm: undefined }), /<details/);
  });
});

describe('The opt-out page', () => {
  it("names the list in its heading and its title, and sends one form to the list's address", () => {
    const html = optOutPage('en');
    assert.match(html, /<title>Unsubscribe from Acme Weekly<\/title>/);
    assert.match(html, /<h1>Unsubscribe from <bdi>Acme Weekly<\/bdi><\/h1>/);
    assert.equal(html.match(/<form method="post"/g)?.length, 1);
    assert.ok(html.includes(`<form method="post" action="${link}/opt-out">`));
    assert.deepEqual(hiddenIn(html), { lang: 'en' });
  });

  it('takes what the server takes: a text field without the rules of type=email', () => {
    const input = /<input id="email"[^>]*>/.exec(optOutPage('ar', { email }))?.[0] ?? '';
    const attributes =
      'name="email" type="text" dir="ltr" inputmode="email" autocomplete="email" autocapitalize="none" spellcheck="false" maxlength="320" required autofocus';
    assert.ok(input.includes(attributes));
    assert.ok(input.includes(`value="${email}"`));
    assert.doesNotMatch(input, /aria-invalid/);
  });

  it('hands on tag, mailer and language', () => {
    const html = optOutPage('ja', { tag: 'offers', mailer: '12' });
    assert.deepEqual(hiddenIn(html), { lang: 'ja', tag: 'offers', mailer: '12' });
  });

  it('offers everything besides one tag, and asks nothing where there is no tag', () => {
    const html = optOutPage('en', { tag: 'offers' });
    assert.match(html, /name="scope" value="tag" checked>/);
    assert.match(html, /name="scope" value="all">/);
    assert.match(html, /Only “<bdi>offers<\/bdi>” from <bdi>Acme Weekly<\/bdi>/);
    assert.match(optOutPage('en', { tag: 'offers', scope: 'all' }), /value="all" checked>/);
    for (const tag of [null, undefined, '', '*']) {
      const plain = optOutPage('en', { tag });
      assert.doesNotMatch(plain, /scope|fieldset/);
      assert.deepEqual(hiddenIn(plain), { lang: 'en' });
    }
  });

  it('says what is wrong with an address, next to it and to those who hear the page', () => {
    const t = translatorFor('en');
    const codes =
      'missing too-long no-at bad-local-part bad-domain control-character invisible-character several merge-tag';
    for (const code of codes.split(' ')) {
      const html = optOutPage('en', { email: 'mai', errorCode: code });
      assert.notEqual(t(`address.${code}`), t('address.other'));
      assert.ok(html.includes(`<p class="error" id="error" role="alert">${t(`address.${code}`)}</p>`), code);
      assert.match(html, /value="mai" aria-invalid="true" aria-describedby="error lead">/);
      assert.match(html, /<title>Please check: Unsubscribe from Acme Weekly<\/title>/);
    }
    for (const code of ['', 'new-code', '__proto__', 'other.x']) {
      assert.ok(optOutPage('en', { errorCode: code }).includes(t('address.other')), code);
    }
  });

  it('shows no more of a long text than an address could have', () => {
    const html = optOutPage('en', { email: 'a'.repeat(5000), errorCode: 'too-long' });
    assert.match(html, /value="a{320}"/);
  });

  it('confirms with one button and nothing to type', () => {
    const html = optOutPage('en', {
      mode: 'confirm',
      email,
      tag: 'offers',
      mailer: '12',
      errorCode: 'no-at',
    });
    assert.deepEqual(hiddenIn(html), { lang: 'en', tag: 'offers', mailer: '12', email });
    assert.match(html, /<p class="address"><bdi>mai@example\.com<\/bdi><\/p>/);
    assert.equal(html.match(/<button>/g)?.length, 1);
    assert.doesNotMatch(html, /type="text"|role="alert"|autofocus/);
    assert.ok(html.includes(`<a href="${link}?lang=en&amp;tag=offers&amp;mailer=12">`));
  });

  it('sends a signed link to its own path, without the address', () => {
    const html = optOutPage('en', { mode: 'confirm', email, action: '/o/token/opt-out' });
    assert.match(html, /action="\/o\/token\/opt-out"/);
    assert.deepEqual(hiddenIn(html), { lang: 'en' });
  });

  it('says where a redirect will lead', () => {
    const html = optOutPage('en', { redirectHost: 'shop.acme.example' });
    assert.match(html, /taken to <bdi>shop\.acme\.example<\/bdi>/);
    assert.doesNotMatch(optOutPage('en', { redirectHost: null }), /taken to/);
  });

  it('takes a base URL with a slash at its end, and none', () => {
    for (const [base, action] of [
      ['https://a.example/', 'https://a.example/l/'],
      ['https://a.example/x/', 'https://a.example/x/l/'],
      ['', '/l/'],
    ]) {
      assert.ok(
        optOutPage('en', { baseUrl: base ?? '' }).includes(`action="${action}${list.publicId}/opt-out"`),
      );
    }
  });
});

function hiddenIn(html: string): Record<string, string> {
  const inputs = html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g);
  const fields = [...inputs].map(([, name = '', value = '']): [string, string] => [name, value]);
  return Object.fromEntries(fields);
}

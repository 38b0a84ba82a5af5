import assert from 'node:assert/strict';
import { languages, translatorFor } from '../../src/core/languages.js';
import { renderAfterwardsPage, renderThankYouPage } from '../../src/http/views.js';
import { afterwards, baseUrl, email, list, skeleton } from './pages.js';

describe('The thank-you page', () => {
  const frame = { list, language: 'en', baseUrl };

  it('says what was left, and for which address', () => {
    const html = renderThankYouPage({ ...frame, email, receipt: '7Q4K' });
    assert.match(html, /<h1>You are unsubscribed<\/h1>/);
    assert.match(html, /no more e-mails from <bdi>Acme Weekly<\/bdi>\./);
    assert.match(html, /<bdi>mai@example\.com<\/bdi>/);
    assert.match(html, /Receipt number<\/dt><dd><bdi>7Q4K<\/bdi>/);
    assert.match(
      renderThankYouPage({ ...frame, tag: 'offers' }),
      /no more “<bdi>offers<\/bdi>” e-mails from/,
    );
    assert.doesNotMatch(renderThankYouPage({ ...frame, tag: '*' }), /<dl class="facts">|“/);
  });

  it("shows the owner's text in its own language and direction", () => {
    const text = { markdown: 'Bye **now**', language: 'ar' };
    const html = renderThankYouPage({ ...frame, email, text });
    assert.match(html, /<h1>You are unsubscribed<\/h1>/);
    assert.match(
      html,
      /<div class="text" lang="ar" dir="rtl">\s*<p>Bye <strong>now<\/strong><\/p>\s*<\/div>/,
    );
    assert.doesNotMatch(html, /no more e-mails/);
    const unknown = renderThankYouPage({ ...frame, text: { markdown: 'Kwaheri', language: 'sw' } });
    assert.match(unknown, /<div class="text" dir="auto">/);
  });

  it("takes its heading from the owner's text where that begins with one", () => {
    const html = renderThankYouPage({
      ...frame,
      text: { markdown: '# So *long*\n\n## And', language: 'en' },
    });
    assert.match(html, /<h1 lang="en" dir="ltr">So <em>long<\/em><\/h1>/);
    assert.match(html, /<h2>And<\/h2>/);
  });

  it('writes each kind of thing that Markdown has, and no space that was not there', () => {
    const markdown =
      'a*b*c`d`[e](https://acme.example/?a&b)f\ng\n\n3. one\n4. two\n\n- x\n\n> q\n\n---\n\n```\n1\n 2\n```';
    const html = renderThankYouPage({ ...frame, text: { markdown, language: 'en' } });
    const text = html.slice(html.indexOf('<div class="text"'), html.indexOf('</main>'));
    for (const part of [
      'a<em>b</em>c<code>d</code><a href="https://acme.example/?a&amp;b" rel="noopener nofollow">e</a>f<br>g',
      '<ol start="3">',
      '<ul>',
      '<hr>',
      '<pre><code>1\n 2\n</code></pre>',
    ]) {
      assert.ok(text.includes(part), part);
    }
    const tags = skeleton(text).filter((tag) => /^[a-z]/.test(tag));
    assert.deepEqual(
      tags,
      'div class lang dir,p,em,code,a href rel,br,ol start,li,p,li,p,ul,li,p,blockquote,p,hr,pre,code'.split(
        ',',
      ),
    );
  });

  it('falls back to the built-in text where the own one shows nothing', () => {
    for (const markdown of ['', '   ', '---', '[a]: https://acme.example']) {
      assert.match(
        renderThankYouPage({ ...frame, text: { markdown, language: 'en' } }),
        /no more e-mails from/,
      );
    }
  });

  it('asks why, with one button for each answer, and offers to take the opt-out back', () => {
    const html = renderThankYouPage({ ...frame, email, afterwards: afterwards() });
    const [asked = '', undo = ''] = html.match(/<form[\s\S]*?<\/form>/g) ?? [];
    assert.ok(asked.includes(`action="${baseUrl}/l/${list.publicId}/reason"`));
    assert.deepEqual(
      [...asked.matchAll(/<button class="quiet" name="reason" value="([\w-]+)">/g)].map(([, code]) => code),
      ['unwanted', 'never-signed-up', 'spam', 'fraud'],
    );
    assert.ok(undo.includes(`action="${baseUrl}/l/${list.publicId}/undo"`));
    for (const form of [asked, undo]) {
      assert.ok(form.includes('<input type="hidden" name="lang" value="en">'));
      assert.ok(form.includes(`<input type="hidden" name="token" value="${afterwards().token}">`));
    }
    assert.doesNotMatch(renderThankYouPage({ ...frame, email }), /<form/);
  });
});

describe('The page after the thank-you page', () => {
  it('says in every language what became of the answer', () => {
    for (const { code } of languages) {
      for (const state of ['undone', 'reason', 'expired'] as const) {
        const html = renderAfterwardsPage({ list, language: code, baseUrl, state });
        assert.ok(html.includes(`<h1>${translatorFor(code)(`afterwards.${state}.title`)}</h1>`));
        assert.ok(html.includes(`<bdi>${list.name}</bdi>`));
      }
    }
  });
});

import assert from 'node:assert/strict';
import { languages, translatorFor } from '../../src/core/languages.js';
import { renderProblemPage } from '../../src/http/views.js';
import { baseUrl, email, list, problems } from './pages.js';

describe('A problem page', () => {
  const frame = { language: 'en', baseUrl };

  it('says in every language what happened, and what to do', () => {
    const titles = new Set<string>();
    for (const { code } of languages) {
      for (const problem of problems) {
        const html = renderProblemPage({ language: code, baseUrl, problem });
        const t = translatorFor(code);
        assert.ok(html.includes(t(`problem.${problem}.title`)));
        assert.ok(html.includes(t(`problem.${problem}.text`)));
        titles.add(t(`problem.${problem}.text`));
      }
    }
    assert.equal(titles.size, languages.length * problems.length);
  });

  it('says in how many seconds to try again, and offers to send the form once more', () => {
    const html = renderProblemPage({
      ...frame,
      problem: 'unavailable',
      retryAfterSeconds: 5,
      retry: { action: '/l/x/opt-out', fields: { email, lang: 'en' } },
    });
    assert.match(html, /Please try again in 5 seconds\./);
    assert.match(html, /<form method="post" action="\/l\/x\/opt-out">/);
    assert.match(html, /<input type="hidden" name="email" value="mai@example\.com">/);
    assert.match(html, /<button>Try again<\/button>/);
    assert.doesNotMatch(renderProblemPage({ ...frame, problem: 'unavailable' }), /<form|seconds/);
  });

  it('gives the number of an error that was noted, and no other fact about it', () => {
    assert.match(
      renderProblemPage({ ...frame, problem: 'internal', errorId: '0f9a3c' }),
      /<bdi>0f9a3c<\/bdi>/,
    );
    assert.doesNotMatch(renderProblemPage({ ...frame, problem: 'internal' }), /Error number/);
  });

  it('shows the operator where the list is known, and nobody where it is not', () => {
    assert.match(renderProblemPage({ ...frame, problem: 'incomplete', list }), /Acme Garden Supplies/);
    assert.doesNotMatch(
      renderProblemPage({ ...frame, problem: 'not-found', list: null }),
      /<footer>|class="sender"/,
    );
  });
});

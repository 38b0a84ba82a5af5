import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  fillRedirectTemplate,
  parseRedirectTemplate,
  type RedirectTemplate,
  type RedirectTemplateProblem,
} from '../../src/core/redirect-template.js';
import { Invalid } from '../../src/errors.js';

const values = { email: 'mai+news@example.com', list: 'mZ7kQ2vX9cR4tY1b', status: 'opted-out' };

describe('A redirect template', () => {
  it('takes placeholders in its path, query and fragment', () => {
    const template = parsed('https://acme.example/bye/{list}?e={email}&s={status}#{status}');
    assert.equal(
      fillRedirectTemplate(template, values),
      'https://acme.example/bye/mZ7kQ2vX9cR4tY1b?e=mai%2Bnews%40example.com&s=opted-out#opted-out',
    );
  });

  it('needs none, and takes a value as often as it is named', () => {
    assert.equal(fillRedirectTemplate(parsed('http://acme.example'), values), 'http://acme.example/');
    const twice = parsed('https://acme.example/{list}/{list}');
    assert.equal(
      fillRedirectTemplate(twice, { ...values, list: '$&' }),
      'https://acme.example/%24%26/%24%26',
    );
  });

  it('names its origin for the Content-Security-Policy', () => {
    assert.equal(parsed('https://acme.example:8443/x?{email}').origin, 'https://acme.example:8443');
    assert.equal(parsed('HTTPS://Acme.Example:443').origin, 'https://acme.example');
    assert.equal(parsed('https://bücher.example/').origin, 'https://xn--bcher-kva.example');
    assert.equal(parsed('https://例え.テスト/{email}').origin, 'https://xn--r8jz45g.xn--zckzah');
  });

  const refused: Record<RedirectTemplateProblem, readonly string[]> = {
    missing: ['', '   '],
    'too-long': [`https://acme.example/${'a'.repeat(2000)}`, ' '.repeat(2001)],
    'bad-character': [
      'https://acme.example/\r\nSet-Cookie: a=b',
      'https://acme\t.example/',
      'java\nscript:alert(1)',
      'https:\\\\evil.example',
      'https://acme.example\\@evil.example',
      'https://acme.example/a b',
      'https://acme.example/\u202egro',
      'https://acme\u200b.example/',
      'https://acme.example/\u0000',
      'https://acme.example/\ud800',
    ],
    'bad-scheme': [
      'javascript:alert(1)',
      'data:text/html,x',
      'ftp://acme.example/',
      'file:///etc/passwd',
      '//evil.example',
      '/bye',
      'acme.example/bye',
      'https:acme.example',
      'https:/acme.example',
      '{email}://acme.example/',
      '{email}',
    ],
    credentials: [
      'https://acme.example@evil.example/',
      'https://user:pw@acme.example/',
      'https://@acme.example/',
      'https://acme.example:443@evil.example/{email}',
      'https://{email}@evil.example/',
    ],
    'placeholder-in-host': [
      'https://{list}.acme.example/',
      'https://acme.example{email}',
      'https://{email}/',
      'https://acme.example:{status}/',
      'http://{{email}}/',
    ],
    'bad-host': [
      'https://',
      'https:///acme.example/',
      'https://?e={email}',
      'https://acme.example:99999/',
      'https://[::1]/',
      'https://a;b.example/',
      'https://a,b.example/',
      'https://*/',
      'https://*.acme.example/',
      'https://acme.example:x/',
      'https://%/',
    ],
    'unknown-placeholder': [
      'https://acme.example/{name}',
      'https://acme.example/?e={{email}}',
      'https://acme.example/?e={Email}',
      'https://acme.example/{',
      'https://acme.example/}',
      'https://acme.example/{e{email}mail}',
      'https://acme.example/#{__proto__}',
    ],
  };
  for (const [problem, texts] of Object.entries(refused)) {
    it(`is refused: ${problem}`, () => {
      for (const text of texts) {
        const result = parseRedirectTemplate(text);
        assert.equal(result.ok, false, text);
        assert.equal(!result.ok && result.problem, problem, text);
        assert.match(result.ok ? '' : result.message, /^\S.*\.$/su);
      }
    });
  }

  it('is read alike however often it is read', () => {
    // URL.canParse of Node 20 changes its mind after some thousand calls.
    for (let round = 0; round < 20_000; round++) {
      fillRedirectTemplate(parsed('https://bücher.example/ä?{email}'), values);
    }
  });

  it('is taken at the longest, and not one longer', () => {
    const longest = 'https://acme.example/'.padEnd(2000, 'a');
    assert.equal(parseRedirectTemplate(longest).ok, true);
    assert.equal(parseRedirectTemplate(`${longest}a`).ok, false);
  });

  it('never throws', () => {
    const alphabet = fc.constantFrom(
      'https://',
      'a.b',
      '{',
      '}',
      '{email}',
      '@',
      ':',
      '/',
      '?',
      '#',
      '%',
      '[',
      ']',
    );
    const text = fc.oneof(
      fc.array(alphabet).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(text, (given) => {
        const result = parseRedirectTemplate(given);
        if (result.ok)
          assert.equal(new URL(fillRedirectTemplate(result.template, values)).origin, result.template.origin);
      }),
      { numRuns: 500 },
    );
  });
});

describe('A filled redirect', () => {
  const templates = [
    'https://acme.example/{email}',
    'https://acme.example:8443/a/{email}/b?x={list}#{status}',
    'https://acme.example?{email}',
    'https://acme.example#{email}',
    'http://bücher.example/{email}{list}{status}',
    'https://acme.example/.{email}/..{list}',
  ].map(parsed);
  const attacks = [
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '@evil.example',
    ':pw@evil.example/',
    '.evil.example',
    '..',
    '../../..',
    '%2e%2e/%2f%2fevil.example',
    'x\r\nLocation: https://evil.example',
    'x\r\n\r\n<script>',
    'javascript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    '？＠／＼。evil.example',
    '\u2028\u2029\u0000\t',
    '{email}{list}{status}',
    '$& $1 $$ $`',
    '\ud800',
    'é'.repeat(5000),
    '',
  ];

  it('stays at its origin, in one line of ASCII, whatever the values are', () => {
    for (const template of templates) {
      for (const attack of attacks) {
        const url = fillRedirectTemplate(template, { email: attack, list: attack, status: attack });
        assert.equal(new URL(url).origin, template.origin);
        assert.match(url, /^[!-~]+$/);
      }
    }
  });

  it('stays at its origin for any value, and brings it to the query unchanged', () => {
    const query = parsed('https://acme.example/bye?before=1&e={email}&l={list}&s={status}');
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom(...attacks),
    );
    fc.assert(
      fc.property(value, value, fc.constantFrom(...templates), (email, list, template) => {
        const filled = new URL(fillRedirectTemplate(query, { email, list, status: 'opted-out' }));
        assert.equal(filled.origin, 'https://acme.example');
        const asUtf8 = (text: string) => Buffer.from(text).toString();
        assert.deepEqual(
          [...filled.searchParams],
          [
            ['before', '1'],
            ['e', asUtf8(email)],
            ['l', asUtf8(list)],
            ['s', 'opted-out'],
          ],
        );
        const url = fillRedirectTemplate(template, { email, list, status: email });
        assert.equal(new URL(url).origin, template.origin);
      }),
      { numRuns: 1000 },
    );
  });

  it('is refused where it would lead to another origin than the one that was saved', () => {
    const forged = { text: 'https://{email}/', origin: 'https://acme.example' };
    for (const email of ['evil.example', 'acme.example.evil.example', ':', '']) {
      assert.throws(() => fillRedirectTemplate(forged, { ...values, email }), Invalid);
    }
    const withUser = { text: 'https://mai@acme.example/', origin: 'https://acme.example' };
    assert.throws(() => fillRedirectTemplate(withUser, values), Invalid);
  });
});

function parsed(text: string): RedirectTemplate {
  const result = parseRedirectTemplate(text);
  assert.ok(result.ok, text);
  return result.template;
}

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import {
  getLanguage,
  hasText,
  isLanguage,
  languages,
  plainSentence,
  sentence,
  translatorFor,
} from '../../src/core/languages.js';
import { chooseLanguage } from '../../src/http/locale.js';
import { projectPath } from '../../src/paths.js';
import { cpuTimeOf } from '../support/cpu-time.js';

const pluralForm = /_(?:zero|one|two|few|many|other)$/;

describe('The languages', () => {
  const english = textsOf('en');

  it('are the files in locales, each with its own name and direction', () => {
    // The console's texts have a folder of their own there.
    const files = readdirSync(projectPath('locales'))
      .filter((file) => file !== 'console')
      .map((file) => file.replace(/\.json$/, ''));
    assert.deepEqual(languages.map((language) => language.code).sort(), files.sort());
    assert.deepEqual(getLanguage('ar'), { code: 'ar', name: 'العربية', dir: 'rtl' });
    assert.deepEqual(getLanguage('JA'), { code: 'ja', name: '日本語', dir: 'ltr' });
    assert.equal(getLanguage('tlh').code, 'en');
    assert.equal(isLanguage('en'), true);
    for (const junk of [
      '',
      'xx',
      '../en',
      '__proto__',
      'constructor',
      ['en'],
      { en: 1 },
      null,
      undefined,
      7,
    ]) {
      assert.equal(isLanguage(junk), false);
    }
  });

  for (const { code } of languages) {
    const texts = textsOf(code);

    it(`have the same keys: ${code}`, () => {
      assert.deepEqual(bareKeys(texts), bareKeys(english));
    });

    it(`have the plural forms that the language has: ${code}`, () => {
      const plurals = [...texts.keys()].filter((key) => pluralForm.test(key));
      const forms = new Intl.PluralRules(code).resolvedOptions().pluralCategories;
      for (const key of new Set(plurals.map((plural) => plural.replace(pluralForm, '')))) {
        assert.deepEqual(
          plurals.filter((plural) => plural.startsWith(`${key}_`)).sort(),
          forms.map((form) => `${key}_${form}`).sort(),
        );
      }
    });

    it(`have the same placeholders in every text: ${code}`, () => {
      for (const [key, text] of texts) {
        const original = english.get(key) ?? english.get(key.replace(pluralForm, '_other')) ?? '';
        // "In one second" needs no figure.
        const expected = /_(?:zero|one|two)$/.test(key) ? placeholders(text) : placeholders(original);
        assert.deepEqual(placeholders(text), expected, key);
      }
    });

    it(`have no empty text, no space at an edge and no markup: ${code}`, () => {
      for (const [key, text] of texts) {
        assert.match(text, /\S/, key);
        assert.equal(text, text.trim(), key);
        assert.doesNotMatch(text, /[<>&]|\$t\(/, key);
      }
    });
  }

  it('have a text for every key that the pages use, and no other', () => {
    const sources = ['opt-out/page.ejs', 'opt-out/thank-you.ejs', 'problem.ejs']
      .map((file) => projectPath('views', file))
      .concat(projectPath('views/partials/foot.ejs'), projectPath('src/http/views.ts'))
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
    const used = [
      ...sources.matchAll(/'((?:page|scope|thankYou|reason|footer|problem|address)\.(?!ejs)[\w-]+)'/g),
    ];
    const keys = used.map(([, key = '']) => key);
    for (const key of keys) assert.ok(hasText(key), key);
    for (const key of bareKeys(english)) {
      assert.ok(
        /^(?:_language|address|afterwards\.[\w-]+|problem\.[\w-]+|reason)\./.test(key) || keys.includes(key),
        `${key} is unused`,
      );
    }
  });
});

describe('The language of a page', () => {
  it('is the one of ?lang= where we have it, in any case', () => {
    assert.equal(chooseLanguage({ query: 'ja', acceptLanguage: 'ar' }), 'ja');
    assert.equal(chooseLanguage({ query: 'AR' }), 'ar');
    assert.equal(chooseLanguage({ query: 'xx', acceptLanguage: 'ar' }), 'ar');
  });

  it('is else the first of Accept-Language that we have, by its weight', () => {
    const cases = {
      'en-GB,en;q=0.9': 'en',
      'tlh,sw;q=0.9,ar-EG;q=0.8,ja;q=0.7': 'ar',
      'ja;q=0.3,ar;q=0.9': 'ar',
      'ja-Jpan-JP': 'ja',
      'ja;q=0,ar;q=0.1': 'ar',
      'JA-jp': 'ja',
      'de-CH,fr;q=0.9': 'de',
      'zh-HK,en;q=0.5': 'zh-TW',
      'zh-Hant': 'zh-TW',
      'zh-SG': 'zh-CN',
      zh: 'zh-CN',
      'pt-PT': 'pt-BR',
      'es-419': 'es',
      'nl-BE': 'nl',
      iw: 'he',
      '*,ar;q=0.1': 'ar',
    };
    for (const [acceptLanguage, code] of Object.entries(cases)) {
      assert.equal(chooseLanguage({ acceptLanguage, fallback: 'en' }), code, acceptLanguage);
    }
  });

  it("is else the list's, and English at last; a star asks for nothing", () => {
    assert.equal(chooseLanguage({ acceptLanguage: '*', fallback: 'ja' }), 'ja');
    assert.equal(chooseLanguage({ acceptLanguage: 'tlh, sw', fallback: 'ar' }), 'ar');
    assert.equal(chooseLanguage({ acceptLanguage: '', fallback: 'xx' }), 'en');
    assert.equal(chooseLanguage({ fallback: null }), 'en');
    assert.equal(chooseLanguage({}), 'en');
  });

  it('is not one in a script that the reader did not ask for', () => {
    assert.equal(chooseLanguage({ acceptLanguage: 'ar-Latn', fallback: 'ja' }), 'ja');
    assert.equal(chooseLanguage({ acceptLanguage: 'en-Shaw', fallback: 'ja' }), 'ja');
  });

  it('is found whatever a request brings, at once and without throwing', async () => {
    const junk = [['ja', 'ar'], { a: 1 }, 7, null, '__proto__', 'constructor', ',,;q=,', 'en_US', '\0', '💥'];
    for (const value of junk) {
      assert.equal(chooseLanguage({ query: value, acceptLanguage: value }), 'en');
    }
    const junkHeaders = ['a,'.repeat(500_000), ';q='.repeat(300_000), 'x'.repeat(1_000_000), '-'.repeat(1e6)];
    const cpuMs = await cpuTimeOf(() => {
      for (const header of junkHeaders) {
        assert.equal(chooseLanguage({ query: header, acceptLanguage: header }), 'en');
      }
    });
    assert.ok(cpuMs < 500, `${cpuMs} ms`);
    assert.equal(chooseLanguage({ acceptLanguage: `ja,${'x'.repeat(100_000)}` }), 'ja');
  });

  it('is one of ours for any header at all', () => {
    const codes = languages.map((language) => language.code);
    fc.assert(
      fc.property(fc.anything(), fc.string({ unit: 'binary' }), (query, acceptLanguage) => {
        assert.ok(codes.includes(chooseLanguage({ query, acceptLanguage, fallback: acceptLanguage })));
      }),
    );
  });
});

describe('A text', () => {
  it('is in its language, and in English for a language that we do not have', () => {
    assert.equal(translatorFor('en')('page.button'), 'Unsubscribe');
    assert.equal(translatorFor('ja')('page.button'), '配信を停止する');
    assert.equal(translatorFor('xx')('page.button'), 'Unsubscribe');
  });

  it('has the right plural', () => {
    const retry = (code: string, count: number) =>
      translatorFor(code)('problem.unavailable.retry', { count });
    assert.equal(retry('en', 1), 'Please try again in 1 second.');
    assert.equal(retry('en', 30), 'Please try again in 30 seconds.');
    assert.match(retry('ar', 2), /ثانيتين/);
    assert.match(retry('ar', 5), /5 ثوانٍ/);
    assert.match(retry('ar', 30), /30 ثانية/);
    assert.match(retry('ja', 30), /30秒/);
    assert.match(retry('pl', 22), /22 sekundy\./);
    assert.match(retry('pl', 30), /30 sekund\./);
    assert.match(retry('ru', 21), /21 секунду\./);
    assert.match(retry('ru', 30), /30 секунд\./);
    assert.match(retry('he', 2), /שתי שניות/);
    assert.match(retry('he', 30), /30 שניות/);
  });

  it('takes its values as they are: not escaped, not read as syntax', () => {
    for (const value of ['{{tag}}', '$t(page.button)', "O'Hara & <Co>", '$& $1', '\0', '0', '']) {
      assert.equal(plainSentence('en', 'page.title', { list: value }), `Unsubscribe from ${value}`);
      assert.equal(translatorFor('en')('page.title', { list: value }), `Unsubscribe from ${value}`);
    }
  });

  it('comes in pieces that keep its values apart', () => {
    assert.deepEqual(sentence('ja', 'scope.tag', { tag: 'offers', list: 'Acme' }), [
      { text: '「', isValue: false },
      { text: 'Acme', isValue: true },
      { text: '」のうち「', isValue: false },
      { text: 'offers', isValue: true },
      { text: '」のみ', isValue: false },
    ]);
  });

  it('isolates its values where it runs from right to left', () => {
    assert.equal(plainSentence('ar', 'page.title', { list: 'Acme' }), 'إلغاء الاشتراك في \u2068Acme\u2069');
  });
});

function textsOf(code: string): Map<string, string> {
  const file = readFileSync(projectPath('locales', `${code}.json`), 'utf8');
  return new Map(flatten(JSON.parse(file) as Record<string, unknown>));
}

function flatten(node: Record<string, unknown>, path = ''): [string, string][] {
  return Object.entries(node).flatMap(([key, value]): [string, string][] =>
    typeof value === 'string'
      ? [[path + key, value]]
      : flatten(value as Record<string, unknown>, `${path}${key}.`),
  );
}

function bareKeys(texts: Map<string, string>): string[] {
  return [...new Set([...texts.keys()].map((key) => key.replace(pluralForm, '')))].sort();
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{\{(.*?)\}\}/g)].map(([, name = '']) => name).sort();
}

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { consoleLanguages } from '../../src/core/users.js';
import { chooseConsoleLanguage, consoleTexts, hasConsoleText } from '../../src/console/texts.js';
import { projectPath } from '../../src/paths.js';

type Texts = { [key: string]: string | Texts };

function textsOf(language: string): Map<string, string> {
  const folder = projectPath('locales', 'console', language);
  const found = new Map<string, string>();
  const add = (texts: Texts, before: string): void => {
    for (const [key, value] of Object.entries(texts)) {
      if (typeof value === 'string') found.set(`${before}${key}`, value);
      else add(value, `${before}${key}.`);
    }
  };
  for (const file of readdirSync(folder)) {
    add(JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as Texts, `${file.slice(0, -5)}.`);
  }
  return found;
}

/** Without i18next's endings for numbers, of which languages have different ones. */
const base = (key: string) => key.replace(/_(zero|one|two|few|many|other)$/, '');
const placeholders = (text: string) => [...new Set(text.match(/\{\{[^}]+\}\}/g) ?? [])].sort();

describe("The console's texts", () => {
  const english = textsOf('en');

  it('are the same ones in all languages', () => {
    assert.ok(english.size > 100, 'the texts are found');
    const wanted = [...new Set([...english.keys()].map(base))].sort();
    for (const language of consoleLanguages) {
      assert.deepEqual([...new Set([...textsOf(language).keys()].map(base))].sort(), wanted, language);
    }
  });

  it('hold the same values in all languages', () => {
    const wrong: string[] = [];
    for (const language of consoleLanguages) {
      for (const [key, text] of textsOf(language)) {
        const original = english.get(key) ?? english.get(`${base(key)}_other`) ?? english.get(base(key));
        const isPlural = key !== base(key);
        const has = placeholders(text).filter((one) => !isPlural || !one.includes('count'));
        const wanted = placeholders(original ?? '').filter((one) => !isPlural || !one.includes('count'));
        if (has.join() !== wanted.join()) wrong.push(`${language} ${key}: ${text}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('are there for every key that a view or a screen names', () => {
    const files = [...filesIn('views/console', '.ejs'), ...filesIn('src/console', '.ts')];
    const known = new Set([...english.keys()].map(base));
    const missing: string[] = [];
    for (const file of files) {
      for (const [, key = ''] of readFileSync(file, 'utf8').matchAll(
        /\bt\(\s*'([\w-]+\.[\w.-]*\w)'\s*[,)]/g,
      )) {
        if (!known.has(key)) missing.push(`${file.replace(projectPath(), '')}: ${key}`);
      }
    }
    assert.deepEqual(missing, []);
  });

  it('are there for whatever a change is answered with', () => {
    const missing = filesIn('src/console', '.ts').flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/\bdone: '([^']+)'/g)]
        .map(([, key = '']) => key)
        .filter((key) => !hasConsoleText(`done.${key}`)),
    );
    assert.deepEqual(missing, []);
  });

  it('hold neither HTML nor an empty text', () => {
    const wrong = [...english, ...textsOf('ja')].filter(
      ([, text]) => text.trim() === '' || /<[a-z/]/i.test(text),
    );
    assert.deepEqual(wrong, []);
  });
});

describe('The language of the console', () => {
  it("is the user's own, else the browser's first that there is, else English", () => {
    assert.equal(chooseConsoleLanguage('ja', 'en'), 'ja');
    assert.equal(chooseConsoleLanguage(null, 'fr, ja-JP;q=0.8, en;q=0.5'), 'ja');
    assert.equal(chooseConsoleLanguage(null, 'fr'), 'en');
    assert.equal(chooseConsoleLanguage('../../etc', ['x']), 'en');
    assert.equal(consoleTexts('ja')('nav.signOut'), 'サインアウト');
  });

  it('takes no key for a text that is none', () => {
    for (const key of ['__proto__', 'constructor', 'done.', 'done.x', 'toString', '../en']) {
      assert.equal(hasConsoleText(key), false, key);
    }
  });
});

function filesIn(folder: string, ending: string): string[] {
  return (readdirSync(projectPath(folder), { recursive: true }) as string[])
    .filter((file) => file.endsWith(ending))
    .map((file) => projectPath(folder, file));
}

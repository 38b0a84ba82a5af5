import { readdirSync, readFileSync } from 'node:fs';
import { createInstance, type ResourceLanguage } from 'i18next';
import { z } from 'zod';
import { projectPath } from '../paths.js';

export interface Language {
  /** BCP 47, as the file is called: `locales/zh-TW.json` is `zh-TW`. */
  readonly code: string;
  /** The language's own name, in itself. */
  readonly name: string;
  readonly dir: 'ltr' | 'rtl';
}

/** Gives the text of a key. `count` chooses the plural form; a value is inserted as it is, never parsed or escaped. */
export type Translate = (key: string, values?: Readonly<Record<string, string | number>>) => string;

export const DEFAULT_LANGUAGE = 'en';

const headOfFile = z.object({
  _language: z.strictObject({ name: z.string().min(1), dir: z.enum(['ltr', 'rtl']) }),
});

/** More than a language has: keys are never made of what a request brings, and if they were, that ends here. */
const mostTexts = 5000;

const resources: Record<string, { translation: ResourceLanguage }> = {};

/** Every language there is a `locales/*.json` for, by code. */
export const languages: readonly Language[] = readdirSync(projectPath('locales'))
  .filter((file) => file.endsWith('.json'))
  .sort()
  .map(loadLanguage);

const byCode = new Map(languages.map((language) => [language.code.toLowerCase(), language]));

// Everything is in memory and no backend is loaded: the ones that read files or URLs took the
// language of a request for a path.
const i18n = createInstance();
await i18n.init({
  resources,
  fallbackLng: DEFAULT_LANGUAGE,
  supportedLngs: languages.map((language) => language.code),
  nsSeparator: false,
  // The views escape (`<%=`); escaping here as well would show people `&amp;`.
  interpolation: { escapeValue: false, skipOnVariables: true },
});

/** Whether this is the code of one of our languages, in any case; false for anything that is no string. */
export function isLanguage(code: unknown): code is string {
  return typeof code === 'string' && byCode.has(code.toLowerCase());
}

/** The language of a code, or English where we have none of that code. */
export function getLanguage(code: string): Language {
  const language = byCode.get(code.toLowerCase()) ?? byCode.get(DEFAULT_LANGUAGE);
  if (!language) throw new Error(`locales/${DEFAULT_LANGUAGE}.json is missing`);
  return language;
}

const translators = new Map<string, Translate>();

/** The texts of one language; of English where the code is unknown. */
export function translatorFor(code: string): Translate {
  const language = getLanguage(code).code;
  const known = translators.get(language);
  if (known !== undefined) return known;
  const t = i18n.getFixedT(language);
  // Each page has a dozen texts into which nothing is put; i18next takes longer over one than all the rest does.
  const texts = new Map<string, string>();
  const translate: Translate = (key, values) => {
    if (values !== undefined) return t(key, { ...values });
    const text = texts.get(key) ?? t(key);
    if (texts.size < mostTexts) texts.set(key, text);
    return text;
  };
  translators.set(language, translate);
  return translate;
}

/** Whether there is a text of this key: for keys made from codes that come from elsewhere. */
export function hasText(key: string): boolean {
  return i18n.exists(key, { lng: DEFAULT_LANGUAGE });
}

/** A text in pieces, so that the views can set its values apart (`<bdi>`). */
export type Sentence = readonly { readonly text: string; readonly isValue: boolean }[];

/** The text of a key around its values. Nothing in a value is ever read as the translator's syntax. */
export function sentence(code: string, key: string, values: Readonly<Record<string, string>>): Sentence {
  const names = Object.keys(values);
  const marks = Object.fromEntries(names.map((name, place) => [name, `\0${place}\0`]));
  return translatorFor(code)(key, marks)
    .split('\0')
    .map((part, place) =>
      place % 2 === 0
        ? { text: part, isValue: false }
        : { text: values[names[Number(part)] ?? ''] ?? '', isValue: true },
    )
    .filter((piece) => piece.text !== '');
}

/** The same in one string, where no element can stand (a title): right-to-left text isolates its values (UAX 9). */
export function plainSentence(code: string, key: string, values: Readonly<Record<string, string>>): string {
  const isolates = getLanguage(code).dir === 'rtl';
  return sentence(code, key, values)
    .map(({ text, isValue }) => (isValue && isolates ? `\u2068${text}\u2069` : text))
    .join('');
}

function loadLanguage(file: string): Language {
  const code = file.slice(0, -'.json'.length);
  const texts = JSON.parse(readFileSync(projectPath('locales', file), 'utf8')) as ResourceLanguage;
  resources[code] = { translation: texts };
  return { code, ...headOfFile.parse(texts)._language };
}

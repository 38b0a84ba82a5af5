import { readFileSync } from 'node:fs';
import { projectPath } from '../../src/paths.js';

/** The form of a page, as a browser would send it when its button is pressed. */
export interface Form {
  readonly action: string;
  readonly fields: [name: string, value: string][];
  /** Nothing is left to be typed. */
  readonly isComplete: boolean;
  readonly buttons: number;
}

/** @returns null where the page has no form. */
export function formOf(html: string): Form | null {
  const [, action, inside] = /<form method="post" action="([^"]*)">([\s\S]*?)<\/form>/.exec(html) ?? [];
  if (action === undefined || inside === undefined) return null;
  const inputs = [...inside.matchAll(/<input\b([^>]*)>/g)].map(([, attributes = '']) => attributes);
  const sent = inputs.filter((input) => attributeOf(input, 'type') !== 'radio' || /\bchecked\b/.test(input));
  return {
    action: unescaped(action),
    fields: sent.map((input) => [attributeOf(input, 'name'), attributeOf(input, 'value')]),
    isComplete: !inputs.some((input) => /\brequired\b/.test(input)),
    buttons: inside.split('<button').length - 1,
  };
}

/** What the page says is wrong with what was typed; null where it says nothing. */
export function errorOf(html: string): string | null {
  const [, text] = /<p class="error" id="error" role="alert">([^<]*)<\/p>/.exec(html) ?? [];
  return text === undefined ? null : unescaped(text);
}

/** The value of the form's field for the address. */
export function typedIn(html: string): string | null {
  const [input] = /<input id="email"[^>]*>/.exec(html) ?? [];
  return input === undefined ? null : attributeOf(input, 'value');
}

/** The text of a key of `locales/*.json`, such as `address.no-at`. */
export function textOf(language: string, key: string): string {
  const texts = JSON.parse(readFileSync(projectPath('locales', `${language}.json`), 'utf8')) as unknown;
  const text = key.split('.').reduce((part, name) => (part as Record<string, unknown>)[name], texts);
  if (typeof text !== 'string') throw new Error(`there is no text ${key} in ${language}`);
  return text;
}

/** A text as EJS writes it into a page. */
export function escaped(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&#34;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** A page without what is random in it: the receipt, as people read it and as its forms carry it. */
export function lessReceipt(html: string): string {
  return html
    .replace(/(?<=name="token" value=")[\w-]+/g, '…')
    .replace(/\b[0-9A-F][0-9A-Z]{3}(?:-[0-9A-Z]{1,4}){3}\b/g, '…');
}

function attributeOf(tag: string, name: string): string {
  return unescaped(new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? '');
}

function unescaped(text: string): string {
  const characters: Record<string, string> = { amp: '&', lt: '<', gt: '>', '#34': '"', '#39': "'" };
  return text.replace(/&(amp|lt|gt|#34|#39);/g, (_, name: string) => characters[name] ?? '');
}

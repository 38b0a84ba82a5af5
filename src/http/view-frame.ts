import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import ejs from 'ejs';
import { getLanguage, languages, translatorFor } from '../core/languages.js';
import type { List } from '../core/lists.js';
import { projectPath } from '../paths.js';

/** What the hosted pages show of a list and of who runs it. */
export interface PageList {
  readonly publicId: string;
  /** The public name, as recipients know it. */
  readonly name: string;
  readonly operatorName: string;
  /** Line breaks are kept. */
  readonly postalAddress: string | null;
  /** An e-mail address, an http(s) URL, or anything else (a phone number), which is shown without a link. */
  readonly contact: string | null;
  /** http(s), or it is not shown. */
  readonly privacyUrl: string | null;
}

type Shown = Pick<List, 'publicId' | 'name' | 'operatorName' | 'postalAddress' | 'contact' | 'privacyUrl'>;

export function pageListOf(list: Shown): PageList {
  const known = pageLists.get(list);
  if (known !== undefined) return known;
  const pageList = newPageListOf(list);
  pageLists.set(list, pageList);
  return pageList;
}

/** By the list as it was read from the database: changed settings are another object. */
const pageLists = new WeakMap<Shown, PageList>();

function newPageListOf(list: Shown): PageList {
  return {
    publicId: list.publicId,
    name: list.name,
    // Somebody has to stand under the page.
    operatorName: list.operatorName || list.name,
    postalAddress: list.postalAddress || null,
    contact: list.contact || null,
    privacyUrl: list.privacyUrl || null,
  };
}

/** The footer's choice of language: a form for GET, with one button for each language. */
export interface LanguageForm {
  /** The page's own path. */
  readonly action: string;
  /** The query that the page was reached with, less `lang`. */
  readonly fields: Readonly<Record<string, string>>;
}

const segmenter = new Intl.Segmenter();

/** Without the characters that only its readers need. A new content is a new version. */
export interface Stylesheet {
  readonly path: string;
  readonly css: string;
  readonly version: string;
}

/** @param path under which it is linked: `{baseUrl}{path}?v={version}`. */
export function stylesheetOf(file: string, path: string): Stylesheet {
  const css = readFileSync(projectPath('public', file), 'utf8')
    .replace(/\s*\n\s*/g, '')
    .replace(/([:,]) | (?=\{)|;(?=\})|\b0(?=\.)/g, '$1');
  return { path, css, version: createHash('sha256').update(css).digest('base64url').slice(0, 12) };
}

/** The hosted pages' one stylesheet. */
export const stylesheet = stylesheetOf('signoff.css', '/signoff.css');

/** What head and foot need. Always a fresh object: EJS never sees one that a request brought. */
export function frameOf(
  page: { readonly language: string; readonly baseUrl: string },
  list: PageList | null,
  languageForm?: LanguageForm,
) {
  const { code, dir, name } = getLanguage(page.language);
  const base = page.baseUrl.replace(/\/+$/, '');
  return {
    base,
    t: translatorFor(code),
    lang: code,
    dir,
    languageName: name,
    stylesheetHref: `${base}${stylesheet.path}?v=${stylesheet.version}`,
    languageForm: languageForm
      ? { action: languageForm.action, hidden: Object.entries(languageForm.fields), languages }
      : null,
    operator: list && operatorOf(list),
  };
}

interface Operator extends Pick<PageList, 'postalAddress' | 'contact'> {
  readonly name: string;
  readonly initial: string;
  readonly contactHref: string | null;
  readonly privacyHref: string | null;
}

const operators = new WeakMap<PageList, Operator>();

function operatorOf(list: PageList): Operator {
  const known = operators.get(list);
  if (known !== undefined) return known;
  const operator = {
    name: list.operatorName,
    initial: initialOf(list.operatorName),
    postalAddress: list.postalAddress,
    contact: list.contact,
    contactHref: list.contact === null ? null : contactHref(list.contact),
    privacyHref: list.privacyUrl !== null && isWebUrl(list.privacyUrl) ? list.privacyUrl : null,
  };
  operators.set(list, operator);
  return operator;
}

export function tagOf(tag: string | null | undefined): string | null {
  return tag === undefined || tag === null || tag === '' || tag === '*' ? null : tag;
}

function contactHref(contact: string): string | null {
  if (isWebUrl(contact)) return contact;
  const [, local, domain] = /^([^\s@<>"]+)@([^\s@<>"/?#]+)$/.exec(contact) ?? [];
  return local && domain ? `mailto:${encode(local)}@${domain}` : null;
}

function isWebUrl(text: string): boolean {
  return /^https?:\/\/[^\s/]\S*$/i.test(text);
}

/** encodeURIComponent throws at half a surrogate pair; the way through UTF-8 makes it U+FFFD. */
export function encode(text: string): string {
  return encodeURIComponent(Buffer.from(text, 'utf8').toString('utf8'));
}

/** The first letter or digit, as people count letters; empty where a name has none. */
function initialOf(name: string): string {
  for (const { segment } of segmenter.segment(name.slice(0, 100))) {
    if (/[\p{L}\p{N}]/u.test(segment)) return segment.toUpperCase();
  }
  return '';
}

/**
 * `strict` and one name, `page`, for the data: nothing that is put on Object.prototype becomes a
 * variable of a view. Includes are named from the views' folder (`/partials/head`).
 */
export function compile(view: string): (page: Record<string, unknown>) => string {
  const filename = projectPath('views', view);
  return ejs.compile(readFileSync(filename, 'utf8'), {
    filename,
    root: projectPath('views'),
    strict: true,
    localsName: 'page',
    cache: true,
    rmWhitespace: true,
    compileDebug: false,
  });
}

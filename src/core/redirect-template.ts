import { Invalid } from '../errors.js';
import { readUrl } from './text.js';

/** A redirect that passed `parseRedirectTemplate`; what its placeholders bring cannot change its origin. */
export interface RedirectTemplate {
  readonly text: string;
  /** Scheme, host and port as browsers compare them: IDN hosts in ASCII, default ports left out. */
  readonly origin: string;
}

export interface RedirectValues {
  readonly email: string;
  readonly list: string;
  readonly status: string;
}

/** Why a text is no redirect template. */
export type RedirectTemplateProblem =
  | 'missing'
  | 'too-long'
  | 'bad-character'
  | 'bad-scheme'
  | 'credentials'
  | 'placeholder-in-host'
  | 'bad-host'
  | 'unknown-placeholder';

export type RedirectTemplateResult =
  | { readonly ok: true; readonly template: RedirectTemplate }
  | { readonly ok: false; readonly problem: RedirectTemplateProblem; readonly message: string };

const longestTemplate = 2000; // UTF-16 units
const placeholder = /\{(email|list|status)\}/g;
// URL parsers drop tabs and line ends and trim controls, and read `\` as `/`: what the owner saw would
// not be what the browser opens.
const badCharacter = /[\p{Cc}\p{Cf}\p{Cs}\p{Z}\\]/u;
const schemeAndAuthority = /^https?:\/\/([^/?#]+)/i;
// What a Content-Security-Policy source can name (CSP 3, section 2.3.1): no `;`, `,`, `*` or IPv6 literal.
const namableOrigin = /^https?:\/\/[a-z0-9_.-]+(?::\d+)?$/;

/**
 * Reads what an owner typed as the place to send recipients to after an opt-out. Never throws.
 *
 * http and https only, at most 2,000 UTF-16 units, no user name or password, no control, invisible or
 * blank character, no backslash. `{email}`, `{list}` and `{status}` may stand in the path, the query and
 * the fragment; scheme, host and port are the owner's own text. A brace that belongs to none of these
 * three is refused: it is a slip of the pen, and would otherwise reach the owner's site as it is.
 */
export function parseRedirectTemplate(given: string): RedirectTemplateResult {
  if (given.length > longestTemplate) {
    return refused('too-long', `A redirect has at most ${longestTemplate} characters.`);
  }
  const text = given.trim();
  if (text === '') return refused('missing', 'There is no redirect.');
  if (badCharacter.test(text)) {
    return refused(
      'bad-character',
      'A redirect has no spaces, backslashes, control or invisible characters.',
    );
  }
  if (!/^https?:\/\//i.test(text)) {
    return refused('bad-scheme', 'A redirect begins with https:// or http://.');
  }
  const authority = schemeAndAuthority.exec(text)?.[1] ?? '';
  if (authority.includes('@')) return refused('credentials', 'A redirect has no user name or password.');
  if (/[{}]/.test(authority)) {
    return refused('placeholder-in-host', 'Placeholders stand behind the host, not in it.');
  }
  const unknown = /\{[^{}]*\}?|\}/.exec(text.replace(placeholder, ''))?.[0];
  if (unknown !== undefined) {
    return refused('unknown-placeholder', `${unknown} is none of {email}, {list} and {status}.`);
  }
  const origin = originOf(text.replace(placeholder, 'x'));
  // The browser's parser must see the host where the owner sees it.
  if (origin === null || origin !== originOf(`${text.slice(0, text.indexOf('//'))}//${authority}`)) {
    return refused('bad-host', 'There is no host that a browser could open.');
  }
  if (!namableOrigin.test(origin)) {
    return refused('bad-host', 'A host has letters, digits, hyphens and dots; an IPv6 address is not taken.');
  }
  return { ok: true, template: { text, origin } };
}

/**
 * The URL to send one recipient to, in ASCII, fit for a Location header. Values are URL-encoded (a lone
 * surrogate becomes U+FFFD).
 *
 * @throws Invalid `redirect`, `other-origin`: the built URL would lead to another origin than the
 *   owner's. No value is known that does it; the opt-out is recorded by then, so answer with the thank-you page.
 */
export function fillRedirectTemplate(template: RedirectTemplate, values: RedirectValues): string {
  const built = template.text.replace(placeholder, (_, name: keyof RedirectValues) => encode(values[name]));
  const origin = originOf(built);
  if (origin !== template.origin) {
    throw new Invalid('redirect', 'other-origin', `The redirect leads to ${origin ?? 'no origin'}.`);
  }
  return new URL(built).href;
}

function refused(problem: RedirectTemplateProblem, message: string): RedirectTemplateResult {
  return { ok: false, problem, message };
}

function originOf(text: string): string | null {
  const url = readUrl(text);
  return url !== null && url.username + url.password === '' ? url.origin : null;
}

/** encodeURIComponent throws at half a surrogate pair; the way through UTF-8 makes it U+FFFD. */
function encode(value: string): string {
  return encodeURIComponent(Buffer.from(value, 'utf8').toString('utf8'));
}

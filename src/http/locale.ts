import Negotiator from 'negotiator';
import { DEFAULT_LANGUAGE, getLanguage, isLanguage, languages, type Language } from '../core/languages.js';

/** What an Accept-Language is read of; the languages a person wants stand at its beginning. */
const ACCEPT_LANGUAGE_LIMIT = 1000;

// Browsers of one language all send the same few.
const lastAccepted = new Map<string, string | null>();
const mostRemembered = 1000;

/**
 * The code of the language to answer in: `?lang=` where we have it, else the first one of
 * Accept-Language that we have, else the list's, else English. Takes whatever a request brings (arrays,
 * junk, a header of any length) and never throws.
 */
export function chooseLanguage(request: {
  readonly query?: unknown;
  readonly acceptLanguage?: unknown;
  readonly fallback?: string | null | undefined;
}): string {
  if (isLanguage(request.query)) return getLanguage(request.query).code;
  const accepted = acceptedLanguage(request.acceptLanguage);
  return accepted ?? getLanguage(request.fallback ?? DEFAULT_LANGUAGE).code;
}

function acceptedLanguage(header: unknown): string | null {
  if (typeof header !== 'string') return null;
  const wanted = header.slice(0, ACCEPT_LANGUAGE_LIMIT);
  const known = lastAccepted.get(wanted);
  if (known !== undefined) return known;
  const found = firstReadable(wanted);
  if (lastAccepted.size >= mostRemembered) lastAccepted.clear();
  lastAccepted.set(wanted, found);
  return found;
}

function firstReadable(header: string): string | null {
  for (const wanted of new Negotiator({ headers: { 'accept-language': header } }).languages()) {
    const found = findLanguage(wanted);
    if (found) return found.code;
  }
  return null;
}

/**
 * The language that a reader of `wanted` reads best: same language and same script (zh-HK is
 * Traditional, like zh-TW, and no zh-CN), then the same region, then the shortest code.
 */
function findLanguage(wanted: string): Language | null {
  if (isLanguage(wanted)) return getLanguage(wanted);
  const locale = likely(wanted);
  if (!locale) return null;
  const readable = languages.filter((language) => {
    const other = likely(language.code);
    return other?.language === locale.language && other.script === locale.script;
  });
  readable.sort((a, b) => a.code.length - b.code.length);
  return readable.find((language) => likely(language.code)?.region === locale.region) ?? readable[0] ?? null;
}

/** The tag with its likely script and region filled in (CLDR); null for `*` and whatever is no tag. */
function likely(tag: string): Intl.Locale | null {
  try {
    return new Intl.Locale(tag).maximize();
  } catch {
    return null;
  }
}

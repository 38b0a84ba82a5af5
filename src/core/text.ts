import { Invalid } from '../errors.js';

/** Control characters, separators and lone surrogates: they have no place in names, or in a terminal. */
const unprintable = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u;
const unprintableInLines = /[^\P{Cc}\n]|[\p{Cs}\p{Zl}\p{Zp}]/u;

/**
 * A person's text for one field: trimmed, NFC, of bounded length.
 *
 * @param max UTF-16 units.
 * @throws Invalid `missing`, `too-long` or `control-character`.
 */
export function checkText(
  field: string,
  value: string,
  { max, optional = false, lines = false }: { max: number; optional?: boolean; lines?: boolean },
): string {
  const text = value.replace(/\r\n?/g, '\n').trim().normalize('NFC');
  if (text === '' && !optional) throw new Invalid(field, 'missing', `${field} must not be empty`);
  if (text.length > max)
    throw new Invalid(field, 'too-long', `${field} must not be longer than ${max} characters`);
  if ((lines ? unprintableInLines : unprintable).test(text)) {
    throw new Invalid(field, 'control-character', `${field} holds a control character`);
  }
  return text;
}

/**
 * What somebody else calls something: without control characters, and no longer than a column is.
 *
 * @param max octets.
 */
export function shortened(text: string, max: number): string {
  let octets = 0;
  let whole = '';
  for (const letter of text.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ')) {
    octets += Buffer.byteLength(letter);
    if (octets > max) break;
    whole += letter;
  }
  return whole.trim();
}

/** @throws Invalid `malformed`, for anything but an absolute http(s) URL without a password; '' passes. */
export function checkWebUrl(field: string, value: string): string {
  const text = checkText(field, value, { max: 2000, optional: true });
  if (text === '') return '';
  const url = readUrl(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username + url.password !== '') {
    throw new Invalid(field, 'malformed', `${field} must be an http or https address`);
  }
  return text;
}

/** Not by URL.canParse: under load, Node 20's fast path of it says no to what holds a letter like `ü`. */
export function readUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

import { hash } from 'node:crypto';
import { domainToASCII, domainToUnicode } from 'node:url';

/** Why a text is no address; the surfaces word it. */
export type AddressProblem =
  | 'missing'
  | 'too-long'
  | 'no-at'
  | 'bad-local-part'
  | 'bad-domain'
  | 'control-character'
  | 'invisible-character'
  | 'merge-tag';

export interface Address {
  /** The key: NFC, lower-cased, the domain in ASCII; at most 254 octets of UTF-8. */
  normalised: string;
  /** As it was typed, outer white space off; at most 320 UTF-16 units, no control characters. */
  given: string;
}

export type AddressResult = { ok: true; address: Address } | { ok: false; problem: AddressProblem };

const longestInput = 1024; // UTF-16 units, checked before anything else looks at the text
const longestGiven = 320; // UTF-16 units: 64 + @ + 255 of RFC 5321, section 4.5.3.1
const longestNormalised = 254; // octets: RFC 5321's path of 256 without its angle brackets (erratum 1690)
const longestDomain = 253; // octets, without the root's dot: RFC 1035, section 2.3.4

// Unassigned code points are refused since their lower case and their NFC can change with the next
// Unicode, and a key must not; U+FFFD is what is left of bytes that were not UTF-8.
const controlCharacter = /[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\uFFFD]/u;
// Format characters, variation selectors, tag characters, Hangul fillers, and Braille's blank.
const invisibleCharacter = /[\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]/u;
// What most addresses are made of: none of the above, and nothing that has more than one form.
const plainAscii = /^[\x20-\x7e]*$/;
// What RFC 5322 leaves out of an atom, and a full-width @, which looks like the real one.
const notInLocalPart = /[\s,;:<>()[\]\\"@\uFF20\uFE6B]/u;
const fullWidthAscii = /[\uFF01-\uFF5E]/gu;

const mergeTagMarks: readonly (readonly [string, string])[] = [
  ['{{', '}}'],
  ['[[', ']]'],
  ['<<', '>>'],
  ['<%', '%>'],
  ['*|', '|*'],
  ['%%', '%%'],
  ['##', '##'],
  ['${', '}'],
  ['#{', '}'],
  ['@{', '}'],
  ['%{', '}'],
  ['{', '}'],
  ['[', ']'],
  ['%', '%'],
  ['#', '#'],
  ['-', '-'],
];
const mergeTagStart = /^[{[<*%#$@-]/;

/**
 * Reads one e-mail address, generously, since it belongs to someone who wants to leave. Never throws,
 * and takes time linear in the length, which is cut off at 1,024 UTF-16 units.
 *
 * Taken: internationalised local parts (RFC 6531) and domains (UTS-46), dots anywhere in a local part
 * (docomo gave such addresses out), quoted local parts as they are, local parts over RFC 5321's 64
 * octets as long as the whole keeps to 254, `mailto:`, one pair of angle brackets, white space around
 * the `@`, a trailing dot after the domain.
 *
 * Refused: address literals (`a@[192.0.2.1]`), domains of one label or with anything but letters,
 * digits and hyphens, comments, display names, and every character that cannot be seen.
 *
 * @param options.typed a person typed it into a form: full-width letters, `＠` and `。` of an input
 *   method count as the ASCII ones.
 * @param options.query it stood in a query string: a space inside an unquoted local part was a `+`
 *   that nobody encoded.
 */
export function parseAddress(
  text: string,
  options: { typed?: boolean; query?: boolean } = {},
): AddressResult {
  if (text.length > longestInput) return refused('too-long');
  const given = text.trim();
  if (given === '') return refused('missing');

  const isPlain = plainAscii.test(given);
  const link = withoutMailto(options.typed && !isPlain ? asAscii(given) : given);
  const bare = withoutAngles(link);
  if (isMergeTag(link) || isMergeTag(bare)) return refused('merge-tag');
  if (!isPlain && controlCharacter.test(given)) return refused('control-character');
  if (!isPlain && invisibleCharacter.test(given)) return refused('invisible-character');

  const at = bare.startsWith('"') ? atAfterQuotes(bare) : bare.lastIndexOf('@');
  if (at === -1) return refused(bare.includes('@') ? 'bad-local-part' : 'no-at');

  const typedLocal = bare.slice(0, at).trimEnd();
  const isQuoted = typedLocal.startsWith('"');
  const sentLocal = options.query && !isQuoted ? typedLocal.replaceAll(' ', '+') : typedLocal;
  const local = isPlain ? sentLocal.toLowerCase() : keyForm(sentLocal);
  if (!isLocalPart(local)) return refused('bad-local-part');
  const domain = asciiDomain(bare.slice(at + 1).trimStart());
  if (domain === null) return refused('bad-domain');

  const normalised = `${local}@${domain}`;
  if (Buffer.byteLength(normalised) > longestNormalised || given.length > longestGiven) {
    return refused('too-long');
  }
  return { ok: true, address: { normalised, given: given.replace(typedLocal, () => sentLocal) } };
}

/**
 * Whether a text is one whole placeholder that a mailer's program should have replaced: `{{email}}`,
 * `%%email%%`, `*|EMAIL|*`, `[[email]]`, `${email}`, `<%= email %>`, `%recipient%`, `-email-` and the
 * like. None of these can be an address, since each ends in something that no domain ends in.
 */
export function isMergeTag(text: string): boolean {
  const tag = text.trim();
  if (!mergeTagStart.test(tag)) return false;
  return mergeTagMarks.some(([open, close]) => {
    if (tag.length <= open.length + close.length) return false;
    if (!tag.startsWith(open) || !tag.endsWith(close)) return false;
    const inner = tag.slice(open.length, -close.length);
    // One mark alone also frames ordinary text (`-5-`, `[a@b.example]`): there it must frame a name.
    return open.length > 1 ? !inner.includes(close) : /^[\p{L}_$!][\p{L}\p{N}_.:-]{0,99}$/u.test(inner);
  });
}

/** 16 octets: the MD5 of the UTF-8 of a normalised address, as mailers compare it. No secret. */
export function md5Of(normalised: string): Buffer {
  // By way of hexadecimal, which takes a sixth of the time of a Hash object.
  return Buffer.from(hash('md5', normalised, 'hex'), 'hex');
}

/** 32 octets: the SHA-256 of the UTF-8 of a normalised address, as mailers compare it. No secret. */
export function sha256Of(normalised: string): Buffer {
  return Buffer.from(hash('sha256', normalised, 'hex'), 'hex');
}

/**
 * The spellings that a mailer may have hashed: the normalised one, and, where the domain is an
 * internationalised one, that with its Unicode form (U-labels, RFC 5890).
 */
export function addressForms(normalised: string): string[] {
  const at = normalised.lastIndexOf('@');
  const domain = normalised.slice(at + 1);
  if (!domain.includes('xn--')) return [normalised];
  const unicode = domainToUnicode(domain);
  // A label that does not lead back is not what anyone typed.
  if (unicode === domain || domainToASCII(unicode) !== domain) return [normalised];
  return [normalised, `${normalised.slice(0, at + 1)}${unicode}`];
}

/**
 * Under which an entry of an address can stand in a list: the MD5s of its forms, and the first 16 octets of
 * their SHA-256s, for entries of which only that is known.
 */
export function entryKeysOf(normalised: string): Buffer[] {
  return addressForms(normalised).flatMap((form) => [md5Of(form), sha256Of(form).subarray(0, 16)]);
}

function refused(problem: AddressProblem): AddressResult {
  return { ok: false, problem };
}

function asAscii(text: string): string {
  return text
    .replace(fullWidthAscii, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/[\u3002\uFF61]/gu, '.')
    .replace(/\uFE6B/gu, '@');
}

function withoutAngles(link: string): string {
  return link.startsWith('<') && link.endsWith('>') ? withoutMailto(link.slice(1, -1).trim()) : link;
}

function withoutMailto(text: string): string {
  return text.slice(0, 7).toLowerCase() === 'mailto:' ? text.slice(7).trim() : text;
}

/** The place of the `@` behind a quoted string that opens the text; -1 where none follows it. */
function atAfterQuotes(text: string): number {
  let place = 1;
  while (place < text.length && text[place] !== '"') place += text[place] === '\\' ? 2 : 1;
  const rest = text.slice(place + 1);
  return rest.trimStart().startsWith('@') ? place + 1 + rest.indexOf('@') : -1;
}

/**
 * NFC and lower case, of no locale. Once is not enough for every text: what lower-casing takes apart,
 * NFC may put together. Letters that are lower case already stay as they are (final sigma, dotless i),
 * so that the hash is the one that others make of the same spelling.
 */
function keyForm(text: string): string {
  let before = text;
  // Two rounds settle every text known; the bound is there so that no future Unicode can hang us.
  for (let round = 0; round < 8; round++) {
    const after = before.normalize('NFC').toLowerCase().normalize('NFC');
    if (after === before) break;
    before = after;
  }
  return before;
}

function isLocalPart(local: string): boolean {
  if (!local.startsWith('"')) return local !== '' && !notInLocalPart.test(local);
  // RFC 5321, section 4.1.2: anything between the quotes, a quote or a backslash only behind a backslash.
  return /^"(?:[^"\\]|\\.)+"$/u.test(local) && !/[^\S ]/u.test(local);
}

/** The ASCII form of a domain of mail, lower-cased and without the root's dot; null where it is none. */
function asciiDomain(text: string): string | null {
  // domainToASCII is a URL's host parser: it ends at `/`, `?`, `#` and `\`, and decodes `%41`.
  if (text === '' || /[^A-Za-z0-9.\-\u0080-\u{10FFFF}]/u.test(text)) return null;
  const domain = domainToASCII(text).replace(/\.$/, '');
  if (domain.length > longestDomain) return null;
  const labels = domain.split('.');
  const isName = labels.length >= 2 && labels.every((label) => /^(?!-)[a-z0-9-]{1,63}(?<!-)$/.test(label));
  // A number at the end makes it an IPv4 address, in one of its spellings (0x7f.1).
  return isName && !/^[0-9]+$/.test(labels.at(-1) ?? '') ? domain : null;
}

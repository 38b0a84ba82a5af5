import { addressForms, entryKeysOf, parseAddress, sha256Of } from './address.js';
import { Invalid } from '../errors.js';
import type { OptOutRecord, Source } from './opt-outs.js';

/** What a person who looks for opt-outs of a list has typed and chosen. */
export interface OptOutFilter {
  readonly address: AddressPart | null;
  /** When they left: from then on, and before then; UTC milliseconds. */
  readonly from: number | null;
  readonly to: number | null;
  /** Exactly this tag; `*` is the opt-out from everything. */
  readonly tag: string | null;
  readonly source: Source | null;
  readonly credentialId: number | null;
  readonly state: OptOutState;
}

/** Whether they suppress at the moment. */
export const optOutStates = ['standing', 'removed', 'any'] as const;
export type OptOutState = (typeof optOutStates)[number];

/**
 * What is known of an address: all of it, or its MD5 (then entries of which only a hash is known are found as
 * well), its beginning, its domain, or any part of it. By `sha256`, entries are found of which only that is known;
 * by `hashed`, all of which it is the SHA-256: no index knows that of addresses.
 */
export interface AddressPart {
  readonly kind: 'address' | 'md5' | 'sha256' | 'hashed' | 'beginning' | 'domain' | 'part';
  /** In the normalised form; hashes in hexadecimal. */
  readonly text: string;
}

/** How a text is to be taken; `auto` leaves it to how the text looks. */
export const addressMatches = ['auto', 'beginning', 'domain', 'part', 'hashed'] as const;
export type AddressMatch = (typeof addressMatches)[number];

export const everyOptOut: OptOutFilter = {
  ...{ address: null, from: null, to: null, tag: null, source: null },
  ...{ credentialId: null, state: 'standing' },
};

const longestText = 254; // UTF-16 units: no part of an address is longer

/**
 * What was meant by what was typed. `auto`: `ann@example.com` is an address, `@example.com` and `example.com` are
 * domains, 32 and 64 hexadecimal digits hashes, `*ann*` a part; all else is a beginning, and so is `ann*`.
 *
 * @returns null for nothing but white space.
 * @throws Invalid `too-long`, or `malformed` for what cannot be a part of any address.
 */
export function readAddressPart(typed: string, match: AddressMatch = 'auto'): AddressPart | null {
  if (typed.length > longestText) {
    throw new Invalid('address', 'too-long', 'An address has at most 254 characters.');
  }
  const text = asAscii(typed).trim().normalize('NFC').toLowerCase();
  if (text === '') return null;
  // What stands for octets that are no UTF-8 would find nobody, without a word.
  if (/[\p{Cc}\p{Cs}\uFFFD]/u.test(text)) {
    throw new Invalid('address', 'malformed', 'This holds a character that is in no address.');
  }
  const stars = text.replace(/^\*+|\*+$/g, '');
  switch (match) {
    case 'beginning':
      return part('beginning', stars);
    case 'part':
      return part('part', stars);
    case 'domain':
      return domainPart(stars.replace(/^@/, ''));
    case 'hashed':
      if (/^[0-9a-f]{64}$/.test(text)) return { kind: 'hashed', text };
      throw new Invalid('address', 'malformed', 'A SHA-256 has 64 hexadecimal digits.');
    case 'auto':
      if (/^[0-9a-f]{32}$/.test(text)) return { kind: 'md5', text };
      if (/^[0-9a-f]{64}$/.test(text)) return { kind: 'sha256', text };
      if (text.startsWith('*')) return part('part', stars);
      if (text.endsWith('*')) return part('beginning', stars);
      if (text.startsWith('@')) return domainPart(text.slice(1));
      return text.includes('@') ? addressPart(typed, text) : (domainOf(text) ?? part('beginning', text));
  }
}

/** What an input method of Japanese or Chinese gives. */
function asAscii(text: string): string {
  return text.replace(/[\uFF01-\uFF5E]/gu, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
}

function part(kind: 'beginning' | 'part', text: string): AddressPart {
  if (text !== '') return { kind, text };
  throw new Invalid('address', 'malformed', 'Type a part of an address beside the *.');
}

function addressPart(typed: string, text: string): AddressPart {
  const parsed = parseAddress(typed, { typed: true });
  return parsed.ok ? { kind: 'address', text: parsed.address.normalised } : part('beginning', text);
}

function domainPart(text: string): AddressPart {
  const found = domainOf(text);
  if (found !== null) return found;
  throw new Invalid(
    'address',
    'malformed',
    'What stands after the @ is no domain name, such as example.com.',
  );
}

/** Without the dot of what is no domain yet (`example.`), it is none. */
function domainOf(text: string): AddressPart | null {
  const parsed = /^[^@\s]+$/.test(text) ? parseAddress(`x@${text}`) : null;
  if (parsed?.ok !== true) return null;
  return { kind: 'domain', text: parsed.address.normalised.slice('x@'.length) };
}

/** Under which keys the entries of such an address can stand; null where its key does not tell. */
export function keysOf({ kind, text }: AddressPart): Buffer[] | null {
  if (kind === 'address') return entryKeysOf(text);
  if (kind === 'md5') return [Buffer.from(text, 'hex')];
  return kind === 'sha256' ? [Buffer.from(text, 'hex').subarray(0, 16)] : null;
}

/** What of a row decides whether it is found. */
export type FilteredRow = Pick<
  OptOutRecord,
  'address_key' | 'address' | 'sha256' | 'tag' | 'source' | 'credential_id' | 'created_at'
> &
  Pick<OptOutRecord, 'removed_at' | 'expires_at'>;

/** Whether a row, as it counts, is one that is looked for. */
export function createTest(filter: OptOutFilter, at: number): (row: FilteredRow) => boolean {
  const { from, to, tag, source, credentialId, state } = filter;
  const hasAddress = filter.address === null ? () => true : createAddressTest(filter.address);
  return (row) => {
    const stands = row.removed_at === null && (row.expires_at === null || row.expires_at > at);
    if (state !== 'any' && stands !== (state === 'standing')) return false;
    if (from !== null && row.created_at < from) return false;
    if (to !== null && row.created_at >= to) return false;
    if (source !== null && row.source !== source) return false;
    if (credentialId !== null && row.credential_id !== credentialId) return false;
    return (tag === null || row.tag.toString() === tag) && hasAddress(row);
  };
}

function createAddressTest(part: AddressPart): (row: FilteredRow) => boolean {
  const { kind, text } = part;
  const hash = Buffer.from(text, 'hex');
  if (kind === 'sha256') return ({ sha256 }) => sha256?.equals(hash) === true;
  if (kind === 'hashed') {
    return ({ address, sha256 }) =>
      address === null
        ? sha256?.equals(hash) === true
        : addressForms(address.toString()).some((form) => sha256Of(form).equals(hash));
  }
  const keys = keysOf(part);
  if (keys !== null) return ({ address_key }) => keys.some((key) => key.equals(address_key));
  const hasText = createTextTest(part);
  return ({ address }) => address !== null && hasText(address);
}

/** Of beginnings, domains and parts alone: whether an address that is stored has it. */
export function createTextTest({ kind, text }: AddressPart): (address: Buffer) => boolean {
  const octets = Buffer.from(text);
  if (kind === 'beginning') return (address) => address.subarray(0, octets.length).equals(octets);
  if (kind === 'domain') {
    const end = Buffer.from(`@${text}`);
    return (address) => address.length > end.length && address.subarray(-end.length).equals(end);
  }
  // Domains are stored in ASCII, and typed as people see them.
  const isAscii = octets.length === text.length;
  return (address) =>
    address.includes(octets) ||
    (!isAscii && addressForms(address.toString()).some((form) => form.includes(text)));
}

import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** A network of an IP whitelist, or of trusted proxies. */
export interface Network {
  /** Canonical: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`. Equal networks have equal texts. */
  readonly text: string;
  /** Its first address in words of 32 bits, unsigned: one word is IPv4, four are IPv6. */
  words: readonly number[];
  /** Bits that are fixed: 0 to 32, or 0 to 128. */
  readonly prefix: number;
}

export type WhitelistProblem =
  'not-an-address' | 'bad-prefix' | 'host-bits' | 'too-wide' | 'private' | 'too-many' | 'too-long';

export interface WhitelistFault {
  /** The entry as typed, cut off after 100 characters; empty where the whole text is at fault. */
  entry: string;
  /** The entry's place, from 1; 0 where the whole text is at fault. */
  position: number;
  problem: WhitelistProblem;
  /** What was probably meant, to be offered: an address or network in canonical form, or nothing. */
  hint: string;
}

export type WhitelistResult = { ok: true; networks: Network[] } | { ok: false; problems: WhitelistFault[] };

const longestText = 64 * 1024; // octets
const mostEntries = 1000;
const widestUnconfirmed = { 1: 16, 4: 32 } as Record<number, number>;

// A leading zero is octal to some and decimal to others: 010.0.0.1 is 8.0.0.1 to inet_aton.
const dottedQuad = /^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/;

// What IANA's special-purpose registries (RFC 6890 and its updates) call not globally reachable, the old
// tunnels and multicast; less the documentation networks: nobody connects from those, and the manual's
// examples should be typeable. In IPv6, only 2000::/3 is global unicast to begin with (RFC 4291, 2.4).
const notGlobal: readonly Network[] = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/3'],
  ...['::/3', '2001::/23', '2002::/16', '4000::/2', '8000::/1'],
].map(knownNetwork);

/**
 * Reads an IP whitelist: addresses and networks between commas, semicolons or white space. Empty
 * entries are passed over, repeated ones kept once, the order stays. At most 1,000 entries and 64 KB.
 *
 * IPv4 is a plain dotted quad; IPv6 is any text of RFC 4291 without a zone, reprinted by RFC 5952. An
 * IPv4-mapped address or network (`::ffff:203.0.113.0/120`) becomes the IPv4 one; no other IPv6 may
 * end in a dotted quad.
 *
 * @param options.confirmWide lets in IPv4 networks wider than /16, and IPv6 ones wider than /32.
 * @param options.confirmPrivate lets in networks that hold addresses for which `isPrivateIp` is true.
 * @returns every fault of every entry; one entry can be both too wide and private.
 */
export function parseIpWhitelist(
  text: string,
  options: { confirmWide?: boolean; confirmPrivate?: boolean } = {},
): WhitelistResult {
  const whole = (problem: WhitelistProblem): WhitelistResult => ({
    ok: false,
    problems: [{ entry: '', position: 0, problem, hint: '' }],
  });
  if (text.length > longestText || Buffer.byteLength(text) > longestText) return whole('too-long');
  const entries = text.split(/[\s,;]+/u).filter((entry) => entry !== '');
  if (entries.length > mostEntries) return whole('too-many');

  const networks = new Map<string, Network>();
  const problems: WhitelistFault[] = [];
  entries.forEach((entry, index) => {
    const report = (problem: WhitelistProblem, hint: string) =>
      problems.push({ entry: entry.slice(0, 100), position: index + 1, problem, hint });
    const read = readEntry(entry);
    if ('problem' in read) return void report(read.problem, read.hint);
    const { network, isPrivate } = read;
    const isWide = network.prefix < (widestUnconfirmed[network.words.length] ?? 0);
    if (isWide && !options.confirmWide) report('too-wide', network.text);
    if (isPrivate && !options.confirmPrivate) report('private', network.text);
    networks.set(network.text, network);
  });
  return problems.length > 0 ? { ok: false, problems } : { ok: true, networks: [...networks.values()] };
}

/**
 * Whether an address is in one of the networks. False for null and for what is no address; an
 * IPv4-mapped address counts as the IPv4 one, and no IPv6 network holds an IPv4 address.
 */
export function isWhitelisted(networks: readonly Network[], ip: string | null): boolean {
  if (ip === null || networks.length === 0) return false;
  const words = wordsOf(ip);
  return words !== null && networks.some((network) => holds(network, words));
}

/**
 * The canonical text of an address (dotted quad, or RFC 5952), or null for everything else: ports,
 * brackets, short, octal and hexadecimal forms. IPv4-mapped IPv6 becomes IPv4; a zone
 * (`fe80::1%eth0`, RFC 4007) is dropped, since it means something on this machine alone.
 */
export function parseIp(text: string): string | null {
  const words = wordsOf(text);
  if (words === null) return null;
  // A dotted quad has but one form that passes.
  return text.includes(':') ? printed(words) : text;
}

/**
 * Whether an address is anything but a public one: private, loopback, link-local, shared (CGNAT),
 * unique local, multicast, a tunnel's, reserved (IANA's special-purpose registries). The networks set
 * aside for documentation count as public. True for what is no address.
 */
export function isPrivateIp(ip: string): boolean {
  const words = wordsOf(ip);
  return words === null || notGlobal.some((network) => holds(network, words));
}

/** In English, for the command line and logs: `203.0.113.0/24: 256 addresses`. */
export function explainNetwork(network: Network): string {
  const free = network.words.length * 32 - network.prefix;
  if (free === 0) return `${network.text}: 1 address`;
  const count = free > 32 ? `2^${free}` : (2 ** free).toLocaleString('en-US');
  return `${network.text}: ${count} addresses`;
}

interface Misread {
  readonly problem: WhitelistProblem;
  readonly hint: string;
}
type ReadEntry = { readonly network: Network; readonly isPrivate: boolean } | Misread;

/** A page of settings reads the same thousand entries several times over: in one turn of the event loop, mostly. */
const lastRead = new Map<string, ReadEntry>();
const mostRemembered = 5000;

function readEntry(entry: string): ReadEntry {
  const known = lastRead.get(entry);
  if (known !== undefined) return known;
  const found = parseNetwork(entry);
  const read = 'problem' in found ? found : { network: found, isPrivate: holdsPrivate(found) };
  if (lastRead.size >= mostRemembered) lastRead.clear();
  if (entry.length <= 100) lastRead.set(entry, read);
  return read;
}

function parseNetwork(entry: string): Network | Misread {
  const slash = entry.indexOf('/');
  const addressText = slash === -1 ? entry : entry.slice(0, slash);
  const prefixText = slash === -1 ? null : entry.slice(slash + 1);
  const words = addressText.includes('%') ? null : wordsOf(addressText);
  if (words === null) return { problem: 'not-an-address', hint: probablyMeant(entry) };

  const bits = words.length * 32;
  if (prefixText === null) return networkOf(words, bits);
  // A mapped network counts its prefix from IPv6's start: ::ffff:203.0.113.0/120 is 203.0.113.0/24.
  const shift = bits === 32 && addressText.includes(':') ? 96 : 0;
  const prefix = /^(?:0|[1-9]\d{0,2})$/.test(prefixText) ? Number(prefixText) - shift : -1;
  if (prefix < 0 || prefix > bits) {
    return { problem: 'bad-prefix', hint: networkOfNetmask(words, prefixText) };
  }
  const network = networkOf(words, prefix);
  return words.every((word, index) => word === network.words[index])
    ? network
    : { problem: 'host-bits', hint: network.text };
}

/** The words of an address, whichever its family, or null. */
function wordsOf(text: string): number[] | null {
  if (text.length > 100) return null;
  if (!text.includes(':')) return quadWords(text);
  const typed = text.replace(/%[A-Za-z0-9._~-]+$/, '');
  // ipaddr.js takes `::1.2.3.4` for a mapped address, so a quad at the end is put into hexadecimal first.
  const quad = typed.includes('.') ? quadWords(typed.slice(typed.lastIndexOf(':') + 1)) : [];
  if (quad === null) return null;
  const address = quad[0] === undefined ? typed : typed.replace(/[\d.]+$/, hexGroups(quad[0]));
  // Node is strict where ipaddr.js takes more than RFC 4291 has, and lets zones through, which are off.
  if (address.includes('%') || !isIPv6(address)) return null;
  const parts = ipaddr.IPv6.parse(address).parts;
  const words = [0, 2, 4, 6].map((place) => ((parts[place] ?? 0) * 0x10000 + (parts[place + 1] ?? 0)) >>> 0);
  const [first, second, third, last] = words;
  if (first === 0 && second === 0 && third === 0xffff && last !== undefined) return [last];
  return quad.length > 0 ? null : words;
}

function quadWords(text: string): number[] | null {
  if (!dottedQuad.test(text)) return null;
  const octets = text.split('.').map(Number);
  if (octets.some((octet) => octet > 255)) return null;
  return [octets.reduce((word, octet) => word * 256 + octet, 0)];
}

function hexGroups(word: number): string {
  return `${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
}

function printed(words: readonly number[]): string {
  const bytes = words.flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]);
  return bytes.length === 4 ? bytes.join('.') : ipaddr.fromByteArray(bytes).toString();
}

function networkOf(words: readonly number[], prefix: number): Network {
  const first = words.map((word, index) => (word & maskOf(prefix - index * 32)) >>> 0);
  const text = printed(first);
  return { text: prefix === words.length * 32 ? text : `${text}/${prefix}`, words: first, prefix };
}

function knownNetwork(text: string): Network {
  const network = parseNetwork(text);
  if ('problem' in network) throw new Error(`${text} is no network: ${network.problem}`);
  return network;
}

/** The mask of one word, of which so many leading bits are fixed; out-of-range counts mean none or all. */
function maskOf(fixedBits: number): number {
  if (fixedBits <= 0) return 0;
  return fixedBits >= 32 ? -1 : -1 << (32 - fixedBits);
}

function holds(network: Network, words: readonly number[], prefix = network.prefix): boolean {
  if (network.words.length !== words.length) return false;
  for (let index = 0; index * 32 < prefix; index++) {
    const differing = (network.words[index] ?? 0) ^ (words[index] ?? 0);
    if ((differing & maskOf(prefix - index * 32)) !== 0) return false;
  }
  return true;
}

function overlaps(one: Network, other: Network): boolean {
  return holds(one, other.words, Math.min(one.prefix, other.prefix));
}

function holdsPrivate(network: Network): boolean {
  return notGlobal.some((special) => overlaps(special, network));
}

function networkOfNetmask(words: readonly number[], netmask: string): string {
  if (words.length !== 1 || !dottedQuad.test(netmask)) return '';
  const prefix = quadWords(netmask) === null ? null : ipaddr.IPv4.parse(netmask).prefixLengthFromSubnetMask();
  return prefix === null ? '' : networkOf(words, prefix).text;
}

/** What someone meant by `203.0.113.*`, `203.0.113.7:443`, `[2001:db8::1]:443` or `https://…`; or nothing. */
function probablyMeant(entry: string): string {
  const wildcard = /^(\d{1,3}\.\d{1,3}\.\d{1,3})\.\*$/.exec(entry);
  const base = wildcard && quadWords(`${wildcard[1]}.0`);
  if (base) return networkOf(base, 24).text;
  const host = /^(?:https?:\/\/)?(?:\[([0-9A-Fa-f:.]+)\]|(\d[\d.]+))(?::\d{1,5})?\/?$/.exec(entry);
  return parseIp(host?.[1] ?? host?.[2] ?? '') ?? '';
}

import { isPrivateIp, isWhitelisted, parseIpWhitelist, type WhitelistFault } from '../core/ip-whitelist.js';
import type { Confirmations } from '../core/list-settings.js';
import { addressOf } from '../http/client-address-of.js';
import type { ListVisit } from './screen.js';
import { explainNetworks, explainWhitelist, faultText } from './whitelist-explained.js';

/** One entry as it was typed, and as it was understood. */
interface ReadEntry {
  readonly text: string;
  /** `256 addresses`; null where it could not be understood. */
  readonly size: string | null;
  /** What is wrong with it, or has to be confirmed. */
  readonly faults: readonly string[];
}

/** What the page says below the field. */
export interface ReadWhitelist {
  readonly entries: readonly ReadEntry[];
  /** How many more there are. */
  readonly more: number;
  /** What is wrong with the whole of it. */
  readonly faults: readonly string[];
  /** Entries that have to be confirmed, between blanks: what the box stands for, and for nothing else. */
  readonly wide: string;
  readonly private: string;
}

const mostShown = 100;
const mostEntries = 1000;
const longestText = 64 * 1024; // octets

/**
 * Reads a whitelist entry by entry: one that is wrong does not hide how the others were understood.
 *
 * @param standing what the list has: it was confirmed when it was set.
 */
export function readWhitelist(visit: ListVisit, text: string, standing: string): ReadWhitelist {
  const entries = text.split(/[\s,;]+/u, mostEntries + 3).filter((entry) => entry !== '');
  if (entries.length > mostEntries || Buffer.byteLength(text) > longestText) {
    return { entries: [], more: 0, faults: explainWhitelist(visit, text).faults, wide: '', private: '' };
  }
  const before = new Set(standing.split('\n'));
  const read = entries.map((entry) => readEntry(entry, before));
  // What is wrong must not be beyond those that are shown.
  const wrongFirst = [...read.filter(isWrong), ...read.filter((entry) => !isWrong(entry))];
  const shown = read.length > mostShown ? wrongFirst.slice(0, mostShown) : read;
  const needed = (problem: string) =>
    read
      .flatMap(({ network, faults }) => (faults.some((one) => one.problem === problem) ? [network] : []))
      .join(' ');
  return {
    entries: inWords(visit, shown),
    more: read.length - shown.length,
    faults: [],
    wide: needed('too-wide'),
    private: needed('private'),
  };
}

/** Boxes count for the entries that they stood for when they were ticked. */
export function confirmationsOf(
  { form }: ListVisit,
  { wide, private: unreachable }: ReadWhitelist,
): Required<Confirmations> {
  const covers = (name: string, needed: string) => {
    const confirmed = new Set((form?.get(name) ?? '').split(' '));
    return needed === '' || needed.split(' ').every((entry) => confirmed.has(entry));
  };
  return {
    confirmWide: covers('confirmWide', wide),
    confirmPrivate: covers('confirmPrivate', unreachable),
  };
}

/** Where the reader is now: to be let in, or why it cannot be offered. */
export type OwnAddress =
  | { readonly state: 'offered' | 'listed'; readonly ip: string }
  | { readonly state: 'proxy' | 'private' | 'unknown' };

/** Behind a proxy that is not trusted, it would be the proxy's, and let in everybody. */
export function ownAddressOf({ deps, req }: ListVisit, whitelist: string): OwnAddress {
  const { ip, forwardedByStranger } = addressOf(deps, req);
  if (forwardedByStranger) return { state: 'proxy' };
  if (ip === null) return { state: 'unknown' };
  if (isPrivateIp(ip)) return { state: 'private' };
  const read = parseIpWhitelist(whitelist, { confirmWide: true, confirmPrivate: true });
  return { state: read.ok && isWhitelisted(read.networks, ip) ? 'listed' : 'offered', ip };
}

/** An entry that has not been put into words: of a thousand, few are shown. */
interface FoundEntry {
  readonly entry: string;
  /** In canonical form; empty where it could not be understood. */
  readonly network: string;
  readonly faults: readonly WhitelistFault[];
}

function isWrong({ faults }: FoundEntry): boolean {
  return faults.length > 0;
}

function readEntry(entry: string, before: ReadonlySet<string>): FoundEntry {
  const read = parseIpWhitelist(entry);
  if (read.ok) return { entry, network: read.networks[0]?.text ?? '', faults: [] };
  const faults = read.problems;
  // What only has to be confirmed was understood.
  const isUnderstood = faults.every(({ problem }) => problem === 'too-wide' || problem === 'private');
  const network = isUnderstood ? (faults[0]?.hint ?? '') : '';
  return { entry, network, faults: network !== '' && before.has(network) ? [] : faults };
}

function inWords(visit: ListVisit, shown: readonly FoundEntry[]): ReadEntry[] {
  const networks = shown.map(({ network }) => network).join(' ');
  const read = parseIpWhitelist(networks, { confirmWide: true, confirmPrivate: true });
  const explained = read.ok ? explainNetworks(visit, read.networks) : [];
  const sizes = new Map(explained.map(({ text, size }) => [text, size]));
  return shown.map(({ entry, network, faults }) => ({
    text: network === '' ? entry.slice(0, 100) : network,
    size: sizes.get(network) ?? null,
    faults: faults.map((fault) => faultText(visit, fault)),
  }));
}

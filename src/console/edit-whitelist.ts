import { isPrivateIp, isWhitelisted, parseIpWhitelist } from '../core/ip-whitelist.js';
import type { Confirmations } from '../core/list-settings.js';
import { addressOf } from '../http/client-address-of.js';
import type { ListVisit } from './screen.js';
import { explainNetworks, explainWhitelist } from './whitelist-explained.js';

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

/**
 * Reads a whitelist entry by entry: one that is wrong does not hide how the others were understood.
 *
 * @param standing what the list has: it was confirmed when it was set.
 */
export function readWhitelist(visit: ListVisit, text: string, standing: string): ReadWhitelist {
  const whole = explainWhitelist(visit, text, { confirmWide: true, confirmPrivate: true });
  const entries = text.split(/[\s,;]+/u).filter((entry) => entry !== '');
  const isTooMuch = whole.faults.length > 0 && entries.length > 1000;
  if (isTooMuch || text.length > 64 * 1024) {
    return { entries: [], more: 0, faults: whole.faults, wide: '', private: '' };
  }
  const before = new Set(standing.split('\n'));
  const read = entries.map((entry) => readEntry(visit, entry, before));
  // What is wrong must not be beyond those that are shown.
  const wrongFirst = [...read.filter(isWrong), ...read.filter((entry) => !isWrong(entry))];
  const shown = read.length > mostShown ? wrongFirst.slice(0, mostShown) : read;
  const needed = (problem: string) =>
    read.flatMap(({ network, problems }) => (problems.includes(problem) ? [network] : [])).join(' ');
  return {
    entries: shown,
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

function isWrong({ faults }: ReadEntry): boolean {
  return faults.length > 0;
}

function readEntry(
  visit: ListVisit,
  entry: string,
  before: ReadonlySet<string>,
): ReadEntry & { network: string; problems: readonly string[] } {
  const all = { confirmWide: true, confirmPrivate: true };
  const understood = parseIpWhitelist(entry, all);
  const network = understood.ok ? understood.networks[0] : undefined;
  if (network === undefined) {
    const { faults } = explainWhitelist(visit, entry, all);
    return { text: entry.slice(0, 100), size: null, faults, network: '', problems: [] };
  }
  const size = explainNetworks(visit, [network])[0]?.size ?? null;
  const { text } = network;
  if (before.has(text)) return { text, size, faults: [], network: text, problems: [] };
  const bare = parseIpWhitelist(entry);
  const problems = bare.ok ? [] : bare.problems.map(({ problem }) => problem);
  return { text, size, faults: explainWhitelist(visit, entry).faults, network: text, problems };
}

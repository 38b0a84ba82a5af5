import { parseIpWhitelist, type Network, type WhitelistFault } from '../core/ip-whitelist.js';
import type { Confirmations } from '../core/list-settings.js';
import type { AnyVisit } from './screen.js';

/** What stands in the field of an IP whitelist, in the reader's words. */
export interface ExplainedWhitelist {
  /** Each entry as it was understood: `203.0.113.0/24`, `256 addresses`. None while one cannot be understood. */
  readonly networks: readonly { readonly text: string; readonly size: string }[];
  /** What is wrong with it, a sentence each; nothing where it passes. At most 20 of them. */
  readonly faults: readonly string[];
}

type Words = Pick<AnyVisit, 't' | 'formats'>;

const mostFaults = 20;

/** @param confirmations what has been confirmed with it; of a whitelist that is stored, both. */
export function explainWhitelist(
  words: Words,
  text: string,
  { confirmWide = false, confirmPrivate = false }: Confirmations = {},
): ExplainedWhitelist {
  const found = parseIpWhitelist(text, { confirmWide, confirmPrivate });
  const understood = parseIpWhitelist(text, { confirmWide: true, confirmPrivate: true });
  return {
    networks: understood.ok ? explainNetworks(words, understood.networks) : [],
    faults: found.ok ? [] : found.problems.slice(0, mostFaults).map((fault) => faultText(words, fault)),
  };
}

/** The same of networks that are known already. */
export function explainNetworks({ t, formats }: Words, networks: readonly Network[]) {
  // A text of each size that there is, rather than of each of a thousand networks.
  const sizes = new Map<number, string>();
  return networks.map(({ text, words, prefix }) => {
    const free = words.length * 32 - prefix;
    // Beyond that, nobody reads the digits.
    const shown = free > 32 ? `2${raised(free)}` : formats.number(2 ** free);
    const size = sizes.get(free) ?? t('whitelist.size', { count: free === 0 ? 1 : 2, shown });
    sizes.set(free, size);
    return { text, size };
  });
}

/** As an exponent is written. */
function raised(n: number): string {
  return [...String(n)].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]).join('');
}

export function faultText({ t }: Words, { entry, problem, hint }: WhitelistFault): string {
  const what = t(`whitelist.fault.${problem}`, { entry });
  return hint === '' || hint === entry ? what : `${what} ${t('whitelist.hint', { hint })}`;
}

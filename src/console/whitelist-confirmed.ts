import { parseIpWhitelist, type Network, type WhitelistProblem } from '../core/ip-whitelist.js';
import type { Confirmations } from '../core/list-settings.js';

/** What of a whitelist has to be confirmed by a box, and whether it was. */
export interface ConfirmedWhitelist extends Required<Confirmations> {
  /** Entries between blanks, which the box stands for, and for nothing else; empty: no box is due. */
  readonly wide: string;
  readonly private: string;
}

/**
 * @param form with the boxes `confirmWide` and `confirmPrivate`; null before anything was sent.
 * @param standing what was confirmed when it was set.
 */
export function confirmedIn(
  form: URLSearchParams | null,
  text: string,
  standing: readonly Network[] = [],
): ConfirmedWhitelist {
  const known = new Set(standing.map((network) => network.text));
  const bare = parseIpWhitelist(text);
  const needed = (wanted: WhitelistProblem) =>
    bare.ok
      ? []
      : bare.problems
          .filter(({ problem, hint }) => problem === wanted && !known.has(hint))
          // Of these two problems, the hint is the entry in its canonical form.
          .map(({ hint }) => hint);
  const covers = (name: string, entries: readonly string[]) => {
    const confirmed = new Set((form?.get(name) ?? '').split(' '));
    return entries.every((entry) => confirmed.has(entry));
  };
  const [wide, unreachable] = [needed('too-wide'), needed('private')];
  return {
    ...{ wide: wide.join(' '), private: unreachable.join(' ') },
    confirmWide: covers('confirmWide', wide),
    confirmPrivate: covers('confirmPrivate', unreachable),
  };
}

import { parseAddress, type AddressProblem } from './address.js';
import type { Item } from './check.js';

/** Why a text is no item. */
export type ItemProblem = AddressProblem | 'sha1';

/** What `typed` reads otherwise. */
const hasWide = /[\uFF01-\uFF5E\u3002\uFF61\uFE6B]/;

/**
 * What a text asks about: an address, or an MD5 or SHA-256 in letters of any case. Full-width letters are the
 * ASCII ones where a person typed them, and are meant where a program recorded the address: both are asked
 * about.
 */
export function itemsIn(text: string): readonly Item[] | ItemProblem {
  const trimmed = text.trim();
  const digits = /^(?:0x)?([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$/i.exec(trimmed)?.[1];
  if (digits?.length === 32) return [{ md5: Buffer.from(digits, 'hex') }];
  if (digits?.length === 64) return [{ sha256: Buffer.from(digits, 'hex') }];
  if (digits !== undefined) return 'sha1';
  const readings = hasWide.test(trimmed) ? [true, false] : [false];
  const addresses = new Set<string>();
  let problem: AddressProblem = 'missing';
  for (const typed of readings) {
    const result = parseAddress(trimmed, { typed });
    if (result.ok) addresses.add(result.address.normalised);
    else problem = result.problem;
  }
  return addresses.size === 0 ? problem : [...addresses].map((normalised) => ({ normalised }));
}

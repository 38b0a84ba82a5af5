import { addressForms, md5Of, sha256Of } from '../../src/core/address.js';
import { rowKinds, type PlantedRow } from './core.js';

/** How entries of one person can stand on a list, each with the items that it suppresses. */

/** A number from 0 to below `end`, the same run by run: a failure can be had again. */
export type Random = (end: number) => number;

export function randomFrom(seed: number): Random {
  let state = seed;
  return (end) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
}

export interface ModelEntry {
  readonly listId: number;
  readonly row: PlantedRow;
  /** The items that it suppresses while it stands: addresses, and hashes in hexadecimal. */
  readonly suppresses: ReadonlySet<string>;
  readonly tag: string;
  readonly isStanding: boolean;
}

/** In hexadecimal, of a form of an address. */
const hashesOf = (form: string) => [md5Of(form), sha256Of(form)].map((hash) => hash.toString('hex'));

/** All that can be asked about a person: the address, and both hashes of each form of it. */
export function itemsAbout(email: string): string[] {
  return [email, ...addressForms(email).flatMap(hashesOf)];
}

/** An entry of a random kind, tag and fate. */
export function randomEntry(random: Random, listId: number, email: string, at: number): ModelEntry {
  const pick = <T>(values: readonly T[]) => values[random(values.length)] as T;
  const form = pick(addressForms(email));
  const [md5 = '', sha256 = ''] = hashesOf(form);
  const [row, items] = pick([
    [rowKinds.plain(email), itemsAbout(email)] as const,
    [rowKinds.md5Only(form), [email, md5]] as const,
    [rowKinds.sha256Only(form), [email, sha256]] as const,
    [rowKinds.erased(form), [email, md5, sha256]] as const,
  ]);
  const tag = pick(['*', '*', 'offers', 'news']);
  const fate = pick(['stands', 'stands', 'stands', 'expires', 'removed', 'expired'] as const);
  const fates = {
    stands: {},
    expires: { expires_at: at + 1 },
    removed: { removed_at: at - 1 },
    expired: { expires_at: at },
  };
  return {
    listId,
    row: { ...row, tag: Buffer.from(tag), ...fates[fate] },
    suppresses: new Set(items),
    tag,
    isStanding: fate === 'stands' || fate === 'expires',
  };
}

/** The lists that suppress an item, by looking at every entry. */
export function listsByModel(entries: readonly ModelEntry[], item: string, tag?: string): number[] {
  const counted = entries.filter(
    (entry) =>
      entry.isStanding && (tag === undefined || ['*', tag].includes(entry.tag)) && entry.suppresses.has(item),
  );
  return [...new Set(counted.map(({ listId }) => listId))].sort((a, b) => a - b);
}

/** Of two entries under the same key and tag of one list, the database has the last one alone. */
export function lastOfEach(entries: readonly ModelEntry[]): ModelEntry[] {
  const keyOf = ({ listId, row, tag }: ModelEntry) => `${listId} ${row.address_key?.toString('hex')} ${tag}`;
  return [...new Map(entries.map((entry) => [keyOf(entry), entry])).values()];
}

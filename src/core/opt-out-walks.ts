import { engineOf, type Db } from '../db/connect.js';
import { md5Of } from './address.js';
import { behind } from './audit-slices.js';
import { getCounts } from './feed.js';
import { createTextTest, keysOf, type OptOutFilter } from './opt-out-filter.js';
import { addressesBeyond } from './opt-out-slices.js';
import type { OptOutRecord } from './opt-outs.js';

/** The ways through a list's opt-outs that a search takes (opt-out-find.ts), each in slices of its index. */
export interface Walk {
  /** From a place on: slices in the walk's order, in which what is not wanted may still be. */
  slices(asked: Asked, place: Place | null): AsyncGenerator<Slice>;
  /** The place behind a row that was found. @param edge of a slice of the same search. */
  behind(row: FoundRow, edge: Place): Place;
  /** How much has been looked at: 0 to 1. */
  share(asked: Asked, at: { readonly behind: Place; readonly looked: number }): Promise<number | null>;
}

export type Place = readonly (string | number | null)[];

export interface Asked {
  readonly db: Db;
  readonly listId: number;
  readonly filter: OptOutFilter;
  readonly at: number;
  /** No removal of all of the list is under way: rows count as they stand. */
  readonly isWhole: boolean;
}

export interface Slice {
  readonly rows: FoundRow[];
  /** Behind all of it. */
  readonly edge: Place;
  /** Nothing follows. */
  readonly isLast: boolean;
  readonly looked: number;
  readonly cost: number;
}

/** What a search tells of an opt-out: no more, since it may look at a million. */
export type FoundOptOut = Pick<OptOutRecord, (typeof foundColumns)[number]>;

/** SQLite's own number of a row beside it, where its walk goes by that. */
export interface FoundRow extends FoundOptOut {
  readonly row_number?: number;
}

export const foundColumns = [
  ...(['list_id', 'address_key', 'tag', 'address', 'sha256', 'created_at', 'last_at', 'source'] as const),
  ...(['reason', 'expires_at', 'mailer_id', 'credential_id', 'removed_at', 'removal_id'] as const),
  'feed_number',
] as const;

/** A row of which all is read costs as much as so many of an index. */
export const wholeRow = 8;

/** Rows a query: few milliseconds of SQLite's one connection. */
export const mostRows = { sqlite: 250, mysql: 1000 } as const;
/** In an index alone. */
export const mostIndexed = { sqlite: 500, mysql: 2000 } as const;
/** Mostly a page is found at once. */
export const fewRows = 64;

/** By the key of the address: all that it has. */
export const keyWalk: Walk = {
  async *slices({ db, listId, filter }, place) {
    const keys = (filter.address === null ? null : keysOf(filter.address)) ?? [];
    const rows = await rowsUnder(db, listId, keys);
    const rest = rows.filter((row) => place === null || isBehind(row, place)).sort(compareKeys);
    yield { rows: rest, edge: [], isLast: true, looked: rest.length, cost: rest.length * wholeRow };
  },
  behind: (row) => keyPlace(row),
  share: () => Promise.resolve(null),
};

/**
 * By address, in its order, through the index of those that stand. What holds the text is read whole by its key;
 * the rest is passed over in the index alone.
 */
export const addressWalk: Walk = {
  async *slices({ db, listId, filter: { address: part } }, place) {
    if (part === null) return;
    const hasText = createTextTest(part);
    let after = place === null ? null : String(place[0]);
    const tag = place?.[1] ?? null;
    if (after !== null && tag !== null) {
      const own = await rowsUnder(db, listId, [md5Of(after)]);
      const rows = own.filter((row) => Buffer.compare(row.tag, Buffer.from(String(tag), 'hex')) > 0);
      yield { ...read(rows.sort(compareKeys)), edge: [after, null], isLast: false };
    }
    const most = mostIndexed[engineOf(db).name];
    for (let limit = part.kind === 'part' ? most : fewRows; ; limit = Math.min(most, limit * 2)) {
      const { addresses, looked, last } = await addressesBeyond(db, listId, after, limit, part);
      // An address stands there once a tag.
      const different = addresses.filter((one, i) => addresses[i - 1]?.equals(one) !== true).filter(hasText);
      for (let i = 0; i < different.length; i += fewRows) {
        const some = different.slice(i, i + fewRows);
        const keys = some.map((one) => md5Of(one.toString()));
        const rows = (await rowsUnder(db, listId, keys)).sort(compareAddresses);
        yield { ...read(rows), edge: [String(some.at(-1)), null], isLast: false };
      }
      after = last === null ? after : last.toString();
      const isLast = looked < limit;
      yield { rows: [], edge: [after, null], isLast, looked, cost: looked / 2 };
      if (isLast) return;
    }
  },
  behind: ({ address, tag }) => [String(address), tag.toString('hex')],
  async share({ db, listId, filter }, { looked }) {
    if (filter.address?.kind !== 'part') return null;
    const { addresses } = await getCounts(db, listId);
    return Math.min(0.99, looked / Math.max(1, addresses));
  },
};

/** By domain: on SQLite those recorded last first, elsewhere by key. */
export const domainWalk: Walk = {
  async *slices({ db, listId, filter }, place) {
    const isSqlite = engineOf(db).name === 'sqlite';
    const domain = Buffer.from(filter.address?.text ?? '');
    let start = place;
    for (let limit = fewRows; ; limit = Math.min(mostRows[engineOf(db).name], limit * 2)) {
      const rows: FoundRow[] = await db(db.raw(`opt_outs AS o ${engineOf(db).byIndex('opt_outs_domain')}`))
        .where({ list_id: listId, domain })
        .modify((query) => {
          if (!isSqlite) void query.modify(behind, 'o', start === null ? undefined : keyOf(start));
          else if (start !== null) void query.where('rowid', '<', start[0] ?? 0);
        })
        .orderBy(isSqlite ? [{ column: 'rowid', order: 'desc' }] : ['address_key', 'tag'])
        .limit(limit)
        .select(...foundColumns, ...(isSqlite ? [db.raw('rowid AS row_number')] : []));
      const last = rows.at(-1);
      const isLast = rows.length < limit || last === undefined;
      start = last === undefined ? start : this.behind(last, []);
      yield { rows, edge: start ?? [], isLast, looked: rows.length, cost: rows.length * wholeRow };
      if (isLast) return;
    }
  },
  behind: (row) => (row.row_number === undefined ? keyPlace(row) : [row.row_number]),
  share: () => Promise.resolve(null),
};

/** What the index has told of already. */
function read(rows: FoundRow[]): Pick<Slice, 'rows' | 'looked' | 'cost'> {
  return { rows, looked: 0, cost: rows.length * wholeRow };
}

async function rowsUnder(db: Db, listId: number, keys: readonly Buffer[]): Promise<FoundRow[]> {
  if (keys.length === 0) return [];
  return db(db.raw(`opt_outs ${engineOf(db).byIndex(null)}`))
    .where({ list_id: listId })
    .whereIn('address_key', keys)
    .select(...foundColumns) as Promise<FoundRow[]>;
}

function keyPlace({ address_key, tag }: Keyed): Place {
  return [address_key.toString('hex'), tag.toString('hex')];
}

function keyOf(place: Place): { address_key: Buffer; tag: Buffer } {
  const [key, tag] = place.map((text) => Buffer.from(String(text), 'hex'));
  return { address_key: key ?? Buffer.alloc(0), tag: tag ?? Buffer.alloc(0) };
}

function isBehind(row: Keyed, place: Place): boolean {
  return compareKeys(row, keyOf(place)) > 0;
}

type Keyed = Pick<OptOutRecord, 'address_key' | 'tag'>;

function compareKeys(a: Keyed, b: Keyed): number {
  return Buffer.compare(a.address_key, b.address_key) || Buffer.compare(a.tag, b.tag);
}

function compareAddresses(a: FoundRow, b: FoundRow): number {
  return (
    Buffer.compare(a.address ?? Buffer.alloc(0), b.address ?? Buffer.alloc(0)) || Buffer.compare(a.tag, b.tag)
  );
}

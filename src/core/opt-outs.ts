import type { Db } from '../db/connect.js';
import { entryKeysOf, md5Of, type Address } from './address.js';
import { notStillToGo, type RemovalUnderWay } from './removals-under-way.js';

/** The doors that an opt-out can come through. */
export const sources = [
  'page',
  'direct-link',
  'one-click',
  'pixel',
  'server',
  'api',
  'import',
  'console',
] as const;
export type Source = (typeof sources)[number];

/** The doors that record without anybody pressing anything; `direct-link` does where it is `instant`. */
export const machineDoors = ['pixel', 'one-click', 'direct-link'] as const satisfies readonly Source[];

/** The tag of an opt-out from all of a list's mail. */
export const EVERYTHING = '*';

/** One address leaving one list, or one tag of it. */
export interface OptOut {
  readonly listId: number;
  readonly address: Address;
  readonly tag: string;
  readonly source: Source;
  /** When they left, and when we learnt it: UTC milliseconds. */
  readonly createdAt: number;
  readonly recordedAt: number;
  readonly reason?: string | null;
  /** From then on it suppresses nobody; null: never. */
  readonly expiresAt?: number | null;
  readonly mailerId?: number | null;
  readonly credentialId?: number | null;
  readonly ip?: string | null;
  readonly receipt?: Buffer | null;
  /** A signed link brought it, or the owner's own people did: nobody else can have made it. */
  readonly isVouched?: boolean;
}

/** An opt-out of somebody of whom only hashes are known; with both of them, of an erased person. */
export interface HashedOptOut extends Omit<OptOut, 'address'> {
  readonly hashes:
    | { readonly md5: Buffer; readonly sha256?: Buffer }
    | { readonly md5?: undefined; readonly sha256: Buffer };
}

/** A row of `opt_outs` as the recorder writes it. */
export type OptOutRow = readonly (string | number | Buffer | null)[];

/** Those that the recorder writes, in this order. */
export const columns = [
  'list_id',
  'address_key',
  'tag',
  'address',
  'given',
  'sha256',
  'created_at',
  'recorded_at',
  'last_at',
  'source',
  'reason',
  'expires_at',
  'mailer_id',
  'credential_id',
  'ip',
  'receipt',
  'vouched',
] as const;

export function rowOf(optOut: OptOut | HashedOptOut): OptOutRow {
  const [key, address, given, sha256] = 'hashes' in optOut ? hashesOf(optOut) : addressOf(optOut);
  return [
    optOut.listId,
    key,
    Buffer.from(optOut.tag),
    address,
    given,
    sha256,
    optOut.createdAt,
    optOut.recordedAt,
    optOut.recordedAt,
    optOut.source,
    optOut.reason == null ? null : Buffer.from(optOut.reason),
    optOut.expiresAt ?? null,
    optOut.mailerId ?? null,
    optOut.credentialId ?? null,
    optOut.ip ?? null,
    optOut.receipt ?? null,
    optOut.isVouched === true ? 1 : 0,
  ];
}

type Who = [key: Buffer, address: Buffer | null, given: Buffer | null, sha256: Buffer | null];

/** `given` is kept only where it says more than the normalised address does. */
function addressOf({ address: { normalised, given } }: OptOut): Who {
  return [md5Of(normalised), Buffer.from(normalised), given === normalised ? null : Buffer.from(given), null];
}

function hashesOf({ hashes: { md5, sha256 } }: HashedOptOut): Who {
  return [md5 ?? sha256.subarray(0, 16), null, null, sha256 ?? null];
}

const sourceColumn = columns.indexOf('source');

export function sourceOf(row: OptOutRow): Source {
  return row[sourceColumn] as Source;
}

/** By the primary key: statements that lock rows in one order do not deadlock each other. */
export function compareRows(a: OptOutRow, b: OptOutRow): number {
  return (
    (a[0] as number) - (b[0] as number) ||
    Buffer.compare(a[1] as Buffer, b[1] as Buffer) ||
    Buffer.compare(a[2] as Buffer, b[2] as Buffer)
  );
}

/** The SQL condition of a row that suppresses its address at the time of the one binding. */
export const LIVE = 'removed_at IS NULL AND (expires_at IS NULL OR expires_at > ?)';

export interface OptOutRecord {
  readonly list_id: number;
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly address: Buffer | null;
  readonly given: Buffer | null;
  readonly sha256: Buffer | null;
  readonly created_at: number;
  readonly recorded_at: number;
  readonly last_at: number;
  readonly repeats: number;
  readonly source: Source;
  readonly reason: Buffer | null;
  readonly expires_at: number | null;
  readonly mailer_id: number | null;
  readonly credential_id: number | null;
  readonly ip: string | null;
  readonly receipt: Buffer | null;
  readonly vouched: number;
  readonly removed_at: number | null;
  readonly removal_id: number | null;
  readonly feed_number: number | null;
  readonly counted: number;
  readonly stands_from: number;
}

/**
 * Takes an address off a list again, leaving a tombstone that the feed carries out as a removal.
 *
 * @param tag one tag's row; without it, all rows of the address.
 * @param underWay removals of all of the list that are being carried out: what they have yet to take is passed over.
 * @returns how many rows ceased to suppress.
 */
export async function removeOptOuts(
  db: Db,
  listId: number,
  normalised: string,
  { tag, at = Date.now(), removalId = null, underWay = [] }: OneRemoval = {},
): Promise<number> {
  return db('opt_outs')
    .where({ list_id: listId })
    .whereIn('address_key', entryKeysOf(normalised))
    .modify((query) => {
      if (tag !== undefined) void query.where({ tag: Buffer.from(tag) });
    })
    .modify(notStillToGo, underWay)
    .whereRaw(LIVE, [at])
    .update({ removed_at: at, removal_id: removalId, feed_number: null });
}

interface OneRemoval {
  readonly tag?: string;
  readonly at?: number;
  readonly removalId?: number | null;
  readonly underWay?: readonly RemovalUnderWay[];
}

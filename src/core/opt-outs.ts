import { engineOf, type Db } from '../db/connect.js';
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
const machineSources = machineDoors.map((source) => `'${source}'`).join(', ');
/** The doors by which recipients themselves leave; who does once more got a mail meanwhile (not-honoured.ts). */
const recipientSources = "'page', 'direct-link', 'one-click', 'pixel'";

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

/**
 * Writes opt-outs in one statement, which is also one commit. Only the recorder calls this.
 *
 * Recording an address again merges: where the standing row suppresses, the first time, source and
 * receipt stay, the later expiry counts (none is the latest), and last_at and repeats move on (repeats not
 * for an import: a file that comes again says nothing of mail that was sent meanwhile). A removed
 * or expired row is revived with the new values. What the feed has to carry again (a revival, an address
 * where there was a hash, a later expiry, of which a reader may have seen the first one pass) loses its
 * feed number. An erased person's row never gets its address back while it suppresses, whichever door
 * brings it.
 *
 * `vouched` says that somebody else than its first client stands behind an opt-out: a signed link, another
 * network, or a person at the page. Taking a burst back leaves such rows (bursts.ts).
 *
 * @returns true where surely none of them stood before, not even as removed: SQLite, and MySQL of a single row, never
 *   tell.
 */
export async function writeOptOuts(db: Db, rows: readonly OptOutRow[]): Promise<boolean> {
  const { name, areAllNew } = engineOf(db);
  const merge = (mergeClauses[name] ??= mergeClause(db));
  const sql = `${insertInto} ${Array(rows.length).fill(placeholders).join(',')} ${merge}`;
  return areAllNew(await db.raw(sql, rows.flat() as (string | number | Buffer)[]));
}

const insertInto = `INSERT INTO opt_outs (${columns.join(', ')}) VALUES`;
const placeholders = `(${columns.map(() => '?').join(',')})`;
const mergeClauses: { sqlite?: string; mysql?: string } = {};

/**
 * MySQL assigns from left to right and reads what it has assigned, SQLite reads the standing row
 * throughout. Written so that both come to the same: a column stands after all that look at it,
 * `removed_at`, which everything looks at, last.
 */
function mergeClause(db: Db): string {
  const { incoming, onRepeat, smaller, larger, nullSafeEqual, clientNetwork } = engineOf(db);
  const live = `opt_outs.removed_at IS NULL AND (opt_outs.expires_at IS NULL OR opt_outs.expires_at > ${incoming('recorded_at')})`;
  const erased = 'opt_outs.address IS NULL AND opt_outs.sha256 IS NOT NULL';
  const kept = (column: string) =>
    `${column} = CASE WHEN ${live} THEN opt_outs.${column} ELSE ${incoming(column)} END`;
  const filled = (column: string) =>
    `${column} = CASE WHEN NOT (${live}) THEN ${incoming(column)} WHEN ${erased} THEN NULL
      WHEN opt_outs.address IS NULL THEN ${incoming(column)} ELSE opt_outs.${column} END`;
  const isSameClient = `${clientNetwork('opt_outs.ip')} ${nullSafeEqual} ${clientNetwork(incoming('ip'))}
      AND (opt_outs.source = ${incoming('source')} OR ${incoming('source')} IN (${machineSources}))`;
  return `${onRepeat}
    feed_number = CASE WHEN NOT (${live}) THEN NULL
      WHEN opt_outs.address IS NULL AND opt_outs.sha256 IS NULL AND ${incoming('address')} IS NOT NULL THEN NULL
      WHEN ${incoming('expires_at')} IS NULL AND opt_outs.expires_at IS NOT NULL THEN NULL
      WHEN ${incoming('expires_at')} > opt_outs.expires_at THEN NULL
      ELSE opt_outs.feed_number END,
    created_at = CASE WHEN ${live} THEN ${smaller('opt_outs.created_at', incoming('created_at'))}
      ELSE ${incoming('created_at')} END,
    last_at = CASE WHEN ${live} THEN ${larger('opt_outs.last_at', incoming('last_at'))}
      ELSE ${incoming('last_at')} END,
    repeats = CASE WHEN NOT (${live}) THEN 0 WHEN ${incoming('source')} = 'import' THEN opt_outs.repeats
      ELSE opt_outs.repeats + 1 END,
    vouched = CASE WHEN ${live} AND ${incoming('vouched')} = 0 AND ${isSameClient} THEN opt_outs.vouched
      WHEN ${live} THEN 1 ELSE ${incoming('vouched')} END,
    figured = CASE WHEN ${live} THEN opt_outs.figured ELSE 0 END,
    left_again_at = CASE WHEN NOT (${live}) THEN NULL
      WHEN ${incoming('source')} NOT IN (${recipientSources}) THEN opt_outs.left_again_at
      ELSE ${larger('COALESCE(opt_outs.left_again_at, 0)', incoming('recorded_at'))} END,
    ${['recorded_at', 'source', 'reason', 'mailer_id', 'credential_id', 'ip', 'receipt'].map(kept).join(', ')},
    ${filled('given')},
    ${filled('address')},
    ${kept('sha256')},
    expires_at = CASE WHEN NOT (${live}) THEN ${incoming('expires_at')}
      WHEN opt_outs.expires_at IS NULL OR ${incoming('expires_at')} IS NULL THEN NULL
      ELSE ${larger('opt_outs.expires_at', incoming('expires_at'))} END,
    removed_at = NULL`.replace(/\s+/g, ' ');
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

import { engineOf, type Db } from '../db/connect.js';
import { addressForms, entryKeysOf, md5Of } from './address.js';
import { getBulkRemoval, type BulkRemoval } from './bulk-removals.js';
import type { OptOutKey } from './found-removal-slices.js';
import type { List } from './lists.js';
import type { OptOutRecord } from './opt-outs.js';
import { namesOfMailers } from './people.js';
import { asItCounts, removalsUnderWay } from './removals-under-way.js';

/** All that is known of one opt-out, for whoever looks at it. */
export interface OptOutDetails {
  readonly optOut: OptOutRecord;
  readonly kind: OptOutKind;
  readonly mailer: string | null;
  readonly credential: string | null;
  /** Null for one that stands. */
  readonly removedBy: RemovedBy | null;
  /** Newest first; at most 100. */
  readonly history: readonly NotedOfOptOut[];
  /** The same address, by other tags and on other lists of the account; at most 100. */
  readonly others: readonly OtherOptOut[];
}

/** What an entry is known by. */
export type OptOutKind = 'address' | 'md5' | 'sha256' | 'erased';

export function kindOf({
  address,
  address_key,
  sha256,
}: Pick<OptOutRecord, 'address' | 'address_key' | 'sha256'>): OptOutKind {
  if (address !== null) return 'address';
  if (sha256 === null) return 'md5';
  return sha256.subarray(0, 16).equals(address_key) ? 'sha256' : 'erased';
}

/** What made it cease to suppress: its time ran out, a removal of several, or what the history says. */
export type RemovedBy =
  | { readonly what: 'expired' }
  | { readonly what: 'removal'; readonly removal: BulkRemoval }
  | { readonly what: 'noted'; readonly noted: NotedOfOptOut }
  | { readonly what: 'unknown' };

export interface NotedOfOptOut {
  readonly at: number;
  readonly listId: number | null;
  readonly actor: string;
  readonly action: string;
}

export interface OtherOptOut {
  readonly list: { readonly publicId: string; readonly internalName: string };
  readonly optOut: OptOutRecord;
}

const mostShown = 100;
/** Lists a query. */
const listsAtOnce = 500;

/** @returns null where the list holds no such row. */
export async function findOptOut(
  db: Db,
  listId: number,
  { address_key, tag }: OptOutKey,
): Promise<OptOutRecord | null> {
  const underWay = await removalsUnderWay(db, [listId]);
  const row = await db<OptOutRecord>('opt_outs').where({ list_id: listId, address_key, tag }).first();
  return row === undefined ? null : asItCounts(row, underWay);
}

/** Keys a query. */
const keysAtOnce = 200;

/** Of many, those that the list holds, in the order in which they were asked for. */
export async function findOptOutsNamed(
  db: Db,
  listId: number,
  keys: readonly OptOutKey[],
): Promise<OptOutRecord[]> {
  const underWay = await removalsUnderWay(db, [listId]);
  const held = new Map<string, OptOutRecord>();
  for (let i = 0; i < keys.length; i += keysAtOnce) {
    const slice = keys.slice(i, i + keysAtOnce).map(({ address_key }) => address_key);
    const rows = (await db(db.raw(`opt_outs ${engineOf(db).byIndex(null)}`))
      .where({ list_id: listId })
      .whereIn('address_key', slice)
      .select('*')) as OptOutRecord[];
    for (const row of rows) held.set(nameOf(row), asItCounts(row, underWay));
  }
  return keys.flatMap((key) => held.get(nameOf(key)) ?? []);
}

function nameOf({ address_key, tag }: OptOutKey): string {
  return `${address_key.toString('hex')} ${tag.toString('hex')}`;
}

export async function detailsOf(db: Db, list: List, optOut: OptOutRecord): Promise<OptOutDetails> {
  const { mailer_id, credential_id, address, address_key } = optOut;
  const mailers = await namesOfMailers(db, mailer_id === null ? [] : [mailer_id]);
  const credential =
    credential_id === null
      ? undefined
      : await db<{ id: number; name: string }>('credentials').where({ id: credential_id }).first('name');
  // The history has the MD5s of an address in each of its forms, or the key of the entry itself.
  const normalised = address?.toString() ?? null;
  const subjects = normalised === null ? [address_key] : addressForms(normalised).map(md5Of);
  const history = await notedOf(db, list.accountId, subjects);
  const others = await othersOf(
    db,
    list,
    optOut,
    normalised === null ? [address_key] : entryKeysOf(normalised),
  );
  return {
    optOut,
    kind: kindOf(optOut),
    mailer: mailer_id === null ? null : (mailers.get(mailer_id) ?? String(mailer_id)),
    credential: credential_id === null ? null : (credential?.name ?? String(credential_id)),
    removedBy: await removedByOf(db, optOut, history),
    history,
    others,
  };
}

async function notedOf(db: Db, accountId: number, subjects: readonly Buffer[]): Promise<NotedOfOptOut[]> {
  const rows: { at: number; list_id: number | null; actor: string; action: string }[] = await db('history')
    .where({ account_id: accountId })
    .whereIn('subject', subjects)
    .orderBy('id', 'desc')
    .limit(mostShown)
    .select('at', 'list_id', 'actor', 'action');
  return rows.map(({ list_id, ...row }) => ({ ...row, listId: list_id }));
}

/** What the history calls the ends of opt-outs. */
const ends: readonly string[] = ['opt-out.removed', 'opt-out.undone', 'opt-out.reverted', 'opt-out.evicted'];

async function removedByOf(
  db: Db,
  { list_id, removed_at, expires_at, removal_id }: OptOutRecord,
  history: readonly NotedOfOptOut[],
): Promise<RemovedBy | null> {
  if (removed_at === null) return null;
  if (removed_at === expires_at) return { what: 'expired' };
  const removal = await removalOf(db, { list_id, removed_at, removal_id });
  if (removal !== null) return { what: 'removal', removal };
  const noted = history.find(({ listId, action }) => listId === list_id && ends.includes(action));
  return noted === undefined ? { what: 'unknown' } : { what: 'noted', noted };
}

/** The removal of several that a row belongs to, or that is about to take it; null where none has. */
async function removalOf(
  db: Db,
  row: Pick<OptOutRecord, 'list_id' | 'removed_at' | 'removal_id'>,
): Promise<BulkRemoval | null> {
  const found: { id: number } | undefined = await db('bulk_removals')
    .where({ list_id: row.list_id, at: row.removed_at ?? 0 })
    .modify((query) => {
      if (row.removal_id !== null) void query.where({ id: row.removal_id });
      else void query.where({ state: 'removing' });
    })
    .first('id');
  return found === undefined ? null : getBulkRemoval(db, found.id);
}

async function othersOf(
  db: Db,
  list: List,
  { address_key, tag }: OptOutRecord,
  keys: readonly Buffer[],
): Promise<OtherOptOut[]> {
  const others: OtherOptOut[] = [];
  for (let after = 0; others.length < mostShown;) {
    const lists: { id: number; public_id: string; internal_name: string }[] = await db('lists')
      .where({ account_id: list.accountId })
      .where('id', '>', after)
      .orderBy('id')
      .limit(listsAtOnce)
      .select('id', 'public_id', 'internal_name');
    const ids = lists.map(({ id }) => id);
    const underWay = await removalsUnderWay(db, ids);
    const rows = (await db(db.raw(`opt_outs ${engineOf(db).byIndex(null)}`))
      .whereIn('list_id', ids)
      .whereIn('address_key', [...keys])
      .limit(mostShown + 1)
      .select('*')) as OptOutRecord[];
    for (const row of rows.sort(compare)) {
      const isItself = row.list_id === list.id && row.address_key.equals(address_key) && row.tag.equals(tag);
      const of = lists.find(({ id }) => id === row.list_id);
      if (isItself || of === undefined || others.length === mostShown) continue;
      const named = { publicId: of.public_id, internalName: of.internal_name };
      others.push({ list: named, optOut: asItCounts(row, underWay) });
    }
    after = ids.at(-1) ?? 0;
    if (lists.length < listsAtOnce) break;
  }
  return others;
}

function compare(a: OptOutRecord, b: OptOutRecord): number {
  return a.list_id - b.list_id || Buffer.compare(a.tag, b.tag);
}

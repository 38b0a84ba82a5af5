import { setImmediate as everyoneElse } from 'node:timers/promises';
import { engineOf, type Db } from '../db/connect.js';
import { entryKeysOf, md5Of } from './address.js';
import { beginRemoval, type RemovalOptions } from './bulk-removals.js';
import { noteChanges } from './history.js';
import type { List } from './lists.js';
import { LIVE } from './opt-outs.js';
import { notStillToGo, removalsUnderWay, type RemovalUnderWay } from './removals-under-way.js';

/** Keys a statement: few milliseconds on SQLite, whose driver blocks the process meanwhile. */
const keysAtOnce = 500;
const changesAtOnce = 250;

export interface TogetherOptions extends RemovalOptions {
  /** One tag's opt-outs; without it, all of an address. */
  readonly tag?: string | undefined;
  readonly at: number;
}

/**
 * Takes addresses off a list, all of them or, where the list itself does not hold one of them, none: the look
 * and the removal are one transaction, in which nobody else can remove them. Otherwise as `removeAddresses`.
 *
 * @param normalised at most 1,000: the transaction holds SQLite's one connection for some tens of milliseconds then.
 * @returns those that the list does not hold; where there are none, all have been removed.
 */
export async function removeTogether(
  db: Db,
  list: List,
  normalised: readonly string[],
  options: TogetherOptions,
): Promise<ReadonlySet<string>> {
  // Before the transaction: a thousand hashes take as long as all of its statements.
  const keys = await keysOf(normalised);
  return db.transaction(async (trx) => {
    const looked: Looked = { keys, options, underWay: await removalsUnderWay(trx, [list.id]) };
    const standing = await standingUnder(trx, list, looked);
    const missing = missingFrom(standing, keys);
    if (missing.size === 0) await remove(trx, list, standing, looked, options);
    return missing;
  });
}

/** Those that the list itself does not hold at the moment: what `removeTogether` would say, without a removal. */
export async function findMissing(
  db: Db,
  list: List,
  normalised: readonly string[],
  options: Pick<TogetherOptions, 'tag' | 'at'>,
): Promise<ReadonlySet<string>> {
  const keys = await keysOf(normalised);
  const underWay = await removalsUnderWay(db, [list.id]);
  return missingFrom(await standingUnder(db, list, { keys, options, underWay }), keys);
}

/** By address, the keys under which an entry of it can stand, in hexadecimal. */
type Keys = ReadonlyMap<string, readonly string[]>;

interface Looked {
  readonly keys: Keys;
  readonly options: Pick<TogetherOptions, 'tag' | 'at'>;
  readonly underWay: readonly RemovalUnderWay[];
}

async function keysOf(normalised: readonly string[]): Promise<Keys> {
  const keys = new Map<string, readonly string[]>();
  for (const [i, address] of normalised.entries()) {
    keys.set(
      address,
      entryKeysOf(address).map((key) => key.toString('hex')),
    );
    if (i % 100 === 99) await everyoneElse();
  }
  return keys;
}

/** How many opt-outs suppress under each key; in a transaction, nobody else can remove them. */
async function standingUnder(db: Db, list: List, looked: Looked): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const slice of slicesOf([...looked.keys.values()].flat())) {
    const rows: { address_key: Buffer; opt_outs: number }[] = await rowsUnder(db, list, slice, looked)
      .groupBy('address_key')
      .modify((query) => {
        if (db.isTransaction) void query.forUpdate();
      })
      .select('address_key')
      .count('* as opt_outs');
    for (const row of rows) found.set(row.address_key.toString('hex'), Number(row.opt_outs));
    await everyoneElse();
  }
  return found;
}

function missingFrom(standing: ReadonlyMap<string, number>, keys: Keys): Set<string> {
  return new Set([...keys].flatMap(([address, own]) => (optOutsOf(own, standing) === 0 ? [address] : [])));
}

async function remove(
  trx: Db,
  list: List,
  standing: ReadonlyMap<string, number>,
  looked: Looked,
  options: TogetherOptions,
): Promise<void> {
  const { actor, tag, at } = options;
  const addresses = [...looked.keys];
  const removal =
    addresses.length > 1
      ? await beginRemoval(trx, list, { ...options, kind: 'some', state: 'removed' })
      : null;
  let gone = 0;
  for (const slice of slicesOf([...standing.keys()])) {
    const columns = { removed_at: at, removal_id: removal, feed_number: null };
    gone += await rowsUnder(trx, list, slice, looked).update(columns);
    await everyoneElse();
  }
  if (removal !== null) await trx('bulk_removals').where({ id: removal }).update({ opt_outs: gone });
  for (let i = 0; i < addresses.length; i += changesAtOnce) {
    await noteChanges(
      trx,
      addresses.slice(i, i + changesAtOnce).map(([address, own]) => ({
        ...{ accountId: list.accountId, listId: list.id, actor, action: 'opt-out.removed' },
        subject: md5Of(address),
        details: {
          ...{ tag: tag ?? null, opt_outs: optOutsOf(own, standing) },
          ...(removal === null ? {} : { removal }),
        },
      })),
    );
    await everyoneElse();
  }
}

function rowsUnder(db: Db, list: List, keys: readonly string[], { options, underWay }: Looked) {
  const { tag, at } = options;
  return db(db.raw(`opt_outs ${engineOf(db).byIndex(null)}`))
    .where({ list_id: list.id })
    .whereIn(
      'address_key',
      keys.map((key) => Buffer.from(key, 'hex')),
    )
    .modify((query) => {
      if (tag !== undefined) void query.where({ tag: Buffer.from(tag) });
    })
    .modify(notStillToGo, underWay)
    .whereRaw(LIVE, [at]);
}

function optOutsOf(keys: readonly string[], standing: ReadonlyMap<string, number>): number {
  return keys.reduce((sum, key) => sum + (standing.get(key) ?? 0), 0);
}

/** In the order of the key, as the recorder goes, so that the two never deadlock. */
function slicesOf(keys: readonly string[]): string[][] {
  const sorted = [...keys].sort();
  const slices: string[][] = [];
  for (let i = 0; i < sorted.length; i += keysAtOnce) slices.push(sorted.slice(i, i + keysAtOnce));
  return slices;
}

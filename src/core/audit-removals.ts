import type { Db } from '../db/connect.js';
import type { AuditedRow } from './audit-row.js';
import { nameOf, sliceRows } from './audit-slices.js';
import type { Breach } from './audit.js';
import type { BulkRemovalRow } from './bulk-removals.js';

/** Null where no list has this id. */
type AuditedRemoval = BulkRemovalRow & { owner: number | null };

/** Bulk removals: of a list of the account's, in a state that their numbers and times fit to. */
export async function* auditRemovals(db: Db): AsyncGenerator<Breach> {
  for (let after = 0; ;) {
    const rows: AuditedRemoval[] = await db('bulk_removals')
      .leftJoin('lists', 'lists.id', 'bulk_removals.list_id')
      .where('bulk_removals.id', '>', after)
      .orderBy('bulk_removals.id')
      .limit(sliceRows)
      .select('bulk_removals.*', 'lists.account_id as owner');
    for (const row of rows) {
      for (const [code, what] of faultsOf(row)) {
        yield { code, table: 'bulk_removals', description: `removal ${row.id}: ${what}` };
      }
    }
    after = rows.at(-1)?.id ?? 0;
    if (rows.length < sliceRows) break;
  }
  yield* auditFoundRemovals(db);
}

/** What is still to be removed belongs to a removal of the same list, which nobody has begun to take back. */
async function* auditFoundRemovals(db: Db): AsyncGenerator<Breach> {
  const rows: { removal_id: number; list_id: number; owner: number | null; kind: string }[] = await db(
    'found_removals',
  )
    .leftJoin('bulk_removals', 'bulk_removals.id', 'found_removals.removal_id')
    .orderBy('found_removals.removal_id')
    .limit(sliceRows)
    .select('removal_id', 'found_removals.list_id', 'bulk_removals.list_id as owner', 'kind');
  for (const { removal_id, list_id, owner, kind } of rows) {
    const fits = owner === list_id && kind === 'some';
    if (fits) continue;
    const description = `removal ${removal_id}: no removal of some of list ${list_id} has this id`;
    yield { code: 'removal', table: 'found_removals', description };
  }
}

const states: readonly string[] = ['removing', 'removed', 'restoring', 'restored'];

function faultsOf(row: AuditedRemoval): [code: string, what: string][] {
  const faults: [string, string][] = [];
  if (row.owner === null) faults.push(['reference', `list_id ${row.list_id} is in no row of lists`]);
  else if (row.owner !== row.account_id) faults.push(['account', `list ${row.list_id} is another account's`]);
  const isKnown = ['all', 'some'].includes(row.kind) && states.includes(row.state);
  // Of some opt-outs that were named, nobody but the caller knows which are still to go.
  if (!isKnown || (row.kind === 'some' && row.state === 'removing')) {
    faults.push(['removal', `kind is ${row.kind}, and state ${row.state}`]);
  }
  // Erasing a person can make two entries of one: the hashes of both forms of an address.
  if (!(row.restored >= 0 && row.restored <= 2 * row.opt_outs)) {
    faults.push(['removal', `restored is ${row.restored}, of opt_outs ${row.opt_outs}`]);
  }
  const isUnderWay = row.state === 'removing' || row.state === 'restoring';
  if (isUnderWay !== (row.finished_at === null))
    faults.push(['removal', 'finished_at does not fit to state']);
  const isTakenBack = row.state === 'restoring' || row.state === 'restored';
  if (isTakenBack !== (row.restored_at !== null))
    faults.push(['removal', 'restored_at does not fit to state']);
  return faults;
}

/** What a removal took is of its list; and once it has been taken back, it has nothing more that still counts. */
export async function* auditRemovalsOf(
  db: Db,
  listId: number,
  rows: readonly AuditedRow[],
  at: number,
): AsyncGenerator<Breach> {
  const taken = rows.filter((row) => row.removal_id !== null && row.removed_at !== null);
  const ids = [...new Set(taken.map((row) => row.removal_id ?? 0))];
  // Those that nobody can take back any more may have been forgotten.
  const found = ids.length === 0 ? [] : await db<BulkRemovalRow>('bulk_removals').whereIn('id', ids);
  const removals = new Map(found.map((one) => [one.id, one]));
  for (const row of taken) {
    const removal = removals.get(row.removal_id ?? 0);
    if (removal === undefined || row.removed_at !== removal.at) continue;
    const breach = (what: string): Breach => ({
      code: 'removal',
      table: 'opt_outs',
      description: `${nameOf(listId, row)}: ${what}`,
    });
    if (removal.list_id !== listId) yield breach(`removal ${removal.id} is of another list`);
    if (removal.state !== 'restored' || (row.expires_at !== null && row.expires_at <= at)) continue;
    // It may have been brought back between the two readings.
    const still: unknown = await db('opt_outs')
      .where({ list_id: listId, address_key: row.address_key, tag: row.tag })
      .where({ removal_id: removal.id, removed_at: removal.at })
      .first('list_id');
    if (still !== undefined) yield breach(`removal ${removal.id} was taken back, and this is still removed`);
  }
}

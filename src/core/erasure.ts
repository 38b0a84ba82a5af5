import { engineOf, retrying, type Db } from '../db/connect.js';
import { entryKeysOf, md5Of } from './address.js';
import { findErased, hashesOfForms, noteErased, type Hashes } from './erased-people.js';
import { noteChange } from './history.js';
import { eraseFromRefusals } from './import-refusals.js';
import { forgetNotHonouredOf } from './not-honoured.js';
import type { OptOutRecord } from './opt-outs.js';
import { listsWith, type NamedList } from './people.js';

/** What was erased from one list. */
export interface ErasedFromList {
  readonly list: NamedList;
  /** Entries that held more than hashes, one a tag. */
  readonly optOuts: number;
}

/**
 * Erases a person from all lists of an account: of each entry of the address, removed ones included, stay its
 * hashes, its tag and its times. What suppressed goes on doing so; the feed carries it again, since a plain
 * file no longer holds it. The hashes are noted first, so that an import that runs meanwhile finds them.
 *
 * One transaction a list: broken off, it is simply called again. To erase a person twice is harmless.
 *
 * @param options.retryMs how long a transaction is repeated while the database is busy.
 * @returns the lists that held more than hashes.
 * @throws Unavailable
 */
export async function* erasePerson(
  db: Db,
  accountId: number,
  normalised: string,
  { actor, at = Date.now(), retryMs }: { actor: string; at?: number; retryMs: number },
): AsyncGenerator<ErasedFromList> {
  await retrying(db, retryMs, () => noteErased(db, accountId, normalised, at));
  await retrying(db, retryMs, async () => void (await eraseFromRefusals(db, accountId, normalised)));
  const slices = listsWith(db, accountId, normalised);
  for await (const lists of slices) {
    for (const list of lists) {
      const optOuts = await retrying(db, retryMs, () =>
        db.transaction((trx) => eraseFromList(trx, accountId, list.id, normalised, actor)),
      );
      if (optOuts > 0) yield { list, optOuts };
    }
  }
}

async function eraseFromList(
  trx: Db,
  accountId: number,
  listId: number,
  normalised: string,
  actor: string,
): Promise<number> {
  // Waits for opt-outs that are being written at the moment, in the order in which the recorder locks.
  const rows: OptOutRecord[] = await trx<OptOutRecord>('opt_outs')
    .where({ list_id: listId })
    .whereIn('address_key', entryKeysOf(normalised))
    .orderBy(['address_key', 'tag'])
    .forUpdate();
  let erased = 0;
  const [own, ...others] = hashesOfForms(normalised);
  for (const form of [own, ...others]) {
    if (form !== undefined) erased += await keepHashes(trx, listId, form);
  }
  const named = rows.filter(({ address }) => address !== null);
  for (const form of others) await addForm(trx, named, form);
  await forgetNotHonouredOf(trx, listId, entryKeysOf(normalised));
  if (erased > 0) {
    await noteChange(trx, {
      accountId,
      listId,
      actor,
      action: 'person.erased',
      subject: md5Of(normalised),
      details: { opt_outs: erased },
    });
  }
  return erased;
}

/**
 * Erases what an import has brought of people who were erased at the very moment: it had looked for them
 * before. Whoever opts out anew by a door is not concerned.
 *
 * @param addresses normalised ones that imports have brought to the list; at most 1,000.
 */
export async function eraseImported(db: Db, listId: number, addresses: readonly string[]): Promise<void> {
  if (addresses.length === 0) return;
  const list = await db<{ id: number; account_id: number }>('lists')
    .where({ id: listId })
    .first('account_id');
  if (list === undefined) return;
  const erased = await findErased(db, list.account_id, addresses.map(md5Of));
  for (const address of new Set(addresses)) {
    if (!erased.has(md5Of(address).toString('hex'))) continue;
    await db.transaction((trx) => eraseFromList(trx, list.account_id, listId, address, 'keeper'));
  }
}

/** What an entry may hold of a person beside its hashes. */
const personal = [
  'address',
  'given',
  'reason',
  'ip',
  'mailer_id',
  'credential_id',
  'receipt',
  'left_again_at',
] as const;

/**
 * An entry of which only the SHA-256 is known holds no address, and keeps its kind: the other hash would make
 * two entries of one.
 *
 * @returns how many entries held more.
 */
async function keepHashes(trx: Db, listId: number, { md5, sha256 }: Hashes): Promise<number> {
  const holdsMore = (query: ReturnType<Db>, isByMd5: boolean) => {
    for (const column of personal) void query.orWhereNotNull(column);
    if (isByMd5) void query.orWhereNull('sha256');
  };
  const emptied = Object.fromEntries(personal.map((column) => [column, null]));
  const byMd5 = await trx('opt_outs')
    .where({ list_id: listId, address_key: md5 })
    .where((any) => holdsMore(any as ReturnType<Db>, true))
    .update({
      // First, since MySQL assigns from left to right. A removal stays where the feed has it.
      feed_number: trx.raw(
        'CASE WHEN removed_at IS NULL AND (address IS NOT NULL OR sha256 IS NULL) THEN NULL ELSE feed_number END',
      ),
      ...emptied,
      sha256,
    });
  const bySha256 = await trx('opt_outs')
    .where({ list_id: listId, address_key: sha256.subarray(0, 16) })
    .where((any) => holdsMore(any as ReturnType<Db>, false))
    .update(emptied);
  return byMd5 + bySha256;
}

/** Rows a statement. */
const rowsAtOnce = 200;

/**
 * The hashes of the other form of an address, of which its row can keep one alone: an erased entry of its own
 * beside each that had the address. A removal makes one too, for readers who have not seen it yet.
 */
async function addForm(trx: Db, rows: readonly OptOutRecord[], { md5, sha256 }: Hashes): Promise<void> {
  const { incoming, onRepeat, larger } = engineOf(trx);
  const entries = rows.map((row) => ({
    list_id: row.list_id,
    address_key: md5,
    tag: row.tag,
    sha256,
    created_at: row.created_at,
    recorded_at: row.recorded_at,
    last_at: row.last_at,
    repeats: row.repeats,
    source: row.source,
    expires_at: row.expires_at,
    removed_at: row.removed_at,
    // So that taking the removal back brings this back as well.
    removal_id: row.removal_id,
    // Nobody has left by it: the figures have the other one.
    figured: 2,
  }));
  for (let i = 0; i < entries.length; i += rowsAtOnce) {
    const insert = trx('opt_outs')
      .insert(entries.slice(i, i + rowsAtOnce))
      .toSQL()
      .toNative();
    // A hash that was imported may stand there. It suppresses for as long as either of the two.
    await trx.raw(
      `${insert.sql} ${onRepeat}
        sha256 = ${incoming('sha256')},
        feed_number = NULL,
        expires_at = CASE WHEN ${incoming('removed_at')} IS NOT NULL THEN opt_outs.expires_at
          WHEN opt_outs.removed_at IS NOT NULL THEN ${incoming('expires_at')}
          WHEN opt_outs.expires_at IS NULL OR ${incoming('expires_at')} IS NULL THEN NULL
          ELSE ${larger('opt_outs.expires_at', incoming('expires_at'))} END,
        removed_at = CASE WHEN ${incoming('removed_at')} IS NULL THEN NULL ELSE opt_outs.removed_at END`,
      [...insert.bindings],
    );
  }
}

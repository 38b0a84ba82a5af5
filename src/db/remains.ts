import { engineOf, rowsOf, type Db } from './connect.js';

/** What databases keep of deleted rows beside their tables: docs/peoples-rights.md tells all of it. */

/**
 * SQLite keeps what rows were like in its write-ahead log, until that is begun anew. Carried over first while
 * others go on writing, so that the emptying itself holds them up for a moment alone.
 *
 * @returns whether it is empty; false while somebody reads from it: ask again later. MariaDB and MySQL have none.
 */
export async function emptyWal(db: Db): Promise<boolean> {
  if (engineOf(db).name === 'mysql') return true;
  await db.raw('PRAGMA wal_checkpoint(PASSIVE)');
  const result: unknown = await db.raw('PRAGMA wal_checkpoint(TRUNCATE)');
  return rowsOf<{ busy: number }>(db, result)[0]?.busy === 0;
}

/**
 * Writes the opt-outs anew: what stayed of deleted ones in the free places of the table's pages goes. SQLite
 * lets nobody write meanwhile, some seconds for each million opt-outs, and needs as much free space again as
 * the database takes.
 */
export async function rewriteOptOuts(db: Db): Promise<void> {
  if (engineOf(db).name === 'sqlite') {
    await db.raw('VACUUM');
    return;
  }
  const result: unknown = await db.raw('OPTIMIZE TABLE opt_outs');
  const failed = rowsOf<{ Msg_type: string; Msg_text: string }>(db, result).find(
    ({ Msg_type }) => Msg_type.toLowerCase() === 'error',
  );
  if (failed !== undefined) throw new Error(`the table cannot be rewritten: ${failed.Msg_text}`);
}

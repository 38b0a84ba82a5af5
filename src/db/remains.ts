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

/** Where addresses stand, and rows of them are deleted. */
const tables = ['opt_outs', 'import_job_chunks', 'import_job_refusals'];

/**
 * Writes the tables anew that hold addresses: what stayed of deleted rows in the free places of their pages
 * goes. SQLite lets nobody write meanwhile, some seconds for each million opt-outs, and needs as much free
 * space again as the database takes.
 */
export async function rewriteAddresses(db: Db): Promise<void> {
  if (engineOf(db).name === 'sqlite') {
    await db.raw('VACUUM');
    return;
  }
  const result: unknown = await db.raw(`OPTIMIZE TABLE ${tables.join(', ')}`);
  const failed = rowsOf<{ Msg_type: string; Msg_text: string }>(db, result).find(
    ({ Msg_type }) => Msg_type.toLowerCase() === 'error',
  );
  if (failed !== undefined) throw new Error(`a table cannot be rewritten: ${failed.Msg_text}`);
}

import { engineOf, type Db } from './connect.js';

/** The database as it was at one moment, whatever is written meanwhile. */
export interface Snapshot {
  readonly db: Db;
  /** Fails only where the connection did: then there is nothing left to close. */
  close(): Promise<unknown>;
}

/**
 * Opens a snapshot, which keeps nobody from writing. While it is open, SQLite's WAL and InnoDB's undo log
 * grow by what is written. On SQLite it takes the whole pool, which is one connection.
 */
export async function openSnapshot(db: Db): Promise<Snapshot> {
  if (engineOf(db).name === 'sqlite') {
    // Not by Knex, whose transactions take the lock for writing here (see sqlite.ts).
    await db.raw('BEGIN DEFERRED');
    await firstRead(db);
    return { db, close: () => db.raw('ROLLBACK') };
  }
  const trx = await db.transaction({ isolationLevel: 'repeatable read' });
  // Whoever takes the backup may pause for longer than a transaction of the service ever does (see mysql.ts).
  await trx.raw('SET SESSION wait_timeout = 28800 /*M!100300 , idle_transaction_timeout = 0 */');
  await firstRead(trx);
  return { db: trx, close: () => trx.rollback() };
}

/** Neither engine settles on a moment before it. */
async function firstRead(db: Db): Promise<void> {
  await db('feed').first('id');
}

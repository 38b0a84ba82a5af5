import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** Addresses that wait to be confirmed by a link. May be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const text = isSqlite ? 'TEXT' : 'VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin';
  await ensure(db, (schema) =>
    schema.alterTable('one_time_links', (table) => {
      // Folded, as people sign in with it; of a link that was mailed there, and of no other one.
      table.specificType('email', text);
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Links that were mailed would confirm no address.'));
}

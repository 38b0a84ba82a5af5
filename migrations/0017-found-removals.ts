import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** Removals of all that a search finds, where there is so much of it that the keeper carries them out. May be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const ascii = (length: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;
  await ensure(db, (schema) =>
    schema.createTable('found_removals', (table) => {
      if (!isSqlite) {
        table.engine('InnoDB');
        table.charset('utf8mb4');
        table.collate('utf8mb4_bin');
      }
      // That which what goes is noted with, and taken back by (bulk_removals).
      table.integer('removal_id').unsigned().notNullable().primary();
      table.integer('list_id').unsigned().notNullable().index('found_removals_list');
      // What was searched for; it may hold a part of an address, and goes with the row when all is done.
      table.text('filter').notNullable();
      // What was recorded, or recorded again, from then on stays; and no more goes than somebody has agreed to.
      table.bigInteger('recorded_before').notNullable();
      table.bigInteger('most').notNullable();
      // The last row that was looked at, by its key; null: none yet.
      table.specificType('position', ascii(300));
      table.bigInteger('looked').notNullable().defaultTo(0);
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Removals that somebody has asked for would not be carried out.'));
}

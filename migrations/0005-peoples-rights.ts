import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** People who were erased, and how far the keeper has come with what it deletes. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (length: number) => (isSqlite ? 'BLOB' : `VARBINARY(${length})`);

  // The hashes of an address that was erased, in each of its forms: an import that brings it again keeps these
  // alone.
  await ensure(db, (schema) =>
    schema.createTable('erased_people', (table) => {
      if (!isSqlite) table.engine('InnoDB');
      table.integer('account_id').unsigned().notNullable();
      table.specificType('address_key', octets(16)).notNullable();
      table.specificType('sha256', octets(32)).notNullable();
      table.bigInteger('at').notNullable();
      table.primary(['account_id', 'address_key']);
    }),
  );

  // The last row that a pass through all opt-outs has looked at, and when the pass began.
  await ensure(db, (schema) =>
    schema.createTable('passes', (table) => {
      if (!isSqlite) table.engine('InnoDB');
      table
        .specificType('name', isSqlite ? 'TEXT' : 'VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin')
        .notNullable()
        .primary();
      table.integer('list_id').unsigned().notNullable();
      table.specificType('address_key', octets(16)).notNullable();
      table.specificType('tag', octets(128)).notNullable();
      table.bigInteger('began_at').notNullable();
      table.bigInteger('ended_at');
    }),
  );

  // What was noted of one person's opt-outs.
  await ensure(db, (schema) =>
    schema.alterTable('history', (table) => {
      table.index(['account_id', 'subject'], 'history_subject');
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('An import would bring back people who were erased.'));
}

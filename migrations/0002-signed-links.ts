import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** Keys of signed links, and a list's demand for them. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  await ensure(db, (schema) =>
    schema.createTable('link_keys', (table) => {
      if (!isSqlite) table.engine('InnoDB');
      table.integer('list_id').unsigned().notNullable();
      table.integer('number').unsigned().notNullable();
      table.specificType('salt', isSqlite ? 'BLOB' : 'VARBINARY(16)').notNullable();
      table.bigInteger('created_at').notNullable();
      table.primary(['list_id', 'number']);
    }),
  );
  await ensure(db, (schema) =>
    schema.alterTable('lists', (table) => {
      table.boolean('signed_links_only').notNullable().defaultTo(false);
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Links in mails that were sent would open no more.'));
}

import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** How far the imports of manifests have come. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  await ensure(db, (schema) =>
    schema.createTable('imports', (table) => {
      if (!isSqlite) table.engine('InnoDB');
      // The SHA-256 of what is imported where and how: names of files may hold what is nobody's business.
      table
        .specificType('import_key', isSqlite ? 'BLOB' : 'BINARY(32)')
        .notNullable()
        .primary();
      table.integer('account_id').unsigned().notNullable();
      table.integer('list_id').unsigned().notNullable().index('imports_list');
      // Of the file: where it is another one, nothing of this counts.
      table
        .specificType('version', isSqlite ? 'TEXT' : 'VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin')
        .notNullable();
      // All up to this line has been dealt with.
      table.bigInteger('line').notNullable();
      table.bigInteger('taken').notNullable();
      table.bigInteger('refused').notNullable();
      // How much of the file of refused rows belongs to them.
      table.bigInteger('refused_octets').notNullable();
      table.bigInteger('started_at').notNullable();
      table.bigInteger('saved_at').notNullable();
      table.bigInteger('finished_at');
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Imports under way would begin anew.'));
}

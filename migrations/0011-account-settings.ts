import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** An account's time zone, and how its ZIP files are encrypted. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const ascii = (length: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;

  // None: each API's own.
  await ensure(db, (schema) =>
    schema.alterTable('accounts', (table) => void table.specificType('time_zone', ascii(64))),
  );
  // Sealed with the installation's secret. None: ZIP files are not encrypted.
  await ensure(db, (schema) =>
    schema.alterTable(
      'accounts',
      (table) => void table.specificType('zip_password', isSqlite ? 'BLOB' : 'VARBINARY(200)'),
    ),
  );
  await ensure(db, (schema) =>
    schema.alterTable('accounts', (table) => {
      table.specificType('zip_cipher', ascii(12)).notNullable().defaultTo('aes-256');
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('ZIP files that are to be encrypted would go out as they are.'));
}

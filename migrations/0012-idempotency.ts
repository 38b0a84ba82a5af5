import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** What requests with an Idempotency-Key came to. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (length: number) => (isSqlite ? 'BLOB' : `VARBINARY(${length})`);

  await ensure(db, (schema) =>
    schema.createTable('idempotency_keys', (table) => {
      if (!isSqlite) table.engine('InnoDB');
      table.integer('credential_id').unsigned().notNullable();
      table.specificType('key_hash', octets(32)).notNullable();
      // Of the request, under the installation's secret.
      table.specificType('fingerprint', octets(32)).notNullable();
      // Who carries it out, and until when that counts.
      table.specificType('claim', octets(16)).notNullable();
      table.bigInteger('claimed_until').notNullable();
      table.bigInteger('created_at').notNullable();
      // Both null until it is answered.
      table.integer('status').unsigned();
      table.specificType('answer', isSqlite ? 'BLOB' : 'MEDIUMBLOB');
      table.primary(['credential_id', 'key_hash']);
      table.index(['created_at'], 'idempotency_keys_time');
      table.index(['credential_id', 'created_at'], 'idempotency_keys_credential');
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Requests that were carried out would be carried out again.'));
}

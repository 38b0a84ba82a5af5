import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** Removals of many opt-outs at once, and which opt-outs each of them took. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const ascii = (length: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;
  await ensure(db, (schema) =>
    schema.createTable('bulk_removals', (table) => {
      if (!isSqlite) {
        table.engine('InnoDB');
        table.charset('utf8mb4');
        table.collate('utf8mb4_bin');
      }
      table.increments('id');
      table.integer('account_id').unsigned().notNullable().index('bulk_removals_account');
      table.integer('list_id').unsigned().notNullable();
      table.specificType('kind', ascii(8)).notNullable();
      // What was recorded, or recorded again, from then on stays.
      table.bigInteger('at').notNullable();
      table.specificType('actor', ascii(64)).notNullable();
      table.integer('credential_id').unsigned();
      table.specificType('state', ascii(12)).notNullable();
      // Up to this address key, all has been removed or brought back; null: nothing yet.
      table.specificType('position', isSqlite ? 'BLOB' : 'VARBINARY(16)');
      table.bigInteger('opt_outs').notNullable().defaultTo(0);
      table.bigInteger('restored').notNullable().defaultTo(0);
      // When the last slice was dealt with: what it changed has waited for its numbers since then at most.
      table.bigInteger('carried_at').notNullable();
      table.bigInteger('finished_at');
      table.bigInteger('restored_at');
      table.specificType('restored_by', ascii(64));
      // Who reads a list asks for those under way each time, the keeper each second.
      table.index(['list_id', 'state'], 'bulk_removals_list');
      table.index(['state'], 'bulk_removals_state');
    }),
  );
  // Without an index: the hot table would pay for it with each opt-out. What a removal took is found by the key.
  await ensure(db, (schema) =>
    schema.alterTable('opt_outs', (table) => void table.integer('removal_id').unsigned()),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('What was removed could no longer be taken back.'));
}

import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** Each account's global list, and the place of the feed at which it was last changed. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  await ensure(db, (schema) =>
    schema.alterTable('accounts', (table) => void table.integer('global_list_id').unsigned()),
  );
  // Cursors from below this number know nothing of the change.
  await ensure(db, (schema) =>
    schema.alterTable('accounts', (table) => {
      table.bigInteger('global_number').notNullable().defaultTo(0);
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Who has left all of an account would be mailed again.'));
}

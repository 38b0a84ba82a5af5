import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** The cap of a list, and how far the keeper has come with what leaves by it. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  await ensure(db, (schema) => schema.alterTable('lists', (table) => void table.integer('cap').unsigned()));
  // Few lists have one, and the keeper looks for them each second.
  await ensure(db, (schema) => schema.alterTable('lists', (table) => void table.index(['cap'], 'lists_cap')));
  // Up to this feed number, nothing is left that could leave by the cap.
  await ensure(db, (schema) =>
    schema.alterTable('list_counts', (table) => {
      table.bigInteger('evicted_number').notNullable().defaultTo(0);
    }),
  );
  // Who was erased is asked for entries of which only the SHA-256 is known.
  await ensure(db, (schema) =>
    schema.alterTable('erased_people', (table) => {
      table.index(['account_id', 'sha256'], 'erased_people_sha256');
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Capped lists would grow again without a word.'));
}

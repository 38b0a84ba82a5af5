import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** How much of an upload has been read, and how many of its rows the list held already. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  await ensure(db, (schema) =>
    schema.alterTable('import_jobs', (table) => {
      // Octets of the upload; all up to `line` stands in them.
      table.bigInteger('read_octets').notNullable().defaultTo(0);
    }),
  );
  await ensure(db, (schema) =>
    schema.alterTable('import_jobs', (table) => {
      // Of the rows that were taken; null where nobody has counted them.
      table.bigInteger('known');
    }),
  );
}

export function down(): Promise<void> {
  return Promise.reject(new Error('What is known of imports would be lost.'));
}

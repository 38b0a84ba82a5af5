import type { Knex } from 'knex';

/** Each account's global list, and the place of the feed at which it was last changed. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const columns: [name: string, build: (table: Knex.AlterTableBuilder) => void][] = [
    ['global_list_id', (table) => void table.integer('global_list_id').unsigned()],
    // Cursors from below this number know nothing of the change.
    ['global_number', (table) => void table.bigInteger('global_number').notNullable().defaultTo(0)],
  ];
  for (const [name, build] of columns) {
    if (!(await db.schema.hasColumn('accounts', name))) await db.schema.alterTable('accounts', build);
  }
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Who has left all of an account would be mailed again.'));
}

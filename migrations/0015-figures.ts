import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/**
 * How many opt-outs each list gets and when, what of them mailers have fetched and not honoured, the alerts about
 * it, and mails that wait to be sent. Each step may be run again.
 */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (type: string) => (isSqlite ? 'BLOB' : type);
  const ascii = (length: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;
  const create = async (name: string, build: (table: Knex.CreateTableBuilder) => void) => {
    await ensure(db, (schema) =>
      schema.createTable(name, (table) => {
        if (!isSqlite) table.engine('InnoDB');
        build(table);
      }),
    );
  };
  const add = (name: string, build: (table: Knex.AlterTableBuilder) => void) =>
    ensure(db, (schema) => schema.alterTable(name, build));

  await create('mails', (table) => {
    table.bigIncrements('id');
    // To whom and what, sealed with the installation's secret: it may be a link that is good for once.
    table.specificType('sealed', octets('MEDIUMBLOB')).notNullable();
    table.bigInteger('created_at').notNullable();
    table.integer('tries').unsigned().notNullable().defaultTo(0);
    // When it is to be tried next, and after when it is not worth sending.
    table.bigInteger('due_at').notNullable().index('mails_due');
    table.bigInteger('expires_at').notNullable();
  });

  // Whether its act is in the figures: 0 not yet, 1 it is, 2 it was no act of anybody.
  await add('opt_outs', (table) => {
    table.specificType('figured', 'SMALLINT').notNullable().defaultTo(0);
  });
  // The feed number with which it began to suppress, this time.
  await add('opt_outs', (table) => {
    table.bigInteger('stands_from').notNullable().defaultTo(0);
  });
  // When the recipient last left once more.
  await add('opt_outs', (table) => void table.bigInteger('left_again_at'));

  // Half an hour, which begins at `slot`: UTC milliseconds.
  await create('opt_out_figures', (table) => {
    table.integer('list_id').unsigned().notNullable();
    table.bigInteger('slot').notNullable().index('opt_out_figures_slot');
    table.specificType('source', ascii(12)).notNullable();
    table.bigInteger('opt_outs').notNullable();
    table.primary(['list_id', 'slot', 'source']);
  });

  // How far each mailer has come in the feed, with a list and what counts for it.
  await create('fetches', (table) => {
    table.integer('list_id').unsigned().notNullable();
    table.integer('mailer_id').unsigned().notNullable().index('fetches_mailer');
    // -1: nowhere yet.
    table.bigInteger('reached').notNullable();
    // When the feed had come there, or a moment before.
    table.bigInteger('reached_at').notNullable();
    table.bigInteger('whole_at');
    table.bigInteger('scrubbed_at');
    table.primary(['list_id', 'mailer_id']);
  });
  // Of a download that came to its end and left nothing out: see fetches.
  await add('downloads', (table) => void table.bigInteger('reached'));
  await add('downloads', (table) => {
    table.index(['list_id', 'mailer_id', 'reached'], 'downloads_reached');
  });

  await create('not_honoured', (table) => {
    table.integer('list_id').unsigned().notNullable();
    table.specificType('address_key', octets('BINARY(16)')).notNullable();
    table.specificType('tag', octets('VARBINARY(128)')).notNullable();
    table.integer('mailer_id').unsigned().notNullable().index('not_honoured_mailer');
    table.bigInteger('fetched_at').notNullable();
    table.bigInteger('left_again_at').notNullable();
    table.bigInteger('found_at').notNullable().index('not_honoured_found_at');
    table.primary(['list_id', 'address_key', 'tag', 'mailer_id']);
    table.index(['list_id', 'found_at'], 'not_honoured_list');
  });

  // A list without a row has the defaults.
  await create('alert_settings', (table) => {
    table.integer('list_id').unsigned().notNullable().primary();
    table.integer('opt_outs_a_day').unsigned();
    table.integer('opt_outs_an_hour').unsigned();
    table.boolean('shrinks').notNullable();
    table.integer('silent_days').unsigned();
    table.boolean('not_honoured').notNullable();
  });

  // The last one of each kind and list.
  await create('alerts', (table) => {
    table.integer('list_id').unsigned().notNullable();
    table.specificType('kind', ascii(20)).notNullable();
    table.bigInteger('raised_at').notNullable();
    // JSON: what passed which limit.
    table.text('details').notNullable();
    table.primary(['list_id', 'kind']);
  });

  // What lists held, every few hours of the last day.
  await create('list_sizes', (table) => {
    table.integer('list_id').unsigned().notNullable();
    table.bigInteger('at').notNullable().index('list_sizes_at');
    table.bigInteger('entries').notNullable();
    table.primary(['list_id', 'at']);
  });
}

export function down(): Promise<void> {
  return Promise.reject(new Error('What was counted would be lost.'));
}

import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/**
 * What the attack rule keeps: how many recipients each client brings, who is blocked, and the bursts that
 * an owner can take back. Each step may be run again.
 */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (length: number) => (isSqlite ? 'BLOB' : `VARBINARY(${length})`);
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

  // Somebody else than the first client stands behind the opt-out: see mergeClause in core/opt-outs.ts.
  await ensure(db, (schema) =>
    schema.alterTable('opt_outs', (table) => {
      table.specificType('vouched', 'SMALLINT').notNullable().defaultTo(0);
    }),
  );

  // What each node has seen of a client: hashes of recipients with their times (core/arrivals.ts).
  await create('arrivals', (table) => {
    table.integer('account_id').unsigned().notNullable();
    table.specificType('network', ascii(50)).notNullable();
    table.specificType('source', ascii(12)).notNullable();
    table.specificType('node', ascii(64)).notNullable();
    table.specificType('recipients', octets(16_384)).notNullable();
    table.bigInteger('changed_at').notNullable().index('arrivals_changed_at');
    table.primary(['account_id', 'network', 'source', 'node']);
  });

  await create('blocks', (table) => {
    table.integer('account_id').unsigned().notNullable();
    table.specificType('network', ascii(50)).notNullable();
    table.bigInteger('started_at').notNullable();
    table.bigInteger('ends_at').notNullable().index('blocks_ends_at');
    // The rule counts anew from there: set where somebody lifts the block.
    table.bigInteger('lifted_at');
    table.primary(['account_id', 'network']);
  });

  await create('bursts', (table) => {
    table.increments('id');
    table.integer('account_id').unsigned().notNullable();
    table.specificType('network', ascii(50)).notNullable();
    table.specificType('source', ascii(12)).notNullable();
    table.bigInteger('started_at').notNullable();
    table.integer('recipients').unsigned().notNullable();
    // 1 while it may go on, null afterwards: so the unique index lets one a client and source go on, however
    // many nodes see it.
    table.specificType('is_open', 'SMALLINT');
    table.bigInteger('reverted_at');
    table.integer('reverted').unsigned();
    table.unique(['account_id', 'network', 'source', 'is_open'], { indexName: 'bursts_open' });
    table.index(['account_id', 'last_at'], 'bursts_account');
    table.bigInteger('last_at').notNullable().index('bursts_last_at');
  });
}

export function down(): Promise<void> {
  return Promise.reject(new Error('What was blocked and flagged would be forgotten.'));
}

import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/**
 * The tables of the core. Each step stands alone and may be run again: MySQL's DDL is not transactional,
 * so a migration that was killed is simply run once more.
 *
 * Times are UTC milliseconds. What holds addresses, hashes and tags is binary, so that no collation folds
 * it; SQLite gives VARBINARY(n) numeric affinity, so there it is BLOB. Names are compared by bytes as well.
 */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';

  const create = async (name: string, build: (table: Knex.CreateTableBuilder, types: Types) => void) => {
    await ensure(db, (schema) =>
      schema.createTable(name, (table) => {
        if (!isSqlite) {
          table.engine('InnoDB');
          table.charset('utf8mb4');
          table.collate('utf8mb4_bin');
        }
        build(table, {
          octets: (column, length) => table.specificType(column, isSqlite ? 'BLOB' : `VARBINARY(${length})`),
          ascii: (column, length) =>
            table.specificType(
              column,
              isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`,
            ),
        });
      }),
    );
  };

  await create('installation', (table, { ascii }) => {
    ascii('name', 40).notNullable().primary();
    table.string('value', 200).notNullable();
  });

  await create('accounts', (table) => {
    table.increments('id');
    table.string('name', 200).notNullable();
    table.bigInteger('created_at').notNullable();
  });

  await create('lists', (table, { ascii }) => {
    table.increments('id');
    ascii('public_id', 24).notNullable().unique({ indexName: 'lists_public_id' });
    table.integer('account_id').unsigned().notNullable().index('lists_account');
    table.string('internal_name', 200).notNullable();
    table.string('name', 200).notNullable();
    ascii('state', 10).notNullable().defaultTo('open');
    table.bigInteger('archived_at');
    ascii('direct_link', 10).notNullable().defaultTo('confirm');
    table.boolean('pixel').notNullable().defaultTo(true);
    table.text('thank_you', 'mediumtext').notNullable();
    table.text('redirect_template');
    table.text('ip_whitelist', 'mediumtext').notNullable();
    table.boolean('downloads_from_any_address').notNullable().defaultTo(false);
    table.string('operator_name', 200).notNullable().defaultTo('');
    table.string('postal_address', 500).notNullable().defaultTo('');
    table.string('contact', 500).notNullable().defaultTo('');
    table.string('privacy_url', 2000).notNullable().defaultTo('');
    ascii('default_language', 12).notNullable().defaultTo('en');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('changed_at').notNullable();
  });

  await create('tags', (table, { octets }) => {
    table.integer('list_id').unsigned().notNullable();
    octets('tag', 128).notNullable();
    table.bigInteger('created_at').notNullable();
    table.primary(['list_id', 'tag']);
  });

  await create('mailers', (table) => {
    table.increments('id');
    table.integer('account_id').unsigned().notNullable().index('mailers_account');
    table.string('name', 200).notNullable();
    table.boolean('plain_allowed').notNullable().defaultTo(false);
    table.text('ip_whitelist', 'mediumtext').notNullable();
    table.bigInteger('created_at').notNullable();
  });

  await create('access_keys', (table, { ascii, octets }) => {
    table.increments('id');
    table.integer('mailer_id').unsigned().notNullable().index('access_keys_mailer');
    octets('key_hash', 32).notNullable().unique({ indexName: 'access_keys_key_hash' });
    // The key's last characters, by which people tell keys apart.
    ascii('ending', 8).notNullable();
    table.bigInteger('created_at').notNullable();
    table.bigInteger('expires_at');
  });

  await create('grants', (table) => {
    table.integer('mailer_id').unsigned().notNullable();
    table.integer('list_id').unsigned().notNullable().index('grants_list');
    table.bigInteger('created_at').notNullable();
    table.primary(['mailer_id', 'list_id']);
  });

  await createOptOuts(db, isSqlite);

  await create('list_counts', (table) => {
    table.integer('list_id').unsigned().notNullable().primary();
    for (const kind of ['addresses', 'md5_only', 'sha256_only', 'erased']) {
      table.bigInteger(kind).notNullable().defaultTo(0);
    }
    table.bigInteger('last_number').notNullable().defaultTo(0);
  });

  await create('feed', (table, { ascii }) => {
    table.integer('id').notNullable().primary();
    ascii('epoch', 24).notNullable();
    table.bigInteger('last_number').notNullable();
    // Deltas from before this number are gone: their tombstones were purged.
    table.bigInteger('purged_number').notNullable().defaultTo(0);
    // The highest fencing number that has written here: a keeper with a lower one has lost its lease.
    table.bigInteger('fencing').notNullable().defaultTo(0);
  });

  // At this time, every row recorded until shortly before had at most this number.
  await create('feed_marks', (table) => {
    table.bigInteger('at').notNullable().primary();
    table.bigInteger('number').notNullable();
  });

  await create('expiries', (table, { octets }) => {
    table.integer('list_id').unsigned().notNullable();
    octets('address_key', 16).notNullable();
    octets('tag', 128).notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['list_id', 'address_key', 'tag']);
    table.index(['expires_at'], 'expiries_expires_at');
    table.index(['list_id', 'expires_at'], 'expiries_list');
  });

  await create('leases', (table, { ascii }) => {
    ascii('name', 40).notNullable().primary();
    ascii('holder', 64).notNullable().defaultTo('');
    table.bigInteger('fencing').notNullable().defaultTo(0);
    table.bigInteger('expires_at').notNullable().defaultTo(0);
  });

  await create('downloads', (table, { ascii }) => {
    table.bigIncrements('id');
    table.integer('list_id').unsigned().notNullable();
    table.integer('mailer_id').unsigned().notNullable();
    table.integer('access_key_id').unsigned().notNullable();
    table.bigInteger('at').notNullable();
    ascii('ip', 45).notNullable();
    ascii('extent', 10).notNullable();
    ascii('format', 10).notNullable();
    table.integer('status').notNullable();
    table.bigInteger('entries');
    table.bigInteger('finished_at');
    table.index(['list_id', 'at'], 'downloads_list');
    table.index(['mailer_id', 'at'], 'downloads_mailer');
  });

  await create('history', (table, { ascii, octets }) => {
    table.bigIncrements('id');
    table.bigInteger('at').notNullable();
    table.integer('account_id').unsigned().notNullable();
    table.integer('list_id').unsigned();
    ascii('actor', 64).notNullable();
    ascii('action', 40).notNullable();
    // Of an opt-out: its address key, never the address.
    octets('subject', 16);
    table.text('details').notNullable();
    table.index(['account_id', 'at'], 'history_account');
  });

  await insertMissing(db, 'leases', { name: 'keeper' });
}

export function down(): Promise<void> {
  // Opt-outs are legal acts: no step back deletes them.
  return Promise.reject(new Error('The core has no way back.'));
}

interface Types {
  octets: (column: string, length: number) => Knex.ColumnBuilder;
  ascii: (column: string, length: number) => Knex.ColumnBuilder;
}

async function insertMissing(db: Knex, table: string, row: Record<string, unknown>): Promise<void> {
  const [key = ''] = Object.keys(row);
  const standing: unknown = await db(table)
    .where({ [key]: row[key] })
    .first();
  if (standing === undefined) await db(table).insert(row);
}

/**
 * One row per (list, address, tag), clustered by that key: see docs/decisions/0001-the-key-of-opt-outs.md.
 *
 * `address_key` is the MD5 of the normalised address, or the first 16 octets of its SHA-256 where only
 * that is known. `domain` serves the search by domain. SQLite keeps the rows by rowid all the same: with
 * WITHOUT ROWID it records a quarter slower.
 */
async function createOptOuts(db: Knex, isSqlite: boolean): Promise<void> {
  const octets = (length: number) => (isSqlite ? 'BLOB' : `VARBINARY(${length})`);
  const ascii = (length: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;
  const index = (name: string, columns: string) => `INDEX ${name} (${columns})`;
  const indexes: [string, string][] = [
    ['opt_outs_feed', 'list_id, feed_number'],
    ['opt_outs_address', 'list_id, address'],
    ['opt_outs_domain', 'list_id, domain'],
  ];
  // SQLite has no "last @", which a quoted local part needs; trimming what follows it finds it. The casts keep
  // the lengths in characters throughout.
  const text = 'CAST(address AS TEXT)';
  const domain = isSqlite
    ? `domain BLOB AS (CAST(substr(${text}, 1 + length(rtrim(${text}, replace(${text}, '@', '')))) AS BLOB)) VIRTUAL`
    : `domain VARBINARY(254) AS (SUBSTRING_INDEX(address, '@', -1)) VIRTUAL`;
  await ensure(db, (schema) =>
    schema.raw(
      `CREATE TABLE opt_outs (
      list_id ${isSqlite ? 'INTEGER' : 'INT UNSIGNED'} NOT NULL,
      address_key ${isSqlite ? 'BLOB' : 'BINARY(16)'} NOT NULL,
      tag ${octets(128)} NOT NULL,
      address ${octets(254)},
      given ${octets(1024)},
      sha256 ${isSqlite ? 'BLOB' : 'BINARY(32)'},
      created_at BIGINT NOT NULL,
      recorded_at BIGINT NOT NULL,
      last_at BIGINT NOT NULL,
      repeats INTEGER NOT NULL DEFAULT 0,
      source ${ascii(12)} NOT NULL,
      reason ${octets(255)},
      expires_at BIGINT,
      mailer_id INTEGER,
      credential_id INTEGER,
      ip ${ascii(45)},
      receipt ${octets(16)},
      removed_at BIGINT,
      feed_number BIGINT,
      counted SMALLINT NOT NULL DEFAULT 0,
      ${domain},
      PRIMARY KEY (list_id, address_key, tag)
      ${isSqlite ? '' : ',' + indexes.map(([name, columns]) => index(name, columns)).join(', ')}
    ) ${isSqlite ? '' : 'ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin'}`,
    ),
  );
  if (!isSqlite) return;
  for (const [name, columns] of indexes) {
    await ensure(db, (schema) => schema.raw(`CREATE INDEX ${name} ON opt_outs (${columns})`));
  }
}

import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** People who sign in to the console, and what they sign in with. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (length: number) => (isSqlite ? 'BLOB' : `VARBINARY(${length})`);
  const ascii = (length: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;
  const create = async (name: string, build: (table: Knex.CreateTableBuilder) => void) => {
    await ensure(db, (schema) =>
      schema.createTable(name, (table) => {
        if (!isSqlite) {
          table.engine('InnoDB');
          table.charset('utf8mb4');
          table.collate('utf8mb4_bin');
        }
        build(table);
      }),
    );
  };

  await create('users', (table) => {
    table.increments('id');
    // Folded, as people sign in with it.
    table.string('email', 254).notNullable().unique({ indexName: 'users_email' });
    table.string('name', 200).notNullable();
    table.specificType('role', ascii(10)).notNullable();
    // None for an admin, who is of no account.
    table.integer('account_id').unsigned().index('users_account');
    // Of a user of the role mailer alone.
    table.integer('mailer_id').unsigned().index('users_mailer');
    // None until the invitation is taken up.
    table.specificType('password_hash', ascii(200));
    table.bigInteger('password_at');
    // Sealed with the installation's secret. None: no one-time codes are asked for.
    table.specificType('totp_secret', octets(100));
    // The last time step whose code was taken: none opens twice (RFC 6238, section 5.2).
    table.bigInteger('totp_step').notNullable().defaultTo(0);
    // None: what the browser asks for.
    table.specificType('language', ascii(12));
    table.bigInteger('created_at').notNullable();
    table.bigInteger('signed_in_at');
    table.bigInteger('ended_at');
  });

  await create('sessions', (table) => {
    table.specificType('token_hash', octets(32)).notNullable().primary();
    table.integer('user_id').unsigned().notNullable().index('sessions_user');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('seen_at').notNullable();
    table.bigInteger('expires_at').notNullable().index('sessions_expires_at');
    table.specificType('ip', ascii(45)).notNullable();
    table.string('browser', 200).notNullable();
  });

  // In place of a code, each good for once; keyed hashes, since they are shorter than a token.
  await create('recovery_codes', (table) => {
    table.integer('user_id').unsigned().notNullable();
    table.specificType('code_hash', octets(32)).notNullable();
    table.bigInteger('created_at').notNullable();
    table.primary(['user_id', 'code_hash']);
  });

  // Links that are good for once: the set-up, invitations, forgotten passwords, and the step between password
  // and code.
  await create('one_time_links', (table) => {
    table.specificType('token_hash', octets(32)).notNullable().primary();
    table.specificType('purpose', ascii(12)).notNullable();
    table.integer('user_id').unsigned().index('one_time_links_user');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('expires_at').notNullable().index('one_time_links_expires_at');
  });

  // How often somebody tried: by user, by the network that it came from, and by both together.
  await create('sign_in_tries', (table) => {
    table.specificType('subject', octets(16)).notNullable();
    // Of the window that they are counted in: UTC milliseconds.
    table.bigInteger('since').notNullable().index('sign_in_tries_since');
    table.integer('tries').unsigned().notNullable();
    table.primary(['subject', 'since']);
  });
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Everybody who signs in to the console would be locked out.'));
}

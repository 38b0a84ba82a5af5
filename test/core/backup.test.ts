import assert from 'node:assert/strict';
import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createAccount } from '../../src/core/accounts.js';
import { backUp, transientTables } from '../../src/core/backup.js';
import { openBackup } from '../../src/core/backup-file.js';
import type { BackupTable } from '../../src/core/backup-shapes.js';
import { getFeed } from '../../src/core/feed.js';
import { getImportJob } from '../../src/core/import-jobs.js';
import { createList } from '../../src/core/lists.js';
import { restoreBackup } from '../../src/core/restore.js';
import { connect, type Db } from '../../src/db/connect.js';
import { migrate, migrationNames } from '../../src/db/migrate.js';
import { describeTables, readRows, type Column, type Value } from '../../src/db/tables.js';
import { emptyFolder } from '../cli/signoff.js';
import { freshDatabases, linesIn } from '../support/backup-files.js';
import { freshDatabaseUrl, type FreshDatabase } from '../support/engine.js';
import { carryOut, uploadText } from '../support/import-jobs.js';

const signIn = ['sessions', 'one_time_links', 'sign_in_tries'];
const unkept = ['migrations', 'migrations_lock', 'leases', 'mails', ...signIn];

describe('A backup', function () {
  this.timeout(60_000);
  const databases: FreshDatabase[] = [];
  const pools: Db[] = [];
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.destroy()));
    await Promise.all(databases.splice(0).map((database) => database.drop()));
  });

  async function open(database?: FreshDatabase, poolSize = 3): Promise<Db> {
    const { url, drop } = database ?? (await freshDatabaseUrl());
    databases.push({ url, drop });
    const db = connect(url, { timeoutMs: 10_000, poolSize });
    pools.push(db);
    return db;
  }
  async function openMigrated(): Promise<Db> {
    const db = await open();
    await migrate(db);
    return db;
  }
  async function write(db: Db, onRows: () => void = () => undefined): Promise<string> {
    const file = path.join(emptyFolder(), 'signoff.backup');
    await pipeline(backUp(db, { signoff: '0.1.0', secret: null, onRows }), createWriteStream(file));
    return file;
  }
  async function restore(db: Db, file: string): Promise<string[]> {
    return restoreBackup(db, await openBackup(file, () => undefined), {
      holder: 'test',
      timeoutMs: 5000,
      beforeRows: () => undefined,
      onRows: () => undefined,
    });
  }

  it('holds every table that the migrations make, and leaves out only what is of the moment', async () => {
    const db = await openMigrated();
    const lines = linesIn(await write(db));
    const held = lines.flatMap((line) => (line as Partial<BackupTable>).table ?? []);
    assert.deepEqual([...held, ...unkept].sort(), (await tableNames(db)).sort());
    assert.deepEqual(transientTables, ['leases', 'mails', ...signIn]);
  });

  it('brings back every column of every table, on either engine, and a feed that begins anew', async () => {
    let db = await openMigrated();
    await fill(db);
    const before = await contents(db);
    assert.ok(Object.values(before).every((rows) => rows.length > 0));
    const feed = await getFeed(db);
    for (const next of await freshDatabases()) {
      const file = await write(db);
      db = await open(next);
      assert.deepEqual(await restore(db, file), []);
      assert.deepEqual(await contents(db), before);
      const { epoch, ...places } = await getFeed(db);
      assert.notEqual(epoch, feed.epoch);
      assert.deepEqual({ epoch: feed.epoch, ...places }, feed);
    }
  });

  it('brings back an upload that waits, in statements that every server takes', async () => {
    let db = await openMigrated();
    await createAccount(db, 'Acme');
    const list = await createList(db, 1, { name: 'Acme News' }, { actor: 'test' });
    const blank = `${' '.repeat(1000)}\n`;
    const { id } = await uploadText(db, list, `address\n${blank.repeat(8000)}ann@example.com\n`);
    for (const next of await freshDatabases()) {
      const backup = await write(db);
      db = await open(next);
      await restore(db, backup);
      assert.equal((await getImportJob(db, id)).state, 'waiting');
    }
    await carryOut(db);
    const { state, taken } = await getImportJob(db, id);
    assert.deepEqual([state, taken], ['done', 1]);
  });

  it('gives no row the id of one that is gone', async () => {
    let db = await openMigrated();
    const add = async () => (await db('accounts').insert({ name: 'Acme', created_at: 1 }))[0];
    const ids = [await add(), await add()];
    await db('accounts').where({ id: ids[1] }).delete();
    for (const next of await freshDatabases()) {
      const file = await write(db);
      db = await open(next);
      await restore(db, file);
    }
    assert.equal(await add(), Number(ids[1]) + 1);
  });

  it('is of one moment, whatever is written while it is made', async () => {
    const db = await openMigrated();
    await fill(db);
    const before = await contents(db);
    const [database] = databases;
    const other = await open(database);
    let isWritten = false;
    const write_ = () => {
      if (isWritten) return;
      isWritten = true;
      // The first table has been read, the others have not.
      written = other.transaction(async (trx) => {
        for (const table of ['accounts', 'tags', 'opt_outs']) await trx(table).delete();
      });
    };
    let written: Promise<void> | undefined;
    const file = await write(db, write_);
    await written;
    assert.equal((await other('opt_outs')).length, 0, 'it kept nobody from writing');
    const restored = await open(await freshDatabaseUrl());
    await restore(restored, file);
    assert.deepEqual(await contents(restored), before);
  });

  it('of older tables goes through the migrations that came later', async () => {
    const old = await open();
    const [first = ''] = migrationNames;
    await migrate(old, undefined, [first]);
    await fill(old);
    const file = await write(old);

    const db = await open();
    await restore(db, file);
    const carriedOut = await db<{ name: string; batch: number }>('migrations').orderBy('id');
    assert.deepEqual(
      carriedOut.map(({ name, batch }) => [name, batch]),
      migrationNames.map((name) => [name, name === first ? 1 : 2]),
      'the rows came in between',
    );
    assert.deepEqual(
      (await db<{ name: string }>('lists')).map(({ name }) => name),
      (await old<{ name: string }>('lists')).map(({ name }) => name),
    );
    await assert.rejects(restore(await openMigrated(), file), /newer than the backup \(0002-signed-links/);
  });

  it('brings back no session, no link that is good for once, and none of who was there before', async () => {
    const session = { token_hash: Buffer.alloc(32, 1), created_at: 1, seen_at: 1, expires_at: 9e12 };
    const link = { token_hash: Buffer.alloc(32, 1), purpose: 'password', created_at: 1, expires_at: 9e12 };
    const of = async (db: Db) => {
      await db('users').insert({ id: 1, email: 'a@example.com', name: 'A', role: 'admin', created_at: 1 });
      await db('sessions').insert({ ...session, user_id: 1, ip: '', browser: '' });
      await db('one_time_links').insert({ ...link, user_id: 1 });
      await db('sign_in_tries').insert({ subject: Buffer.alloc(16), since: 1, tries: 1 });
      await db('recovery_codes').insert({ user_id: 1, code_hash: Buffer.alloc(32), created_at: 1 });
    };
    const db = await openMigrated();
    await of(db);
    const file = await write(db);
    for (const line of linesIn(file)) {
      assert.ok(!signIn.includes((line as Partial<BackupTable>).table ?? ''));
    }
    const other = await openMigrated();
    await of(other);
    await other('users').update({ email: 'somebody.else@example.com' });
    await restore(other, file);
    assert.deepEqual(await other('users').pluck('email'), ['a@example.com']);
    assert.equal((await other('recovery_codes')).length, 1);
    for (const table of signIn) assert.deepEqual(await other(table), [], table);
  });

  it('passes over tables of other programs, and says so', async () => {
    const db = await openMigrated();
    await db.schema.createTable('strangers', (table) => void table.increments('id'));
    await db('strangers').insert({ id: 7 });
    const file = await write(db);
    const other = await open();
    assert.deepEqual(await restore(other, file), ['strangers']);
    assert.equal(await other.schema.hasTable('strangers'), false);
  });

  it('reads a table by slices that neither leave out a row nor give one twice', async () => {
    const db = await openMigrated();
    const keys: [number, number, number][] = [];
    // Prefixes that end within a slice, at its end, and behind it.
    for (const [list, addresses, tags] of [
      [1, 1, 1],
      [2, 49, 1],
      [3, 1, 120],
      [5, 70, 3],
      [6, 1200, 1],
      [9, 2, 50],
    ] as const) {
      for (let i = 0; i < addresses; i++) for (let j = 0; j < tags; j++) keys.push([list, i, j]);
    }
    const octets = (n: number, length: number) => Buffer.alloc(length, n.toString().padStart(length, '0'));
    const rows = keys.map(([list_id, i, j]) => ({
      list_id,
      address_key: octets(i, 16),
      tag: octets(j, 4),
      expires_at: 1,
    }));
    for (let i = 0; i < rows.length; i += 500) await db('expiries').insert(rows.slice(i, i + 500));
    const table = (await describeTables(db)).find(({ name }) => name === 'expiries');
    assert.ok(table);
    const read: Value[][] = [];
    for await (const slice of readRows(db, table)) read.push(...slice);
    assert.deepEqual(
      read.map(([list, key, tag]) => [list, Number(String(key)), Number(String(tag))]),
      keys,
    );
  });
});

async function tableNames(db: Db): Promise<string[]> {
  if (isSqlite(db)) {
    const names = await db('sqlite_schema')
      .where({ type: 'table' })
      .whereNot('name', 'sqlite_sequence')
      .pluck('name');
    return names as string[];
  }
  const rows: { name: string }[] = await db('information_schema.tables')
    .whereRaw('table_schema = DATABASE()')
    .select({ name: 'table_name' });
  return rows.map(({ name }) => name);
}

function isSqlite(db: Db): boolean {
  return (db.client as { driverName: string }).driverName === 'better-sqlite3';
}

/** What has to be the same after a restore: all columns, the generated ones as well. */
async function contents(db: Db): Promise<Record<string, unknown[]>> {
  const found: Record<string, unknown[]> = {};
  for (const table of await tableNames(db)) {
    if (unkept.includes(table)) continue;
    const rows: Record<string, unknown>[] = await db(table);
    found[table] = rows
      .map(({ epoch, fencing, ...row }) =>
        JSON.stringify(table === 'feed' ? row : { ...row, epoch, fencing }),
      )
      .sort();
  }
  return found;
}

/** Two rows for every table, with a value in every column. */
async function fill(db: Db): Promise<void> {
  for (const { name, columns } of await describeTables(db)) {
    if (transientTables.includes(name)) continue;
    if (name === 'feed') await db('feed').update({ last_number: 70, purged_number: 7, fencing: 5 });
    else for (const n of [1, 2]) await db(name).insert(rowOf(columns, n));
  }
  await db('lists')
    .where({ id: 1 })
    .update({ name: 'Ächme "News" \\ \u{1F600}\u2028', contact: "O'Hara\r\n\t", redirect_template: null });
}

function rowOf(columns: readonly Column[], n: number): Record<string, Value> {
  const octets = (length: number) => Buffer.from(Array.from({ length }, (_, i) => (i * 37 * n) % 256));
  return Object.fromEntries(
    columns.map(({ name, kind }, i): [string, Value] => {
      // Both engines make the same domain only of what is an address.
      if (name === 'address') return [name, Buffer.from(`person${n}@example.com`)];
      if (kind === 'octets') return [name, octets(name === 'sha256' ? 32 : 16)];
      return [name, kind === 'text' ? `t${n}` : name.endsWith('id') ? n : (i % 90) + n];
    }),
  );
}

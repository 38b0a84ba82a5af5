import { createAccount } from '../../src/core/accounts.js';
import { md5Of, parseAddress, sha256Of } from '../../src/core/address.js';
import type { Entry } from '../../src/core/entries.js';
import { hasPendingChanges } from '../../src/core/feed.js';
import { numberChanges } from '../../src/core/numbering.js';
import { createList } from '../../src/core/lists.js';
import type { OptOut, OptOutRecord } from '../../src/core/opt-outs.js';
import type { Knex } from 'knex';
import { connect, type Db } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { auditIsClean } from './audited.js';
import { freshMigratedDatabase } from './template.js';

export interface TestDatabase {
  readonly db: Db;
  readonly url: string;
  /** One more pool on the same database, as another process would have it; closed with the rest. */
  another(options?: { timeoutMs?: number; poolSize?: number }): Db;
  /** A transaction on a connection of its own; rolled back at the end, where a test leaves it open. */
  begin(): Promise<Knex.Transaction>;
  /** As it was: no opt-outs, a feed that begins with 1, a lease that nobody has had. */
  clear(): Promise<void>;
  /** @param unauditedBecause what a test has done to it on purpose: else it has to be free of breaches. */
  close(unauditedBecause?: string): Promise<void>;
}

/**
 * A fresh database of this run's engine with all tables, and nobody at work on it.
 *
 * @param options.folder that SQLite's is made in; tests of crashes name one on a disk.
 */
export async function migratedDatabase({
  timeoutMs = 10_000,
  poolSize = 10,
  folder,
}: { timeoutMs?: number; poolSize?: number; folder?: string } = {}): Promise<TestDatabase> {
  const database = await freshMigratedDatabase(folder);
  const pools: Db[] = [];
  const transactions: Knex.Transaction[] = [];
  const open = (options: { timeoutMs?: number; poolSize?: number } = {}) => {
    const db = connect(database.url, { timeoutMs, poolSize, ...options });
    pools.push(db);
    return db;
  };
  const db = open();
  await migrate(db);
  await createAccount(db, 'Acme');
  return {
    db,
    url: database.url,
    another: open,
    async begin() {
      const trx = await open({ poolSize: 1 }).transaction();
      transactions.push(trx);
      return trx;
    },
    async clear() {
      const tables = ['opt_outs', 'list_counts', 'feed_marks', 'expiries', 'opt_out_figures', 'fetches'];
      for (const table of tables) await db(table).delete();
      await db('feed').update({ last_number: 0, purged_number: 0, fencing: 0 });
      await db('leases').update({ holder: '', fencing: 0, expires_at: 0 });
    },
    async close(unauditedBecause = '') {
      await Promise.all(transactions.filter((trx) => !trx.isCompleted()).map((trx) => trx.rollback()));
      // What tests number without a keeper, they number without its lease.
      if (unauditedBecause === '') {
        const feed = await db<{ fencing: number }>('feed').first('fencing');
        await db('leases')
          .where({ name: 'keeper' })
          .where('fencing', '<', feed?.fencing ?? 0)
          .update({ fencing: feed?.fencing });
      }
      await Promise.all(pools.map((pool) => pool.destroy()));
      try {
        if (unauditedBecause === '') await auditIsClean(database.url);
      } finally {
        await database.drop();
      }
    },
  };
}

/** @returns the id of a new list. */
export async function newList(db: Db): Promise<number> {
  return (await createList(db, 1, { name: 'Acme News' }, { actor: 'test' })).id;
}

/** An opt-out from everything through the server door, at time 1000, unless `more` says otherwise. */
export function optOutOf(listId: number, email: string, more: Partial<OptOut> = {}): OptOut {
  const parsed = parseAddress(email);
  if (!parsed.ok) throw new Error(`${email} is no address: ${parsed.problem}`);
  const at = more.recordedAt ?? 1000;
  return {
    listId,
    address: parsed.address,
    tag: '*',
    source: 'server',
    createdAt: at,
    recordedAt: at,
    ...more,
  };
}

/** What a row of `opt_outs` holds, where a test writes it itself. */
export type PlantedRow = Partial<Omit<OptOutRecord, 'list_id'>>;

/** How an address, an imported hash and an erased person stand in `opt_outs`. */
export const rowKinds = {
  plain: (email: string): PlantedRow => ({ address_key: md5Of(email), address: Buffer.from(email) }),
  md5Only: (email: string): PlantedRow => ({ address_key: md5Of(email) }),
  sha256Only: (email: string): PlantedRow => ({
    address_key: sha256Of(email).subarray(0, 16),
    sha256: sha256Of(email),
  }),
  erased: (email: string): PlantedRow => ({ address_key: md5Of(email), sha256: sha256Of(email) }),
};

/** Puts rows straight into `opt_outs`, unnumbered: what no function of the core writes (yet). */
export async function plant(db: Db, listId: number, rows: readonly PlantedRow[]): Promise<void> {
  const whole = rows.map((row) => ({
    list_id: listId,
    tag: Buffer.from('*'),
    address: null,
    sha256: null,
    created_at: 1000,
    recorded_at: 1000,
    last_at: 1000,
    source: 'import',
    expires_at: null,
    removed_at: null,
    feed_number: null,
    ...row,
  }));
  for (let i = 0; i < whole.length; i += 500) await db('opt_outs').insert(whole.slice(i, i + 500));
}

/** All rows of a list, by key. */
export async function rowsOfList(db: Db, listId: number): Promise<OptOutRecord[]> {
  const rows = await db<OptOutRecord>('opt_outs').where({ list_id: listId }).orderBy(['address_key', 'tag']);
  return rows;
}

/** Does the keeper's numbering until nothing of these lists waits. */
export async function numberAll(db: Db, listIds: readonly number[], fencing = 1): Promise<void> {
  for (let call = 0; call < 10_000; call++) {
    const numbered = await numberChanges(db, fencing);
    if (numbered > 0) continue;
    const pending = await Promise.all(listIds.map((id) => hasPendingChanges(db, id, -1)));
    if (!pending.includes(true)) return;
  }
  throw new Error('the numbering comes to no end');
}

/** What `getCounts` has to say of these rows: what suppresses, by kind. */
export function countsByKind(rows: readonly OptOutRecord[]): Record<string, number> {
  const counts = { addresses: 0, md5_only: 0, sha256_only: 0, erased: 0 };
  for (const { removed_at, address, sha256, address_key } of rows) {
    if (removed_at !== null) continue;
    if (address !== null) counts.addresses++;
    else if (sha256 === null) counts.md5_only++;
    else if (sha256.subarray(0, 16).equals(address_key)) counts.sha256_only++;
    else counts.erased++;
  }
  return counts;
}

/** Texts that stand for what a reader was given: `+ann@example.com`, `-` for what is gone; hashes in hexadecimal. */
export async function collect(slices: AsyncIterable<readonly Entry[]>): Promise<string[]> {
  const texts: string[] = [];
  for await (const entries of slices) {
    for (const { isSuppressed, address, md5, sha256 } of entries) {
      const text = address?.toString() ?? md5?.toString('hex') ?? sha256?.toString('hex');
      texts.push(`${isSuppressed ? '+' : '-'}${text}`);
    }
  }
  return texts;
}

/** MySQL: until a statement in this database waits for a lock that another transaction holds. */
export async function untilLockWait(db: Db): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const waiting: unknown = await db('information_schema.innodb_trx as trx')
      .join('information_schema.processlist as process', 'process.id', 'trx.trx_mysql_thread_id')
      .where({ 'trx.trx_state': 'LOCK WAIT' })
      .whereRaw('process.db = DATABASE()')
      .first('trx.trx_id');
    if (waiting !== undefined) return;
    // InnoDB makes this table anew only for those who left it alone for 100 ms.
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  throw new Error('no statement waits for a lock');
}

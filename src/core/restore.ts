import { retrying, type Db } from '../db/connect.js';
import { migrate, newEpoch } from '../db/migrate.js';
import { Refused } from '../errors.js';
import type { Backup } from './backup-file.js';
import { signInTables } from './backup.js';
import { findMark, removeMark, setMark } from './half-restored.js';
import { findLease, releaseLease, takeLease } from './leases.js';
import { bringRows, clearTables, foreignTables } from './restore-rows.js';

export interface RestoreOptions {
  /** Names this process; unique in the installation. */
  readonly holder: string;
  /** For how long a step is repeated where the database is busy: milliseconds. */
  readonly timeoutMs: number;
  /** Called once nobody else works on the database, and before its first row. */
  readonly beforeRows: () => void;
  readonly onRows: (rows: number) => void;
}

const leaseMs = 10_000;
/** Such a restore is told from a service by its lease's holder. */
const holderPrefix = 'restore ';

/**
 * Puts a backup into a database that is empty, or holds what is left of a restore that was broken off. It can
 * be killed anywhere and run again. The feed gets a new epoch: what readers have seen of the old one after
 * the backup was made is not in it, so all of them have to take the whole list.
 *
 * The keeper's lease is held all along: nobody numbers half of the rows.
 *
 * @returns the tables of the backup that Signoff does not know, and that were passed over.
 * @throws Refused for a database that is in use, whose tables are newer than the backup's, or which a service runs on.
 */
export async function restoreBackup(db: Db, backup: Backup, options: RestoreOptions): Promise<string[]> {
  const repeat = <T>(work: () => Promise<T>) => retrying(db, options.timeoutMs, work);
  await repeat(() => refuseInUse(db));
  const isWhole = async () => (await findMark(db))?.whole === backup.sha256;
  if (!(await repeat(isWhole))) await makeTables(db, backup, repeat);

  const holder = `${holderPrefix}${options.holder}`;
  const lease = await keepLease(db, holder, repeat);
  try {
    // Another restore may have been quicker.
    await repeat(() => refuseInUse(db));
    options.beforeRows();
    let foreign: string[] = [];
    if (!(await repeat(isWhole))) {
      await repeat(() => setMark(db, { whole: null }));
      foreign = await bringAll(db, backup, lease, repeat, options);
    }
    // What has been added to the tables since the backup was made, with what it does to the rows.
    await migrate(db);
    await repeat(() => removeMark(db));
    return foreign;
  } finally {
    await releaseLease(db, 'keeper', holder).catch(() => undefined);
  }
}

type Repeat = <T>(work: () => Promise<T>) => Promise<T>;

/** What nobody may lose. An installation that has none of it was set up, and never used. */
const inUse: [table: string, one: string, several: string][] = [
  ['accounts', 'account', 'accounts'],
  ['lists', 'list', 'lists'],
  ['opt_outs', 'opt-out', 'opt-outs'],
];

async function refuseInUse(db: Db): Promise<void> {
  if ((await findMark(db)) !== null) return;
  const found: string[] = [];
  for (const [table, one, several] of inUse) {
    if (!(await db.schema.hasTable(table))) continue;
    // To count millions would take its time.
    const rows = await db(table).limit(1000).select(db.raw('1'));
    if (rows.length > 0) {
      const count = rows.length === 1000 ? 'at least 1,000' : String(rows.length);
      found.push(`${count} ${rows.length === 1 ? one : several}`);
    }
  }
  if (found.length === 0) return;
  throw new Refused(
    'in-use',
    `This database is in use: it holds ${found.join(', ')}. A backup is restored into an empty one; set DATABASE_URL to a new one.`,
  );
}

/** Makes the tables as they were when the backup was made, so that its rows go through all later migrations. */
async function makeTables(db: Db, { header }: Backup, repeat: Repeat): Promise<void> {
  const carriedOut = await repeat(async (): Promise<string[]> =>
    (await db.schema.hasTable('migrations')) ? db('migrations').orderBy('id').pluck('name') : [],
  );
  const newer = carriedOut.filter((name) => !header.migrations.includes(name));
  if (newer.length > 0) {
    throw new Refused(
      'newer-tables',
      `The tables of this database are newer than the backup (${newer.join(', ')}). Set DATABASE_URL to a database without any tables: restore makes them, and brings them up to date.`,
    );
  }
  await migrate(db, undefined, header.migrations);
}

interface Keeping {
  /** What the lease is held with now. */
  fencing(): number;
  /** Call it every few seconds. @throws Refused where another process has taken the lease meanwhile. */
  renew(): Promise<void>;
}

async function keepLease(db: Db, holder: string, repeat: Repeat): Promise<Keeping> {
  let lease = await repeat(() => takeLease(db, 'keeper', holder, leaseMs));
  if (lease === null) throw await keeperAtWork(db);
  let renewedAt = Date.now();
  return {
    fencing: () => lease?.fencing ?? 0,
    async renew() {
      if (Date.now() - renewedAt < leaseMs / 5) return;
      lease = await repeat(() => takeLease(db, 'keeper', holder, leaseMs));
      if (lease === null) throw await keeperAtWork(db);
      renewedAt = Date.now();
    },
  };
}

async function keeperAtWork(db: Db): Promise<Refused> {
  const lease = await findLease(db, 'keeper');
  const seconds = Math.max(1, Math.ceil(((lease?.expiresAt ?? 0) - Date.now()) / 1000));
  const who = lease?.holder.startsWith(holderPrefix)
    ? 'Another restore is at work on this database, or was broken off a moment ago'
    : 'A service runs on this database: stop it first. Or it was killed a moment ago';
  return new Refused('at-work', `${who}; in that case try again in ${seconds} s.`);
}

/** @returns the tables that were passed over. */
async function bringAll(
  db: Db,
  backup: Backup,
  lease: Keeping,
  repeat: Repeat,
  { timeoutMs, onRows }: RestoreOptions,
): Promise<string[]> {
  const foreign = await repeat(() => foreignTables(db, backup));
  await clearTables(db);
  await bringRows(db, backup, {
    timeoutMs,
    // The feed comes last: without it, no keeper numbers anything. What no backup should hold is not taken from
    // one that does.
    except: [...foreign, ...signInTables, 'feed'],
    onRows: async (rows) => {
      onRows(rows);
      await lease.renew();
    },
  });
  await repeat(() =>
    db.transaction(async (trx) => {
      await trx('feed').delete();
      await trx('feed').insert({ ...backup.feed, epoch: newEpoch(), fencing: lease.fencing() });
      await setMark(trx, { whole: backup.sha256 });
    }),
  );
  return foreign;
}

import { engineOf, isDatabaseUnavailable, retrying, type Db } from '../db/connect.js';
import { Refused, Unavailable } from '../errors.js';
import type { ImportStep, Record as RecordOptOuts } from './import-batch.js';
import { readChunks } from './import-chunks.js';
import { changed, finish, noteOfJob } from './import-job-changes.js';
import { jobOf, type ImportJob, type ImportJobRow } from './import-jobs.js';
import { formatOf } from './import-layout.js';
import { keepRefusals, mostKept, refusalRowsOf } from './import-refusals.js';
import { importOptOuts, type ImportEnd } from './import.js';
import { getListById, type List } from './lists.js';
import { withoutOptions } from './option-words.js';

/** An import job that is being carried out. */
export interface ImportRun {
  readonly accountId: number;
  /**
   * Does a step more: some hundred rows, committed, and then the job's counts in one transaction with the rows
   * that were refused. Whoever was stopped in between records those rows again, which is harmless, and counts
   * them once.
   *
   * @returns whether there is more; false as well where another process has gone on with the job meanwhile.
   */
  next(): Promise<boolean>;
  /**
   * Leaves it as it is, to be gone on with. Where nothing but the database was in the way of a step, its start
   * is taken back: it is not the job's doing.
   */
  close(): Promise<void>;
}

/**
 * So many starts without a step done, and it is given up: it may be what kills the process, or makes it fail.
 * A start is counted beforehand, since whoever is killed counts nothing.
 */
const mostAttempts = 20;

/** What the file of one job may come to, unpacked: who brings more keeps the others waiting. */
const mostUnpacked = 1024 ** 3; // octets

/** Others wait for a step: for its statement on SQLite's one connection, elsewhere for Node while it puts that together. */
const rowsAStep = { mysql: 250, sqlite: 100 } as const;

/** Opens what findNextImport finds. */
export async function openNextImport(
  db: Db,
  record: RecordOptOuts,
  patienceMs: number,
  except: ReadonlySet<number> = new Set(),
): Promise<ImportRun | null> {
  const found = await findNextImport(db, except);
  return found === null ? null : openImport(db, found, record, patienceMs);
}

/** @returns null where there is nothing to do with it: another process was quicker, it is over, or it is given up. */
export async function openImport(
  db: Db,
  found: ImportJobRow,
  record: RecordOptOuts,
  patienceMs: number,
): Promise<ImportRun | null> {
  const list = await getListById(db, found.list_id);
  const row = await begin(db, found);
  if (row === null) return null;
  if (row.attempts > mostAttempts) {
    const message = `It was tried ${mostAttempts} times, and failed each time. Its file is kept for 30 days: until then an operator can start it again.`;
    await db.transaction((trx) => finish(trx, row, { failure: { code: 'given-up', message } }));
    return null;
  }
  return runOf(db, row, list, record, patienceMs);
}

/** Jobs that are looked at; the others wait for one of them to be done. An account has a hundred at most. */
const mostLookedAt = 1000;

/**
 * A job that is to be carried out: of any account, so that nobody's imports keep the others waiting; of an
 * account, the one that was begun, and then the oldest.
 *
 * @param except accounts that have their turn already.
 */
export async function findNextImport(
  db: Db,
  except: ReadonlySet<number> = new Set(),
): Promise<ImportJobRow | null> {
  const firsts = new Map<number, number>();
  for (const state of ['running', 'waiting'] as const) {
    const jobs = await db<ImportJobRow>('import_jobs')
      .where({ state })
      .whereNotIn('account_id', [...except])
      .orderBy('id')
      .limit(mostLookedAt)
      .select('id', 'account_id');
    for (const { id, account_id } of jobs) if (!firsts.has(account_id)) firsts.set(account_id, id);
  }
  const ids = [...firsts.values()];
  const id = ids[Math.floor(Math.random() * ids.length)];
  if (id === undefined) return null;
  return (await db<ImportJobRow>('import_jobs').where({ id }).first()) ?? null;
}

/** @returns null where another process was quicker, or it was ended meanwhile. */
async function begin(db: Db, found: ImportJobRow): Promise<ImportJobRow | null> {
  if (found.state !== 'waiting' && found.state !== 'running') return null;
  return db.transaction(async (trx) => {
    const row = await changed(trx, found, {
      state: 'running',
      attempts: found.attempts + 1,
      begun_at: found.begun_at ?? Date.now(),
      // Of what an older version has begun, not all rows would be counted.
      known: found.line === 0 ? 0 : found.known,
    });
    if (row !== null && found.state === 'waiting') await noteOfJob(trx, row, 'list.import-started');
    return row;
  });
}

function runOf(
  db: Db,
  begun: ImportJobRow,
  list: List,
  record: RecordOptOuts,
  patienceMs: number,
): ImportRun {
  let row = begun;
  /** Whether its start still counts, and for nothing that the job has done. */
  let isOwed = true;
  const { options, actor, credentialId, begunAt } = jobOf(row);
  const steps = importOptOuts(
    db,
    list,
    readChunks(db, row.id, row.chunks),
    {
      ...options,
      ...{ fromLine: row.line + 1, patienceMs, actor, credentialId, mostUnpacked, begunAt },
      batchRows: rowsAStep[engineOf(db).name],
    },
    record,
  );

  async function end(result: ImportEnd | null, failure: ImportJob['failure']): Promise<false> {
    const lines = result?.lines ?? 0;
    const format = result === null || result.layout === null ? null : formatOf(result.layout);
    await retrying(db, patienceMs, () =>
      db.transaction((trx) => finish(trx, row, { failure, lines, format })),
    );
    isOwed = false;
    return false;
  }

  async function step(): Promise<boolean> {
    let result: IteratorResult<ImportStep, ImportEnd>;
    try {
      result = await steps.next();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return end(null, { code: error.reason, message: withoutOptions(error.message) });
    }
    if (result.done) return end(result.value, failureOf(result.value));
    const { value } = result;
    const saved = await retrying(db, patienceMs, () => saveStep(db, row, value));
    row = saved ?? row;
    isOwed = false;
    return saved !== null;
  }

  return {
    accountId: row.account_id,
    async next() {
      try {
        return await step();
      } catch (error) {
        if (!(error instanceof Unavailable || isDatabaseUnavailable(db, error))) isOwed = false;
        throw error;
      }
    },
    async close() {
      await steps.return({ layout: null, lines: 0, cutOff: null }).catch(() => undefined);
      if (!isOwed) return;
      isOwed = false;
      const takenBack = { attempts: Math.max(0, row.attempts - 1) };
      // Where the database is away for that as well, one start too many counts: nothing is begun either then.
      await retrying(db, patienceMs, () => changed(db, row, takenBack)).catch(() => undefined);
    },
  };
}

function failureOf({ cutOff, lines }: ImportEnd): ImportJob['failure'] {
  if (cutOff === null) return null;
  const message = `Read to the end of line ${lines}, and no further: ${cutOff}. What stands behind it is missing.`;
  return { code: 'cut-off', message };
}

/** @returns the job as it stands now; null where another process has changed it. */
async function saveStep(db: Db, row: ImportJobRow, step: ImportStep): Promise<ImportJobRow | null> {
  const room = mostKept - row.kept_refusals;
  return db.transaction(async (trx) => {
    const kept = await refusalRowsOf(trx, row.id, row.account_id, step.refusals.slice(0, room));
    const saved = await changed(trx, row, {
      line: step.line,
      read_octets: step.octets,
      known: row.known === null ? null : row.known + step.known,
      taken: row.taken + step.taken,
      refused: row.refused + step.refusals.length,
      kept_refusals: row.kept_refusals + kept.length,
      warnings: countedIn(row.warnings, step),
      attempts: 0,
    });
    if (saved !== null) await keepRefusals(trx, kept);
    return saved;
  });
}

function countedIn(warnings: string, step: ImportStep): string {
  const counts = JSON.parse(warnings) as Record<string, number>;
  for (const { problem } of step.warnings) counts[problem] = (counts[problem] ?? 0) + 1;
  return JSON.stringify(counts);
}

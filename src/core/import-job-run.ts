import { engineOf, retrying, type Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { noteChange } from './history.js';
import type { ImportStep, Record as RecordOptOuts } from './import-batch.js';
import { readChunks } from './import-chunks.js';
import { jobOf, type ImportJob, type ImportJobRow } from './import-jobs.js';
import { formatOf } from './import-layout.js';
import { keepRefusals, mostKept, refusalRowsOf } from './import-refusals.js';
import { importOptOuts, type ImportEnd } from './import.js';
import { getListById, type List } from './lists.js';

/** An import job that is being carried out. */
export interface ImportRun {
  /**
   * Does a step more: some hundred rows, committed, and then the job's counts in one transaction with the rows
   * that were refused. Whoever was stopped in between records those rows again, which is harmless, and counts
   * them once.
   *
   * @returns whether there is more; false as well where another process has gone on with the job meanwhile.
   */
  next(): Promise<boolean>;
  /** Leaves it as it is, to be gone on with. */
  close(): Promise<void>;
}

/** So many starts without a step done, and it is given up: it may be what kills the process. */
const mostAttempts = 20;

/** SQLite's one connection is held for some milliseconds. */
const rowsAStep = { mysql: 1000, sqlite: 250 } as const;

/** @returns null where there is nothing to do. One that was begun goes on first, then the oldest comes. */
export async function openNextImport(
  db: Db,
  record: RecordOptOuts,
  patienceMs: number,
): Promise<ImportRun | null> {
  const found = (await oldest(db, 'running')) ?? (await oldest(db, 'waiting'));
  if (found === undefined) return null;
  const list = await getListById(db, found.list_id);
  const row = await begin(db, found, list);
  if (row === null) return null;
  if (row.attempts > mostAttempts) {
    const failure = {
      code: 'given-up',
      message: `It was tried ${mostAttempts} times, and failed each time.`,
    };
    await finish(db, row, list, null, failure);
    return null;
  }
  return runOf(db, row, list, record, patienceMs);
}

async function oldest(db: Db, state: ImportJobRow['state']): Promise<ImportJobRow | undefined> {
  return db<ImportJobRow>('import_jobs').where({ state }).orderBy('id').first();
}

/** @returns null where another process was quicker. */
async function begin(db: Db, found: ImportJobRow, list: List): Promise<ImportJobRow | null> {
  return db.transaction(async (trx) => {
    const row = await changed(trx, found, {
      state: 'running',
      attempts: found.attempts + 1,
      begun_at: found.begun_at ?? Date.now(),
    });
    if (row !== null && found.state === 'waiting') await note(trx, row, list, 'list.import-started', {});
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
  const { options, actor, credentialId } = jobOf(row);
  const steps = importOptOuts(
    db,
    list,
    readChunks(db, row.id, row.chunks),
    {
      ...options,
      ...{ fromLine: row.line + 1, patienceMs, actor, credentialId },
      batchRows: rowsAStep[engineOf(db).name],
    },
    record,
  );

  async function end(result: ImportEnd | null, failure: ImportJob['failure']): Promise<false> {
    await retrying(db, patienceMs, () => finish(db, row, list, result, failure));
    return false;
  }

  return {
    async next() {
      let step: IteratorResult<ImportStep, ImportEnd>;
      try {
        step = await steps.next();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        return end(null, { code: error.reason, message: withoutOptions(error.message) });
      }
      if (step.done) return end(step.value, failureOf(step.value));
      const { value } = step;
      const saved = await retrying(db, patienceMs, () => saveStep(db, row, value));
      row = saved ?? row;
      return saved !== null;
    },
    async close() {
      await steps.return({ layout: null, lines: 0, cutOff: null }).catch(() => undefined);
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

/** Its chunks, and later the texts of its refused rows, are deleted from here on (old-import-jobs.ts). */
async function finish(
  db: Db,
  row: ImportJobRow,
  list: List,
  end: ImportEnd | null,
  failure: ImportJob['failure'],
): Promise<void> {
  const now = Date.now();
  const format = end === null || end.layout === null ? null : formatOf(end.layout);
  await db.transaction(async (trx) => {
    const over = await changed(trx, row, {
      state: failure === null ? 'done' : 'failed',
      line: Math.max(row.line, end?.lines ?? 0),
      format,
      failure_code: failure?.code ?? null,
      failure: failure?.message ?? null,
      finished_at: now,
      due_at: now,
    });
    if (over === null) return;
    const details = { format, recorded: row.taken, refused: row.refused, is_whole: failure === null };
    await note(trx, row, list, 'list.imported', details);
  });
}

/**
 * Changes a job only where it stands as it was read: of two processes that carry it out (one has lost the lease
 * and does not know it yet), one counts.
 *
 * @returns null where another one has changed it.
 */
async function changed(
  trx: Db,
  row: ImportJobRow,
  columns: Partial<ImportJobRow>,
): Promise<ImportJobRow | null> {
  const next = { ...columns, version: row.version + 1 };
  const rows = await trx<ImportJobRow>('import_jobs')
    .where({ id: row.id, version: row.version })
    .update(next);
  return rows === 1 ? { ...row, ...next } : null;
}

async function note(
  trx: Db,
  row: ImportJobRow,
  list: List,
  action: string,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { account_id: accountId, actor, public_id } = row;
  await noteChange(trx, {
    ...{ accountId, listId: list.id, actor, action },
    details: { import: public_id, ...details },
  });
}

/** What the command line would have to be told is no help to the client of an API. */
function withoutOptions(message: string): string {
  return message.replace(/: say which with --.*$/, '.').replace(/^--[\w-]+ /, 'Column ');
}

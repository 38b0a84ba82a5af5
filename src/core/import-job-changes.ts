import type { Db } from '../db/connect.js';
import { NotFound, Refused, Unavailable } from '../errors.js';
import { noteChange } from './history.js';
import type { ImportJob, ImportJobOptions, ImportJobRow } from './import-jobs.js';
import { textsMs } from './old-import-jobs.js';

/** How an import job goes from one state to another: by the keeper (import-job-run.ts) and by an operator. */

/** How long the file of a job that was given up is kept, so that it can be started again: milliseconds. */
const givenUpMs = textsMs;

/**
 * Changes a job only where it stands as it was read: of two processes that carry it out (one has lost the lease
 * and does not know it yet), one counts.
 *
 * @returns null where another one has changed it.
 */
export async function changed(
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

interface JobEnd {
  readonly failure: ImportJob['failure'];
  /** How many lines were read; not said where it was not read to an end. */
  readonly lines?: number;
  readonly format?: string | null;
  /** Who ended it; otherwise it is whoever brought it. */
  readonly actor?: string;
}

/**
 * A job is over: its chunks, and later the texts of its refused rows, are deleted from here on
 * (old-import-jobs.ts). The file of one that was given up is all that is left of opt-outs that were answered
 * for: it stays for 30 days. Belongs in a transaction.
 *
 * @returns whether it is; not where another process has changed it.
 */
export async function finish(trx: Db, row: ImportJobRow, end: JobEnd): Promise<boolean> {
  const { failure, lines = 0, format = null } = end;
  const now = Date.now();
  const over = await changed(trx, row, {
    state: failure === null ? 'done' : 'failed',
    line: Math.max(row.line, lines),
    format,
    failure_code: failure?.code ?? null,
    failure: failure?.message ?? null,
    finished_at: now,
    due_at: failure?.code === 'given-up' ? now + givenUpMs : now,
  });
  if (over === null) return false;
  const details = { format, recorded: row.taken, refused: row.refused, is_whole: failure === null };
  await noteOfJob(trx, row, 'list.imported', details, end.actor);
  return true;
}

export async function noteOfJob(
  trx: Db,
  { account_id: accountId, list_id: listId, public_id, actor }: ImportJobRow,
  action: string,
  details: Readonly<Record<string, unknown>> = {},
  by = actor,
): Promise<void> {
  await noteChange(trx, {
    ...{ accountId, listId, actor: by, action },
    details: { import: public_id, ...details },
  });
}

/**
 * Lets a held job wait for its turn, now that somebody has said how it is to be read. Belongs in a transaction.
 *
 * @param actor who has said so: it is theirs from here on.
 * @throws Refused where it is not held any more: it was started before, ended, or has been held for too long.
 */
export async function startImportJob(
  trx: Db,
  id: number,
  options: ImportJobOptions,
  actor: string,
): Promise<void> {
  const row = await standing(trx, id);
  if (row.state !== 'held') {
    throw new Refused('not-held', 'This import was started before.');
  }
  if (row.chunks === 0 || (row.due_at ?? 0) < Date.now() + startMs) {
    throw new Refused('file-gone', 'The file of this import is not kept any more: upload it again.');
  }
  const started = await changed(trx, row, {
    ...{ state: 'waiting', due_at: null },
    ...{ options: JSON.stringify(options), actor },
  });
  if (started === null) throw changedMeanwhile();
}

/**
 * Ends a job that waits or runs: what was recorded of it stays, the rest is not recorded. Of a step that is under
 * way at that moment, rows may be recorded that are not counted. Of one that is held, nothing is left. Belongs in a
 * transaction.
 *
 * @throws Refused where it is not there to be ended.
 */
export async function endImportJob(trx: Db, id: number, actor: string): Promise<void> {
  const row = await standing(trx, id);
  if (row.state === 'held') {
    // The keeper deletes it, and its file, in slices.
    if ((await changed(trx, row, { state: 'broken', due_at: 0 })) === null) throw changedMeanwhile();
    return;
  }
  if (row.state === 'uploading') {
    throw new Refused(
      'uploading',
      'This import is still being uploaded: it can be ended once all of it is there.',
    );
  }
  if (row.state !== 'waiting' && row.state !== 'running') {
    throw new Refused('over', 'This import is over: there is nothing left of it to end.');
  }
  const message = `It was ended by an operator after line ${row.line}: what was recorded by then stays, the rest is not recorded.`;
  const isOver = await finish(trx, row, { failure: { code: 'ended', message }, actor });
  if (!isOver) throw changedMeanwhile();
}

/**
 * Lets a job that was given up wait for its turn again, to be gone on with behind its last step. Belongs in a
 * transaction.
 *
 * @throws Refused where it was not given up, or its file is not kept any more.
 */
export async function restartImportJob(trx: Db, id: number, actor: string): Promise<void> {
  const row = await standing(trx, id);
  if (row.state !== 'failed' || row.failure_code !== 'given-up') {
    throw new Refused('not-given-up', 'Only an import that was given up can be started again.');
  }
  if (row.chunks === 0 || (row.due_at ?? 0) < Date.now() + startMs) {
    throw new Refused('file-gone', 'The file of this import is not kept any more: upload it again.');
  }
  const again = await changed(trx, row, {
    ...{ state: 'waiting', attempts: 0, failure_code: null, failure: null },
    ...{ finished_at: null, due_at: null },
  });
  if (again === null) throw changedMeanwhile();
  await noteOfJob(trx, row, 'list.import-restarted', {}, actor);
}

/** Nearer to the end of its time, somebody may be deleting the file already. */
const startMs = 60_000;

async function standing(trx: Db, id: number): Promise<ImportJobRow> {
  const row = await trx<ImportJobRow>('import_jobs')
    .where({ id })
    .whereNot({ state: 'broken' })
    .forUpdate()
    .first();
  if (row === undefined) throw new NotFound('There is no such import.');
  return row;
}

function changedMeanwhile(): Unavailable {
  return new Unavailable('the import has gone on meanwhile: try it again');
}

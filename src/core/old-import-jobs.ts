import type { Db } from '../db/connect.js';
import { deleteChunks } from './import-chunks.js';
import type { ImportJobRow } from './import-jobs.js';
import { forgetTexts } from './import-refusals.js';
import { removeBroken } from './import-upload.js';
import type { Retention } from './retention.js';

/** How long the texts of refused rows are kept: milliseconds. */
export const textsMs = 30 * 24 * 3_600_000;

/**
 * Deletes a slice of what an import job needs no more: all of an upload that broke off, or was held for so long
 * that its owner has forgotten it; the chunks of a job that
 * is over, and after 30 days the texts of the rows that it refused.
 *
 * @returns whether there may be more to do at once.
 */
export async function tidyImportJobs(db: Db, now: number): Promise<boolean> {
  const job = await db<ImportJobRow>('import_jobs').where('due_at', '<=', now).orderBy('due_at').first();
  if (job === undefined) return false;
  const { id, state } = job;
  const as = (columns: Partial<ImportJobRow>) =>
    db<ImportJobRow>('import_jobs').where({ id, state, due_at: job.due_at }).update(columns);
  // Marked first: what is half deleted must not become a job.
  if (state === 'uploading' || state === 'held') await as({ state: 'broken' });
  else if (state === 'broken') await removeBroken(db, id);
  else if (job.chunks > 0) {
    if (await deleteChunks(db, id)) return true;
    const hasTexts = job.kept_refusals > 0;
    await as({ chunks: 0, due_at: hasTexts ? (job.finished_at ?? now) + textsMs : null });
  } else if (!(await forgetTexts(db, id))) await as({ due_at: null });
  return true;
}

/** Jobs a call. */
const jobsAtOnce = 100;

/** Rows of refusals a call. */
const refusalsAtOnce = 500;

/**
 * Deletes what became of imports that are older than history is kept. Ids rise with time, or nearly.
 *
 * @returns whether there may be more to do at once.
 */
export async function forgetImportJobs(db: Db, now: number, { historyMs }: Retention): Promise<boolean> {
  if (historyMs === null) return false;
  const jobs = await db<ImportJobRow>('import_jobs')
    .orderBy('id')
    .limit(jobsAtOnce)
    .select('id', 'finished_at', 'due_at');
  const old = jobs.filter((job) => job.due_at === null && (job.finished_at ?? now) < now - historyMs);
  for (const { id } of old) {
    const lines = (await db('import_job_refusals')
      .where({ job_id: id })
      .orderBy('line')
      .limit(refusalsAtOnce)
      .pluck('line')) as number[];
    if (lines.length > 0) {
      await db('import_job_refusals').where({ job_id: id }).whereIn('line', lines).delete();
      return true;
    }
    await db('import_jobs').where({ id }).delete();
  }
  return old.length === jobsAtOnce;
}

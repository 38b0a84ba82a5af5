import { rowsOf, type Db } from '../db/connect.js';
import type { Breach } from './audit.js';
import { importJobStates, type ImportJobRow } from './import-jobs.js';
import { isPublicId } from './lists.js';

interface AuditedJob extends ImportJobRow {
  /** Of its list; null where there is none of this id. */
  owner: number | null;
  stored_chunks: number;
  stored_octets: number;
  stored_refusals: number;
}

/** By so much the clocks of nodes may differ. */
const clocksMs = 3_600_000;

/** Jobs a query: each may have ten thousand refused rows. */
const jobsAtOnce = 10;

/**
 * An import job is of a list of its account, in numbers that a file can have, and has what its state says: all
 * of its file until it is over. Each is read with all that is its in one statement, since they change together.
 */
export async function* auditImportJobs(db: Db): AsyncGenerator<Breach> {
  for (let after = 0; ;) {
    const result: unknown = await db.raw(
      `SELECT j.*, l.account_id AS owner,
         (SELECT COUNT(*) FROM import_job_chunks AS c WHERE c.job_id = j.id) AS stored_chunks,
         (SELECT COALESCE(SUM(LENGTH(c.octets)), 0) FROM import_job_chunks AS c WHERE c.job_id = j.id) AS stored_octets,
         (SELECT COUNT(*) FROM import_job_refusals AS r WHERE r.job_id = j.id) AS stored_refusals
       FROM import_jobs AS j LEFT JOIN lists AS l ON l.id = j.list_id
       WHERE j.id > ? ORDER BY j.id LIMIT ?`,
      [after, jobsAtOnce],
    );
    const jobs = rowsOf<AuditedJob>(db, result);
    for (const job of jobs) {
      for (const [code, what] of faultsOf(job)) {
        yield { code, table: 'import_jobs', description: `import job ${job.id}: ${what}` };
      }
    }
    after = jobs.at(-1)?.id ?? 0;
    if (jobs.length < jobsAtOnce) break;
  }
  for (const table of ['import_job_chunks', 'import_job_refusals']) yield* auditStrays(db, table);
}

/** One job after the other, each with its row in one statement: an upload that breaks off goes with all of its rows. */
async function* auditStrays(db: Db, table: string): AsyncGenerator<Breach> {
  for (let after = 0; ;) {
    const row: { job_id: number; id: number | null } | undefined = await db(table)
      .leftJoin('import_jobs', 'import_jobs.id', `${table}.job_id`)
      .where(`${table}.job_id`, '>', after)
      .orderBy(`${table}.job_id`)
      .first(`${table}.job_id`, 'import_jobs.id');
    if (row === undefined) return;
    if (row.id === null) {
      yield { code: 'reference', table, description: `job_id ${row.job_id} is in no row of import_jobs` };
    }
    after = row.job_id;
  }
}

function faultsOf(job: AuditedJob): [code: string, what: string][] {
  const { state, line, taken, known, refused, octets, read_octets, chunks } = job;
  const faults: [string, string][] = [];
  const fault = (what: string) => void faults.push(['import-job', what]);
  if (job.owner === null) faults.push(['reference', `list_id ${job.list_id} is in no row of lists`]);
  else if (job.owner !== job.account_id) faults.push(['account', `list ${job.list_id} is another account's`]);

  if (state !== 'broken' && !importJobStates.includes(state)) fault('its state is none');
  if (!isPublicId(job.public_id)) fault('public_id is none that could be asked for');
  if (!isObject(job.options) || !isObject(job.warnings)) fault('options or warnings cannot be read');
  const counts = [line, taken, known ?? 0, refused, octets, read_octets];
  if (!counts.every((value) => Number.isSafeInteger(value) && value >= 0)) fault('a count is none');
  else if ((known ?? 0) > taken || read_octets > octets) {
    fault(`${known} known of ${taken} taken, ${read_octets} read of ${octets} octets`);
  } else if (taken + refused > line) fault(`${taken} taken and ${refused} refused of ${line} lines`);
  if (job.stored_refusals !== job.kept_refusals || job.kept_refusals > refused) {
    fault(`${job.stored_refusals} refused rows are there, ${job.kept_refusals} were kept of ${refused}`);
  }
  // The file of one that was given up stays for a while: it may be started again.
  const isKept = job.failure_code === 'given-up' && chunks > 0 && (job.due_at ?? 0) > Date.now();
  const isReady = state === 'held' || state === 'waiting' || state === 'running' || isKept;
  if (isReady && (job.stored_chunks !== chunks || Number(job.stored_octets) !== octets)) {
    fault(`${job.stored_octets} octets of its file are there, in ${job.stored_chunks} chunks: not all of it`);
  }
  if (state === 'held' && (job.due_at === null || job.begun_at !== null)) {
    fault('it is held, and nobody ever forgets it, or it was begun');
  }
  const isOver = state === 'done' || state === 'failed';
  const isLeft = job.due_at === null || (chunks > 0 && !isKept && job.due_at > Date.now() + clocksMs);
  if (isOver && isLeft && job.stored_chunks > 0) fault('it is over, and its file is still there');
  if (isOver !== (job.finished_at !== null) || (state === 'failed') !== (job.failure_code !== null)) {
    fault(`it is ${state}, and its end says otherwise`);
  }
  if ((job.begun_at ?? job.created_at) < job.created_at || (job.finished_at ?? Infinity) < job.created_at) {
    faults.push(['time', 'it was over before it was made']);
  }
  return faults;
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}

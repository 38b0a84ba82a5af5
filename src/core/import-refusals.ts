import type { Db } from '../db/connect.js';
import { addressForms, md5Of, parseAddress } from './address.js';
import { findErased } from './erased-people.js';
import type { ImportJob } from './import-jobs.js';
import { decoded } from './import-layout.js';
import type { Refusal, RowProblem } from './import-rows.js';

/** The rows that an import job could not take: by line and reason, and for a time by their text. */
export interface KeptRefusal {
  readonly line: number;
  readonly problem: RowProblem;
  /** As it stood, as octets (Latin-1), its first 1,000; null once it is forgotten. */
  readonly text: string | null;
}

/** How many rows of a job are kept; all are counted. */
export const mostKept = 10_000;

const longestText = 1000; // octets

/** Rows a statement. */
const rowsAtOnce = 500;

interface RefusalRow {
  job_id: number;
  line: number;
  problem: RowProblem;
  text: Buffer | null;
}

/** Of people whom the account has erased, no row is kept with its text. */
export async function refusalRowsOf(
  db: Db,
  jobId: number,
  accountId: number,
  refusals: readonly Refusal[],
): Promise<RefusalRow[]> {
  const keys = refusals.map(({ raw }) => addressesIn(raw).map(md5Of));
  const erased = new Set<string>();
  const all = keys.flat();
  for (let i = 0; i < all.length; i += rowsAtOnce) {
    for (const key of (await findErased(db, accountId, all.slice(i, i + rowsAtOnce))).keys()) erased.add(key);
  }
  return refusals.map(({ line, problem, raw }, i) => {
    const isOfErased = keys[i]?.some((key) => erased.has(key.toString('hex'))) === true;
    const text = isOfErased ? null : Buffer.from(raw.slice(0, longestText), 'latin1');
    return { job_id: jobId, line, problem, text };
  });
}

/** Belongs in the transaction that counts them. */
export async function keepRefusals(trx: Db, rows: readonly RefusalRow[]): Promise<void> {
  for (let i = 0; i < rows.length; i += rowsAtOnce) {
    await trx<RefusalRow>('import_job_refusals').insert(rows.slice(i, i + rowsAtOnce));
  }
}

/**
 * All that are kept of a job, by line, in slices.
 *
 * @param behind only those behind this line.
 */
export async function* refusalsOf(
  db: Db,
  { id }: Pick<ImportJob, 'id'>,
  behind = -1,
): AsyncGenerator<KeptRefusal[]> {
  for (let after = behind; ;) {
    const rows: RefusalRow[] = await db<RefusalRow>('import_job_refusals')
      .where({ job_id: id })
      .where('line', '>', after)
      .orderBy('line')
      .limit(rowsAtOnce);
    if (rows.length > 0) {
      yield rows.map(({ line, problem, text }) => ({
        line,
        problem,
        text: text === null ? null : Buffer.from(text).toString('latin1'),
      }));
    }
    after = rows.at(-1)?.line ?? after;
    if (rows.length < rowsAtOnce) return;
  }
}

/**
 * A slice of the texts of a job.
 *
 * @returns whether there may be more.
 */
export async function forgetTexts(db: Db, jobId: number): Promise<boolean> {
  const lines = (await db('import_job_refusals')
    .where({ job_id: jobId })
    .whereNotNull('text')
    .orderBy('line')
    .limit(rowsAtOnce)
    .pluck('line')) as number[];
  if (lines.length === 0) return false;
  await db<RefusalRow>('import_job_refusals')
    .where({ job_id: jobId })
    .whereIn('line', lines)
    .update({ text: null });
  return lines.length === rowsAtOnce;
}

/** A row of which the text names a person. */
export interface RefusalOfPerson {
  readonly jobId: number;
  readonly line: number;
}

/** The rows whose texts hold an address, in whatever letters: of all jobs of an account, by slices. */
export async function* refusalsNaming(
  db: Db,
  accountId: number,
  normalised: string,
): AsyncGenerator<RefusalOfPerson[]> {
  const forms = addressForms(normalised).map(squeezed);
  for (let afterJob = 0; ;) {
    const jobs = (await db('import_jobs')
      .where({ account_id: accountId })
      .where('id', '>', afterJob)
      .where('kept_refusals', '>', 0)
      .orderBy('id')
      .limit(rowsAtOnce)
      .pluck('id')) as number[];
    for (const id of jobs) {
      for await (const rows of refusalsOf(db, { id })) {
        const naming = rows.filter(({ text }) => {
          const held = text === null ? '' : squeezed(decoded(text));
          return forms.some((form) => held.includes(form));
        });
        if (naming.length > 0) yield naming.map(({ line }) => ({ jobId: id, line }));
        // Others have their turn between the slices.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    afterJob = jobs.at(-1) ?? 0;
    if (jobs.length < rowsAtOnce) return;
  }
}

/** Takes the texts away that hold an address. May be repeated. */
export async function eraseFromRefusals(db: Db, accountId: number, normalised: string): Promise<number> {
  let erased = 0;
  for await (const rows of refusalsNaming(db, accountId, normalised)) {
    for (const jobId of new Set(rows.map((row) => row.jobId))) {
      erased += await db<RefusalRow>('import_job_refusals')
        .where({ job_id: jobId })
        .whereIn(
          'line',
          rows.filter((row) => row.jobId === jobId).map(({ line }) => line),
        )
        .update({ text: null });
    }
  }
  return erased;
}

/** What was refused for an invisible or a stray character names somebody all the same. */
function squeezed(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\p{Cc}\p{Cf}\p{Z}]+/gu, '');
}

/** Normalised; at most five of a row. */
function addressesIn(raw: string): string[] {
  const found = decoded(raw.slice(0, longestText)).match(/[^\s,;:"'<>()]{1,64}@[^\s,;:"'<>()]{1,255}/g) ?? [];
  return found.slice(0, 5).flatMap((text) => {
    const parsed = parseAddress(text, { typed: true });
    return parsed.ok ? [parsed.address.normalised] : [];
  });
}

import type { Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import type { ImportOptions } from './import-batch.js';
import { isPublicId, type List } from './lists.js';

/**
 * Imports of files that were uploaded: stored in the database as they come (import-upload.ts), and carried
 * out by the keeper afterwards, wherever and however often it is stopped (import-job-run.ts).
 *
 * `uploading`: not all of it has come. `held`: all of it is there, and whoever brought it has yet to say how it is
 * to be read, or it is forgotten. `waiting`: it is safe, and its turn comes. `failed`: all that could be
 * done was done, and `failure` says why that is not all of it; what was taken by then is recorded.
 */
export const importJobStates = ['uploading', 'held', 'waiting', 'running', 'done', 'failed'] as const;
export type ImportJobState = (typeof importJobStates)[number];

/** How the file is to be read; kept with the job. See LayoutOptions and ImportOptions. */
export type ImportJobOptions = Pick<
  ImportOptions,
  | 'format'
  | 'column'
  | 'tagColumn'
  | 'dateColumn'
  | 'reasonColumn'
  | 'tag'
  | 'addsTags'
  | 'severalTags'
  | 'mapping'
>;

/** What a file is read like unless it is said otherwise: found out, from all of the mail, unknown tags as all of it. */
export const plainImport: ImportJobOptions = {
  ...{ format: 'auto', column: null, tagColumn: null, dateColumn: null, reasonColumn: null },
  ...{ tag: '*', addsTags: false, severalTags: false, mapping: null },
} as const;

export interface ImportJob {
  readonly id: number;
  /** Unguessable, in URLs, never reused. */
  readonly publicId: string;
  readonly accountId: number;
  readonly listId: number;
  readonly credentialId: number | null;
  /** Who the history says it was. */
  readonly actor: string;
  /** As its client called it; null where it did not. */
  readonly fileName: string | null;
  readonly options: ImportJobOptions;
  readonly state: ImportJobState;
  /** Of the file as it was uploaded; 0 while it is. */
  readonly octets: number;
  /** How many of its octets have been dealt with, as of its last step. */
  readonly readOctets: number;
  /** How many of its lines have been dealt with; all of them once it is over. */
  readonly lines: number;
  /** Rows, whatever number of tags each of them names. `refused` counts those as well that are not kept. */
  readonly taken: number;
  readonly refused: number;
  /** How many of those taken the list held before the import was begun; null where they were not counted. */
  readonly known: number | null;
  /** How many rows were taken in spite of what, by ImportWarning's problem; a row may count more than once. */
  readonly warnings: Readonly<Record<string, number>>;
  /** How it was read, such as `csv` or `md5`; null while that is not known. */
  readonly format: string | null;
  /** Why it is not all done: a stable code, and a sentence for people. */
  readonly failure: { readonly code: string; readonly message: string } | null;
  /** UTC milliseconds. */
  readonly createdAt: number;
  readonly begunAt: number | null;
  readonly finishedAt: number | null;
  /** When it is forgotten, of a held one; null for any other. */
  readonly heldUntil: number | null;
}

export interface ImportJobRow {
  id: number;
  public_id: string;
  account_id: number;
  list_id: number;
  credential_id: number | null;
  actor: string;
  file_name: string | null;
  options: string;
  /** `broken` is an upload that broke off, and is being removed: nobody is shown it. */
  state: ImportJobState | 'broken';
  octets: number;
  read_octets: number;
  chunks: number;
  version: number;
  line: number;
  taken: number;
  known: number | null;
  refused: number;
  kept_refusals: number;
  warnings: string;
  format: string | null;
  attempts: number;
  failure_code: string | null;
  failure: string | null;
  created_at: number;
  begun_at: number | null;
  finished_at: number | null;
  due_at: number | null;
}

/** @returns null for an id that no job has, or that cannot be one. */
export async function findImportJob(db: Db, publicId: string): Promise<ImportJob | null> {
  const id = publicId.toLowerCase();
  if (!isPublicId(id)) return null;
  const row = await db<ImportJobRow>('import_jobs')
    .where({ public_id: id })
    .whereNot({ state: 'broken' })
    .first();
  return row === undefined ? null : jobOf(row);
}

/** @throws NotFound */
export async function getImportJob(db: Db, id: number): Promise<ImportJob> {
  const row = await db<ImportJobRow>('import_jobs').where({ id }).whereNot({ state: 'broken' }).first();
  if (row === undefined) throw new NotFound('There is no such import.');
  return jobOf(row);
}

interface Page {
  /** Only those that were made before this one, by its `id`: where an earlier page has ended. */
  readonly before?: number;
  /** At most 1,000. */
  readonly limit?: number;
}

/** Newest first. */
export function importJobsOfList(db: Db, list: List, page: Page = {}): Promise<ImportJob[]> {
  return jobsWhere(db, { list_id: list.id }, page);
}

/** Newest first. */
export function importJobsOfAccount(db: Db, accountId: number, page: Page = {}): Promise<ImportJob[]> {
  return jobsWhere(db, { account_id: accountId }, page);
}

async function jobsWhere(
  db: Db,
  where: Partial<ImportJobRow>,
  { before, limit = 100 }: Page,
): Promise<ImportJob[]> {
  const rows: ImportJobRow[] = await db<ImportJobRow>('import_jobs')
    .where(where)
    .whereNot({ state: 'broken' })
    .where('id', '<', before ?? Number.MAX_SAFE_INTEGER)
    .orderBy('id', 'desc')
    .limit(Math.min(limit, 1000));
  return rows.map(jobOf);
}

export function jobOf(row: ImportJobRow): ImportJob {
  return {
    id: row.id,
    publicId: row.public_id,
    accountId: row.account_id,
    listId: row.list_id,
    credentialId: row.credential_id,
    actor: row.actor,
    fileName: row.file_name,
    options: { ...plainImport, ...(JSON.parse(row.options) as Partial<ImportJobOptions>) },
    state: row.state === 'broken' ? 'failed' : row.state,
    octets: row.octets,
    readOctets: row.read_octets,
    lines: row.line,
    taken: row.taken,
    refused: row.refused,
    known: row.known,
    warnings: JSON.parse(row.warnings) as Record<string, number>,
    format: row.format,
    failure: row.failure_code === null ? null : { code: row.failure_code, message: row.failure ?? '' },
    createdAt: row.created_at,
    begunAt: row.begun_at,
    finishedAt: row.finished_at,
    heldUntil: row.state === 'held' ? row.due_at : null,
  };
}

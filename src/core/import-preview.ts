import { Readable } from 'node:stream';
import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { isOver, warningsOf, type ImportOptions, type ImportWarning } from './import-batch.js';
import { readBeginning, type Beginning } from './import-beginning.js';
import { plainImport, type ImportJob, type ImportJobOptions } from './import-jobs.js';
import { fieldsOf, type Delimiter } from './csv.js';
import { decoded, type Mapping } from './import-layout.js';
import { byLooks, guessMapping, rolesOf, type ColumnRole } from './import-mapping.js';
import { isRefusal, readRows, type ImportRow, type Read, type RowProblem } from './import-rows.js';
import { tagResolver } from './import-tags.js';
import type { List } from './lists.js';
import { shortened } from './text.js';

/** What would become of a row. */
export interface PreviewRow {
  /** Its first line, from 1. */
  readonly line: number;
  /** Shortened, and at most so many as the preview has columns. */
  readonly cells: readonly string[];
  /** Why it would be refused; null where it would be taken. */
  readonly problem: RowProblem | null;
  /** What it would be taken in spite of. */
  readonly warnings: readonly ImportWarning['problem'][];
  /** As it would be recorded; null where it would be refused. */
  readonly optOut: {
    /** An address, or a hash as hexadecimal digits. */
    readonly who: string;
    readonly tags: readonly string[];
    /** UTC milliseconds; null is when it is imported. */
    readonly createdAt: number | null;
    /** UTC milliseconds; null is never. */
    readonly expiresAt: number | null;
    readonly reason: string | null;
  } | null;
}

export interface PreviewColumn {
  readonly role: ColumnRole;
  /** As the first line names it; null where that is no heading. */
  readonly name: string | null;
}

/** What a held file is, and what it would come to. */
export interface ImportPreview {
  readonly found: Pick<Beginning, 'encoding' | 'isGzip'>;
  readonly options: ImportJobOptions & { readonly mapping: Mapping };
  /** At most 50, or 500 where one so far behind says something; one where each line is a row. */
  readonly columns: readonly PreviewColumn[];
  /** How many more there are, which say nothing. */
  readonly moreColumns: number;
  /** The first rows that were looked at: at most 200. */
  readonly rows: readonly PreviewRow[];
  /** There are no more in the file. */
  readonly isWhole: boolean;
  /** Rows that name a tag which they would not leave alone, as the list does not have it. */
  readonly unknownTags: UnknownTags;
  /** Why nothing of the file could be taken so: a stable code, and a sentence; null for it could. */
  readonly problem: { readonly code: string; readonly message: string } | null;
}

/** What of a file names tags that the list does not know: who is in these rows would leave all of the mail. */
export interface UnknownTags {
  readonly rows: number;
  /** The first of them: at most 5, shortened. */
  readonly names: readonly string[];
  readonly isMoreNames: boolean;
  /** Rows that were looked at for it, and whether that is all of the file. */
  readonly looked: number;
  readonly isWhole: boolean;
}

const noTags = { rows: 0, names: [], isMoreNames: false, looked: 0, isWhole: true };

const mostRows = 200;
/** Of a file that has a column of tags: it takes a tenth of a second, in which others have their turns. */
const mostCounted = 3000;
const mostNames = 5;
const longestName = 60; // octets
const mostColumns = 50;
const mostMapped = 500;
const longestCell = 200; // octets

/**
 * @param options how it is to be read; what it lacks is found out.
 * @param delimiter what parts its columns, where the mapping is to be found out and this is known.
 * @throws Refused for a file of which nothing can be read in any way: no text, empty, or not there any more.
 */
export async function previewImport(
  db: Db,
  list: List,
  job: ImportJob,
  options: Partial<ImportJobOptions> = {},
  delimiter: Delimiter | null = null,
): Promise<ImportPreview> {
  const beginning = await readBeginning(db, job.id);
  const { lines } = beginning;
  const guess =
    delimiter === null ? guessMapping(lines) : { mapping: byLooks(lines, delimiter), severalTags: false };
  const mapping = options.mapping ?? guess.mapping;
  const severalTags = options.severalTags ?? guess.severalTags;
  const whole = { ...plainImport, ...options, severalTags, mapping };
  const { columns, moreColumns } = columnsIn(beginning, whole.mapping);
  const { encoding, isGzip, isWhole } = beginning;
  const common = { found: { encoding, isGzip }, options: whole, columns, moreColumns };
  try {
    const hasTags = mapping.type === 'csv' && mapping.columns.tag !== -1;
    const reads = await readsIn(beginning, whole, hasTags ? mostCounted : mostRows);
    const rows = await rowsOf(db, list, reads.slice(0, mostRows), whole, columns.length);
    const counted = reads.slice(0, mostCounted);
    const unknownTags = hasTags
      ? {
          ...(await unknownTagsIn(db, list, counted, whole)),
          isWhole: isWhole && reads.length <= mostCounted,
        }
      : noTags;
    return { ...common, rows, isWhole: isWhole && reads.length <= mostRows, unknownTags, problem: null };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const problem = { code: error.reason, message: error.message };
    return { ...common, rows: [], isWhole, unknownTags: noTags, problem };
  }
}

function columnsIn({ lines }: Beginning, mapping: Mapping): Pick<ImportPreview, 'columns' | 'moreColumns'> {
  if (mapping.type === 'lines') return { columns: [{ role: 'who', name: null }], moreColumns: 0 };
  const top = fieldsOf(lines[0] ?? '', mapping.delimiter);
  const roles = rolesOf(mapping.columns, Math.min(top.length, mostMapped));
  const last = roles.findLastIndex((role) => role !== 'ignore');
  const shown = Math.max(mostColumns, last + 1);
  const columns = roles.slice(0, shown).map((role, place) => {
    return { role, name: mapping.hasHeader ? cellOf(top[place] ?? '') : null };
  });
  return { columns, moreColumns: top.length - columns.length };
}

/** One row more than are looked at, where there are so many. */
async function readsIn(
  { text, isWhole }: Beginning,
  options: ImportJobOptions,
  most: number,
): Promise<Read[]> {
  const reads: Read[] = [];
  let chunk: readonly Read[] = [];
  for await (const next of readRows(Readable.from(piecesOf(text)), options)) {
    reads.push(...chunk);
    if (reads.length > most) return reads;
    chunk = next.reads;
  }
  // The last of them is what was left open at the end, which is none of the file's.
  if (isWhole) reads.push(...chunk);
  return reads;
}

/** So that not much more is read than is looked at. */
function* piecesOf(text: Buffer): Generator<Buffer> {
  for (let at = 0; at < text.length; at += 16 * 1024) yield text.subarray(at, at + 16 * 1024);
}

async function rowsOf(
  db: Db,
  list: List,
  reads: readonly Read[],
  options: ImportJobOptions,
  width: number,
): Promise<PreviewRow[]> {
  const delimiter = options.mapping?.type === 'csv' ? options.mapping.delimiter : null;
  const resolve = resolverOf(db, list, options);
  const now = Date.now();
  const cellsOf = (raw: string) => {
    const fields = delimiter === null ? [raw] : fieldsOf(raw, delimiter);
    return fields.slice(0, width).map(cellOf);
  };
  const rows: PreviewRow[] = [];
  for (const read of reads) {
    const { line, raw } = read;
    const refused = (problem: RowProblem) => ({ problem, warnings: [], optOut: null });
    const outcome = isRefusal(read)
      ? refused(read.problem)
      : isOver(read, now)
        ? refused('expired')
        : await takenAs(read, now, resolve);
    rows.push({ line, cells: cellsOf(raw), ...outcome });
  }
  return rows;
}

async function unknownTagsIn(
  db: Db,
  list: List,
  reads: readonly Read[],
  options: ImportJobOptions,
): Promise<Omit<UnknownTags, 'isWhole'>> {
  const resolve = resolverOf(db, list, options);
  const now = Date.now();
  const names = new Set<string>();
  let rows = 0;
  for (const read of reads) {
    if (isRefusal(read) || isOver(read, now)) continue;
    const warnings: ImportWarning[] = [];
    await resolve(read, warnings);
    if (warnings.length > 0) rows++;
    for (const { text } of warnings) {
      if (names.size <= mostNames) names.add(shortened(text, longestName));
    }
  }
  const shown = [...names].slice(0, mostNames);
  return { rows, names: shown, isMoreNames: names.size > mostNames, looked: reads.length };
}

/** As the import will resolve them, but that it adds no tag to the list. */
function resolverOf(db: Db, list: List, options: ImportJobOptions): ReturnType<typeof tagResolver> {
  const whole: ImportOptions = { ...options, fromLine: 1, patienceMs: 0, actor: 'preview' };
  return tagResolver(db, list, whole, true);
}

async function takenAs(
  row: ImportRow,
  now: number,
  resolve: ReturnType<typeof tagResolver>,
): Promise<Pick<PreviewRow, 'problem' | 'warnings' | 'optOut'>> {
  const warnings: ImportWarning[] = [];
  const tags = await resolve(row, warnings);
  warnings.push(...warningsOf(row, now));
  const { who, createdAt, expiresAt, reason } = row;
  const { md5, sha256 } = who.hashes ?? {};
  const optOut = {
    who: who.address?.normalised ?? (md5 ?? sha256)?.toString('hex') ?? '',
    tags,
    createdAt: typeof createdAt === 'number' ? Math.min(createdAt, now) : null,
    expiresAt: typeof expiresAt === 'number' ? expiresAt : null,
    reason: reason === null ? null : shortened(reason, longestCell),
  };
  return { problem: null, warnings: warnings.map(({ problem }) => problem), optOut };
}

/** Octets, as they are shown. */
function cellOf(octets: string): string {
  return shortened(decoded(octets.slice(0, 4 * longestCell)), longestCell);
}

import { createReadStream } from 'node:fs';
import path from 'node:path';
import { createCsvReader, delimiterOf, linesIn, type CsvRecord, type Line } from '../core/csv.js';
import { decoded, importFormats, type ImportFormat, type LayoutOptions } from '../core/import-layout.js';
import { textOctets } from '../core/import-octets.js';
import { importKeyOf } from '../core/imports.js';
import type { List } from '../core/lists.js';
import { DomainError, Refused, Unavailable } from '../errors.js';
import { chosenList } from './arguments.js';
import { checkFile, unreadable } from './import-file.js';
import { knownTag } from './opt-out.js';
import { sentenceOf } from './problems.js';
import { checkRefusedFile } from './refused-file.js';
import { reading, type Session } from './session.js';
import { codeOf } from './whole-file.js';

/** A file of a manifest, and how it is to be imported. */
export interface ManifestEntry {
  readonly line: number;
  /** As the manifest names it. */
  readonly file: string;
  readonly path: string;
  readonly list: List;
  readonly layout: LayoutOptions;
  readonly tag: string | null;
  readonly addsTags: boolean;
  readonly refusedPath: string;
  readonly key: Buffer;
}

export interface ManifestFault {
  readonly line: number;
  readonly what: string;
}

const columns = [
  ...(['file', 'list', 'format', 'column', 'tag', 'tag_column', 'date_column', 'reason_column'] as const),
  ...(['add_tags', 'refused'] as const),
];
type Column = (typeof columns)[number];
type Row = ReadonlyMap<Column, string>;

/** More than anybody writes: a file of something else is not gone through to its end. */
const mostRows = 10_000;

/**
 * Reads a manifest and checks all of it: that every file can be read by its columns, every list is there and
 * every option is possible. Nothing is changed.
 *
 * @param force files of refused rows may replace what is no such file.
 * @returns what is wrong, by line; with nothing wrong, all of its files.
 * @throws Refused where it cannot be read.
 */
export async function readManifest(
  session: Session,
  manifest: string,
  force: boolean,
): Promise<{ entries: ManifestEntry[]; faults: ManifestFault[] }> {
  const [header, ...records] = await recordsOf(manifest);
  if (header === undefined)
    throw new Refused('empty', `${manifest} is empty: it needs the columns file, list.`);
  const names = header.fields.map((field) => decoded(field).trim().toLowerCase());
  const faults = headerFaults(header, names);
  const entries: ManifestEntry[] = [];
  if (faults.length > 0) return { entries, faults };
  if (records.length === 0) faults.push({ line: header.line, what: 'names no file below this line' });

  for (const record of records) {
    const fault = (what: string) => void faults.push({ line: record.line, what });
    if (record.isBroken || record.isCut) fault('its quotes do not close');
    else if (record.fields.length > names.length) {
      fault(`has ${record.fields.length} fields, and the first line ${names.length}`);
    } else {
      const cells = names.map((name, i) => [name as Column, decoded(record.fields[i] ?? '').trim()] as const);
      const row = new Map(cells.filter(([, cell]) => cell !== ''));
      const entry = await entryOf(session, manifest, record.line, row, entries, fault);
      if (entry === null) continue;
      await checkRefusedFile(entry.refusedPath, force).catch((error: unknown) => fault(wordsOf(error)));
      entries.push(entry);
    }
  }
  return { entries, faults };
}

async function recordsOf(manifest: string): Promise<CsvRecord[]> {
  const records: CsvRecord[] = [];
  let reader: ReturnType<typeof createCsvReader> | null = null;
  const take = (found: Iterable<CsvRecord>) => {
    for (const record of found) if (record.raw.trim() !== '') records.push(record);
    if (records.length > mostRows) {
      throw new Refused('too-long', `${manifest} has more than ${mostRows} rows: is it a manifest?`);
    }
  };
  try {
    for await (const lines of linesIn(textOctets(createReadStream(manifest)), { cutsLong: true })) {
      for (const line of lines.map(withoutBom)) {
        if (reader === null && line.text.trim() === '') continue;
        reader ??= createCsvReader(delimiterOf(line.text, (field) => field.trim().toLowerCase() === 'file'));
        take(reader.take(line));
      }
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw unreadable(manifest, codeOf(error));
    throw error instanceof DomainError ? new Refused('manifest', `${manifest}: ${wordsOf(error)}`) : error;
  }
  if (reader !== null) take(reader.finish());
  return records;
}

function withoutBom(line: Line): Line {
  return line.number === 1 ? { ...line, text: line.text.replace(/^\u00EF\u00BB\u00BF/, '') } : line;
}

function headerFaults({ line, isBroken }: CsvRecord, names: readonly string[]): ManifestFault[] {
  if (isBroken) return [{ line, what: 'its quotes do not close' }];
  const known: readonly string[] = columns;
  const unknown = names.filter((name) => !known.includes(name));
  const twice = names.filter((name, i) => names.indexOf(name) < i);
  const missing = ['file', 'list'].filter((name) => !names.includes(name));
  return [
    ...missing.map((name) => `has no column ${name}`),
    ...unknown.map((name) => `has a column ${shown(name)}, which there is none of (${columns.join(', ')})`),
    ...twice.map((name) => `has the column ${shown(name)} twice`),
  ].map((what) => ({ line, what }));
}

async function entryOf(
  session: Session,
  manifest: string,
  line: number,
  row: Row,
  before: readonly ManifestEntry[],
  fault: (what: string) => void,
): Promise<ManifestEntry | null> {
  let isSound = true;
  const wrong = (what: string): null => {
    isSound = false;
    fault(what);
    return null;
  };
  const [format = 'auto', addTags = 'no'] = [
    row.get('format')?.toLowerCase(),
    row.get('add_tags')?.toLowerCase(),
  ];
  if (!(importFormats as readonly string[]).includes(format)) {
    wrong(`format is ${shown(format)}, and can be ${importFormats.join(', ')}`);
  }
  if (!['yes', 'no'].includes(addTags)) wrong(`add_tags is ${shown(addTags)}, and can be yes or no`);
  const layout: LayoutOptions = {
    format: format as ImportFormat,
    column: row.get('column') ?? null,
    tagColumn: row.get('tag_column') ?? null,
    dateColumn: row.get('date_column') ?? null,
    reasonColumn: row.get('reason_column') ?? null,
  };
  const file = row.get('file') ?? null;
  const listText = row.get('list') ?? null;
  const tag = row.get('tag')?.normalize('NFC') ?? null;
  if (file === null) wrong('names no file');
  if (listText === null) wrong('names no list');
  const list =
    listText === null
      ? null
      : await reading(session, (db) => chosenList(db, listText)).catch((error: unknown) =>
          wrong(wordsOf(error)),
        );
  if (list !== null && tag !== null && addTags !== 'yes') orWrong(() => knownTag(list, tag));
  const whole = path.resolve(path.dirname(manifest), file ?? '');
  if (file !== null && isSound) {
    await checkFile(whole, layout).catch((error: unknown) => wrong(wordsOf(error)));
  }
  if (file === null || list === null || !isSound) return null;

  const { column, tagColumn, dateColumn, reasonColumn } = layout;
  const how = [format, column, tagColumn, dateColumn, reasonColumn, tag, addTags];
  const key = importKeyOf(list, whole, how);
  const twin = before.find((one) => one.key.equals(key));
  if (twin !== undefined) return wrong(`is the same as line ${twin.line}`);
  // A file that goes into several lists has a file of refused rows for each.
  const copies = before.filter((one) => one.path === whole).length;
  const given = row.get('refused');
  const refusedPath =
    given === undefined
      ? `${whole}.${copies === 0 ? '' : `${copies + 1}.`}refused.csv`
      : path.resolve(path.dirname(manifest), given);
  const other = before.find((one) => one.refusedPath === refusedPath);
  if (other !== undefined) return wrong(`its refused rows would go where those of line ${other.line} go`);
  return { line, file, path: whole, list, layout, tag, addsTags: addTags === 'yes', refusedPath, key };

  function orWrong(work: () => unknown): void {
    try {
      work();
    } catch (error) {
      wrong(wordsOf(error));
    }
  }
}

/** @throws what is no fault of the manifest's. */
function wordsOf(error: unknown): string {
  if (error instanceof DomainError && !(error instanceof Unavailable))
    return sentenceOf(error).replace(/\.$/, '');
  throw error;
}

function shown(text: string): string {
  // What is no manifest may be a file of addresses.
  return text.includes('@') ? 'with an @ in it' : JSON.stringify(text.slice(0, 40));
}

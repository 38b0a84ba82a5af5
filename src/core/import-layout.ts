import { Refused } from '../errors.js';
import { parseAddress } from './address.js';
import { delimiterOf, delimiters, fieldsOf, type Delimiter } from './csv.js';
import { columnNames as names } from './import-column-names.js';

export const importFormats = ['auto', 'csv', 'text', 'md5', 'sha256'] as const;
export type ImportFormat = (typeof importFormats)[number];

/** The columns of a CSV, each by its name, or by its number from 1. */
export interface LayoutOptions {
  readonly format: ImportFormat;
  /** Who has left: an address, an MD5 or a SHA-256. Null: found by its name, or by what stands in it. */
  readonly column: string | null;
  readonly tagColumn: string | null;
  readonly dateColumn: string | null;
  readonly reasonColumn: string | null;
  /**
   * A cell of the tags' column, which may be called `tags` then, may name several, separated by commas, semicolons
   * or spaces. So may one of a column of that name that is asked for.
   */
  readonly severalTags?: boolean;
  /** As a person who has seen the file has said it; what else is asked for of its format and columns is passed over. */
  readonly mapping?: Mapping | null;
}

/** What can say who has left. */
export type Kind = 'address' | 'md5' | 'sha256';
const allKinds: readonly Kind[] = ['address', 'md5', 'sha256'];

export interface Columns {
  /** The first of these that can be read counts; hashes count together. */
  readonly who: readonly number[];
  readonly tag: number;
  readonly date: number;
  readonly reason: number;
  readonly expires: number;
}

/** What each line holds: somebody who has left, and nothing else; or columns. */
export type Mapping =
  | { readonly type: 'lines' }
  | {
      readonly type: 'csv';
      readonly delimiter: Delimiter;
      /** The first line names the columns. */
      readonly hasHeader: boolean;
      readonly columns: Columns;
    };

/** How a file is to be read; columns count from 0, and -1 is none. */
export type Layout =
  | { readonly type: 'lines'; readonly kinds: readonly Kind[] }
  | {
      readonly type: 'csv';
      readonly delimiter: Delimiter;
      readonly hasHeader: boolean;
      /** How many fields a row has. */
      readonly width: number;
      readonly columns: Columns;
      /** A cell may name several tags. */
      readonly severalTags: boolean;
      /** It was written by our own export: addresses stand there as the database has them. */
      readonly isOurs: boolean;
    };

/** How many lines are looked at to tell what a file holds. */
export const sampleLines = 20;

/** The columns of our own export. */
export const exportColumns = [
  ...['email', 'md5', 'sha256', 'tag', 'created_at', 'recorded_at', 'source', 'reason', 'expires_at'],
] as const;

const whoNames = [...names.address, ...names.md5, ...names.sha256, ...names.hash];

/**
 * Tells how a file is to be read.
 *
 * @param lines its first lines that are not blank, as octets (Latin-1), without a byte order mark.
 * @throws Refused for a file that is empty, or whose columns cannot be told.
 */
export function layoutOf(lines: readonly string[], options: LayoutOptions): Layout {
  const [first] = lines;
  if (first === undefined) throw new Refused('empty', 'The file is empty.');
  const { format, mapping = null } = options;
  if (mapping !== null) return mappedLayout(first, mapping, options);
  if (format !== 'auto' && format !== 'csv') {
    return { type: 'lines', kinds: [format === 'text' ? 'address' : format] };
  }
  const wanted = options.column === null ? whoNames : [nameOf(options.column)];
  const delimiter = delimiterOf(first, (field) => wanted.includes(nameOf(field)));
  const header = fieldsOf(first, delimiter);
  if (header.some((field) => wanted.includes(nameOf(field)))) {
    return csvLayout(header, delimiter, true, whoIn(header, options.column), options);
  }
  if (options.column !== null) {
    const place = numberedPlace(options.column, header, '--column');
    return csvLayout(header, delimiter, !isData(header[place] ?? ''), [place], options);
  }
  return layoutByContent(lines, header, options);
}

function mappedLayout(first: string, mapping: Mapping, { severalTags = false }: LayoutOptions): Layout {
  if (mapping.type === 'lines') return { type: 'lines', kinds: allKinds };
  const top = fieldsOf(first, mapping.delimiter);
  const isOurs = mapping.hasHeader && isOurHeader(top);
  return { ...mapping, width: top.length, isOurs, severalTags: severalTags && !isOurs };
}

/** What a cell or line holds, by its looks; null for nothing that could be recorded. */
export function kindOf(text: string): Kind | null {
  if (/^[0-9a-f]{32}$/i.test(text)) return 'md5';
  if (/^[0-9a-f]{64}$/i.test(text)) return 'sha256';
  return text.includes('@') && parseAddress(decoded(text), { typed: true }).ok ? 'address' : null;
}

/** Octets, as the UTF-8 that they should be. */
export function decoded(octets: string): string {
  return /[\u0080-\u00FF]/.test(octets)
    ? Buffer.from(octets, 'latin1').toString('utf8').normalize('NFC')
    : octets;
}

function layoutByContent(
  lines: readonly string[],
  header: readonly string[],
  options: LayoutOptions,
): Layout {
  const isCsv = options.format === 'csv' || hasColumns(options);
  for (const line of lines) {
    if (!isCsv && kindOf(line.trim()) !== null) return { type: 'lines', kinds: allKinds };
    for (const delimiter of delimiters) {
      const fields = fieldsOf(line, delimiter);
      const places = fields.flatMap((field, place) => (kindOf(field.trim()) === null ? [] : [place]));
      if (places.length === 0 || (fields.length === 1 && !isCsv)) continue;
      if (places.length > 1) {
        throw new Refused(
          'header',
          `Several columns could say who has left (${places.map((place) => place + 1).join(', ')}): say which with --column NUMBER.`,
        );
      }
      const top = fieldsOf(lines[0] ?? '', delimiter);
      return csvLayout(top, delimiter, !isData(top[places[0] ?? 0] ?? ''), places, options);
    }
  }
  // Without a delimiter it is a text, all of whose lines will be told as none that can be read.
  if (header.length === 1 && !isCsv) return { type: 'lines', kinds: allKinds };
  throw noColumn(header, options.column);
}

/** What has an @, or is a hash, is no name of a column. */
function isData(cell: string): boolean {
  return cell.includes('@') || kindOf(cell.trim()) !== null;
}

function hasColumns({ column, tagColumn, dateColumn, reasonColumn }: LayoutOptions): boolean {
  return [column, tagColumn, dateColumn, reasonColumn].some((one) => one !== null);
}

function csvLayout(
  top: readonly string[],
  delimiter: Delimiter,
  hasHeader: boolean,
  who: readonly number[],
  options: LayoutOptions,
): Layout {
  const header = hasHeader ? top : [];
  const isOurs = isOurHeader(header);
  const chosen = (given: string | null, known: readonly string[], option: string) =>
    given === null ? placeOf(header, known) : givenPlace(given, header, top, option);
  // Elsewhere, tags are those of a contact (Mailchimp).
  const known = options.severalTags === true ? names.tags : names.tag;
  const tag = chosen(options.tagColumn, known, '--tag-column');
  return {
    type: 'csv',
    delimiter,
    hasHeader,
    width: top.length,
    isOurs,
    severalTags: !isOurs && (options.severalTags === true || nameOf(header[tag] ?? '') === 'tags'),
    columns: {
      who,
      tag,
      date: chosen(options.dateColumn, names.date, '--date-column'),
      reason: chosen(options.reasonColumn, names.reason, '--reason-column'),
      expires: isOurs ? exportColumns.indexOf('expires_at') : -1,
    },
  };
}

function isOurHeader(header: readonly string[]): boolean {
  return exportColumns.length === header.length && exportColumns.every((name, i) => header[i] === name);
}

/** The columns that say who has left: of the addresses' one alone, and of each hash's. */
function whoIn(header: readonly string[], column: string | null): number[] {
  if (column !== null) return [placeOf(header, [nameOf(column)])];
  const places = [names.address, names.md5, names.sha256, names.hash].map((known) => placeOf(header, known));
  return places.filter((place) => place !== -1);
}

function placeOf(header: readonly string[], known: readonly string[]): number {
  const present = header.map(nameOf);
  const name = known.find((one) => present.includes(one));
  if (name === undefined) return -1;
  const [place = -1, ...others] = present.flatMap((one, i) => (one === name ? [i] : []));
  if (others.length === 0) return place;
  throw new Refused('header', `The file has several columns ${JSON.stringify(name)}: rename all but one.`);
}

function givenPlace(
  given: string,
  header: readonly string[],
  top: readonly string[],
  option: string,
): number {
  const named = placeOf(header, [nameOf(given)]);
  return named === -1 ? numberedPlace(given, top, option) : named;
}

function numberedPlace(given: string, top: readonly string[], option: string): number {
  const number = Number(given);
  if (!/^[1-9]\d{0,4}$/.test(given)) throw noColumn(top, given, option);
  if (number <= top.length) return number - 1;
  throw new Refused('header', `${option} ${number}: the first line has ${top.length} columns.`);
}

function noColumn(header: readonly string[], wanted: string | null, option = '--column'): Refused {
  const shown = header.slice(0, 20).map((field) => JSON.stringify(decoded(field).slice(0, 40)));
  const what = wanted === null ? 'that says who has left' : JSON.stringify(wanted);
  const has = header.some((field) => field.includes('@'))
    ? 'holds an address where the names of the columns should stand'
    : `names no column ${what}, but ${shown.join(', ')}`;
  return new Refused('header', `The first line ${has}: say which with ${option} NAME or NUMBER.`);
}

function nameOf(text: string): string {
  return decoded(text).normalize('NFC').trim().toLowerCase();
}

/** One word for how a file was read. */
export function formatOf(layout: Layout): string {
  if (layout.type === 'csv') return 'csv';
  const [only, ...others] = layout.kinds;
  return only === undefined || others.length > 0 ? 'lines' : only;
}

import { parseAddress } from './address.js';
import {
  createCsvReader,
  csvLine,
  delimiterOf,
  fieldsOf,
  delimiters,
  linesIn,
  type CsvRecord,
  type Delimiter,
  type Line,
} from './csv.js';
import { addressFaults } from './row-faults.js';
import { Refused } from '../errors.js';

export interface RowOptions {
  /** Which column holds the addresses; null: `email`, or lines that hold nothing else. */
  readonly column: string | null;
  readonly tagColumn: string | null;
  /** The link of an address; `tag` is a cell's text, null where there is no such column. */
  readonly linkOf: (address: string, tag: string | null) => LinkResult;
  /** A column more, which says why a row has no link: for those whom nobody else can tell. */
  readonly withProblems?: true;
  /** A line that got no link. */
  readonly onRefused: (line: number, reason: string) => void;
}

export type LinkResult = { ok: true; link: string } | { ok: false; reason: string };

/** Some of the output, and how many rows it is. */
export interface Rows {
  readonly octets: Buffer;
  readonly rows: number;
}

/** Turns one line or record into its output; null for one that holds nothing. */
interface Writer {
  take(line: Line): Iterable<string>;
  finish(): Iterable<string>;
}

const bom = '\u00EF\u00BB\u00BF';
const linkColumn = 'link';
const problemColumn = 'link_problem';

/**
 * Gives each row of a CSV (or each line of a text) its link. What comes in goes out as it was, octet by
 * octet, with one field more; memory is one chunk's.
 *
 * @throws Refused for a file that cannot be read so.
 */
export async function* withLinks(input: AsyncIterable<Buffer>, options: RowOptions): AsyncGenerator<Rows> {
  let writer: Writer | null = null;
  for await (const lines of linesIn(input)) {
    const written: string[] = [];
    let rows = 0;
    for (const line of lines) {
      if (writer === null) {
        const text = line.text.startsWith(bom) ? line.text.slice(bom.length) : line.text;
        checkEncoding(line.text);
        if (text.trim() === '') continue;
        const first = { ...line, text };
        const isText = isTextFile(text, options);
        writer = isText ? textWriter(options) : csvWriter(text, line.text !== text, options);
        for (const row of writer.take(first)) written.push(row);
        // A header is no row.
        rows += isText ? 1 : 0;
        continue;
      }
      for (const row of writer.take(line)) written.push(row);
      rows++;
    }
    if (written.length > 0) yield { octets: Buffer.from(written.join(''), 'latin1'), rows };
  }
  if (writer === null) throw new Refused('empty', 'The file is empty.');
  const last = [...writer.finish()].join('');
  if (last !== '') yield { octets: Buffer.from(last, 'latin1'), rows: 0 };
}

function checkEncoding(text: string): void {
  if (/^(\u00FF\u00FE|\u00FE\u00FF)|\0/.test(text)) {
    throw new Refused('encoding', 'The file is no UTF-8 text (UTF-16, perhaps): save it as CSV in UTF-8.');
  }
}

/** A first line that names no column, and is or wants to be an address. */
function isTextFile(first: string, { column, tagColumn }: RowOptions): boolean {
  if (column !== null || tagColumn !== null) return false;
  if (parseAddress(decoded(first), { typed: true }).ok) return true;
  return first.includes('@') && !delimiters.some((delimiter) => first.includes(delimiter));
}

function textWriter({ linkOf, onRefused, withProblems }: RowOptions): Writer {
  let isFirst = true;
  return {
    *take({ number, text }) {
      if (isFirst) yield `address,${linkColumn}${withProblems ? `,${problemColumn}` : ''}\n`;
      isFirst = false;
      const given = text.trim();
      if (given === '') return;
      const result = linkFor(given, null, linkOf);
      if (!result.ok) onRefused(number, result.reason);
      yield `${csvLine([given], ',')},${endOf(result, ',', withProblems)}\n`;
    },
    finish: () => [],
  };
}

function csvWriter(first: string, hasBom: boolean, options: RowOptions): Writer {
  const wanted = options.column ?? 'email';
  const delimiter = delimiterOf(first, (field) => isNamed(field, wanted));
  const reader = createCsvReader(delimiter);
  let rowOf: ((record: CsvRecord) => string) | null = null;
  let lineEnd = '\n';

  function* rows(records: Iterable<CsvRecord>): Generator<string> {
    for (const record of records) {
      if (rowOf !== null) {
        if (record.raw.trim() !== '') yield rowOf(record) + (record.end || lineEnd);
        continue;
      }
      lineEnd = record.end || '\n';
      rowOf = rowWriter(record, delimiter, wanted, options);
      const added = [linkColumn, ...(options.withProblems ? [problemColumn] : [])].join(delimiter);
      yield `${hasBom ? bom : ''}${record.raw}${delimiter}${added}${lineEnd}`;
    }
  }
  return { take: (line) => rows(reader.take(line)), finish: () => rows(reader.finish()) };
}

function rowWriter(
  header: CsvRecord,
  delimiter: Delimiter,
  wanted: string,
  { tagColumn, linkOf, onRefused, withProblems }: RowOptions,
): (record: CsvRecord) => string {
  if (header.isBroken) throw new Refused('header-quote', 'The first line opens a quote that nothing closes.');
  const width = header.fields.length;
  const place = placeOf(header, wanted, '--column');
  const tagPlace = tagColumn === null ? -1 : placeOf(header, tagColumn, '--tag-column');
  if (header.fields.some((field) => isNamed(field, linkColumn))) {
    throw new Refused('has-link', `The file has a column ${linkColumn} already: rename it, or take it out.`);
  }

  function resultOf({ fields, isBroken }: CsvRecord): LinkResult {
    if (isBroken) return { ok: false, reason: 'its quotes do not close' };
    if (fields.slice(width).some((field) => field.trim() !== '')) {
      return { ok: false, reason: `it has ${fields.length} fields, and the first line ${width}` };
    }
    const tag = tagPlace === -1 ? null : decoded(fields[tagPlace] ?? '');
    return linkFor(fields[place] ?? '', tag, linkOf);
  }

  return (record) => {
    const result = resultOf(record);
    if (!result.ok) onRefused(record.line, result.reason);
    const { fields, raw, isBroken } = record;
    // The link must stand in its own column, and no quote may swallow the rows below.
    const isRewritten = isBroken || fields.length > width;
    const whole = isRewritten ? csvLine(fields.slice(0, width), delimiter) : raw;
    const missing = delimiter.repeat(Math.max(0, width - fields.length));
    return `${whole}${missing}${delimiter}${endOf(result, delimiter, withProblems)}`;
  };
}

/** What a row gets at its end. */
function endOf(result: LinkResult, delimiter: Delimiter, withProblems = false): string {
  const cells = [result.ok ? result.link : ''];
  // All is octets here.
  if (withProblems) cells.push(result.ok ? '' : Buffer.from(result.reason).toString('latin1'));
  return csvLine(cells, delimiter);
}

function placeOf({ raw, fields }: CsvRecord, wanted: string, option: string): number {
  const places = fields.flatMap((field, place) => (isNamed(field, wanted) ? [place] : []));
  const [place, ...others] = places;
  if (others.length > 0) {
    throw new Refused(
      'columns-twice',
      `The file has several columns ${JSON.stringify(wanted)}: rename all but one.`,
    );
  }
  if (place !== undefined) return place;
  if (delimiters.some((delimiter) => fieldsOf(raw, delimiter).some((field) => field.includes('@')))) {
    throw new Refused(
      'no-header',
      'The first line holds an address where the names of the columns should stand: put such a line on top.',
    );
  }
  const names = fields.slice(0, 20).map((field) => JSON.stringify(decoded(field).slice(0, 40)));
  throw new Refused(
    'no-column',
    `The first line names no column ${JSON.stringify(wanted)}, but ${names.join(', ')}: say which with ${option}.`,
  );
}

function isNamed(field: string, name: string): boolean {
  return decoded(field).trim().toLowerCase() === name.normalize('NFC').trim().toLowerCase();
}

function linkFor(cell: string, tag: string | null, linkOf: RowOptions['linkOf']): LinkResult {
  // As the doors read an address: what a link holds is read once more when it is opened.
  const result = parseAddress(decoded(cell), { typed: true });
  return result.ok
    ? linkOf(result.address.normalised, tag)
    : { ok: false, reason: addressFaults[result.problem] };
}

/** The octets of a cell, as the UTF-8 that they should be. */
function decoded(octets: string): string {
  return /[\u0080-\u00FF]/.test(octets)
    ? Buffer.from(octets, 'latin1').toString('utf8').normalize('NFC')
    : octets;
}

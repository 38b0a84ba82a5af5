import { Refused } from '../errors.js';
import { parseAddress, type Address, type AddressProblem } from './address.js';
import { createCsvReader, linesIn, type CsvRecord, type Line } from './csv.js';
import { isNoDate, readDate } from './import-dates.js';
import {
  decoded,
  kindOf,
  layoutOf,
  sampleLines,
  type Kind,
  type Layout,
  type LayoutOptions,
} from './import-layout.js';
import type { HashedOptOut } from './opt-outs.js';

/** Who a row is about: an address, or what is known of one. */
export type Who =
  | { readonly address: Address; readonly hashes?: undefined }
  | { readonly address?: undefined; readonly hashes: HashedOptOut['hashes'] };

export interface ImportRow {
  /** Its first line, from 1. */
  readonly line: number;
  /** As it stood, as octets (Latin-1). */
  readonly raw: string;
  readonly who: Who;
  /** What the cell says; null for an empty one, or no such column. */
  readonly tag: string | null;
  /** The cell may name several tags. */
  readonly severalTags: boolean;
  readonly reason: string | null;
  /** UTC milliseconds; null for an empty cell, or no such column. `unreadable` counts as that as well. */
  readonly createdAt: number | null | 'unreadable';
  readonly expiresAt: number | null | 'unreadable';
  /** It has more fields than the first line: what it says of a tag may belong to another column. */
  readonly isShifted: boolean;
}

/** Why a row could not be taken; the surfaces word it. */
export type RowProblem =
  | AddressProblem
  | 'no-hash'
  | 'sha1'
  | 'quotes'
  | 'too-many-fields'
  | 'too-long-line'
  | 'expired'
  | 'not-taken';

export interface Refusal {
  readonly line: number;
  readonly problem: RowProblem;
  /** As it stood, as octets (Latin-1); the beginning of it where the line was too long. */
  readonly raw: string;
}

export type Read = ImportRow | Refusal;

export function isRefusal(read: Read): read is Refusal {
  return 'problem' in read;
}

const bom = '\u00EF\u00BB\u00BF';

/** What the lines of a chunk came to. */
export interface ReadChunk {
  readonly layout: Layout;
  readonly reads: readonly Read[];
  /** The last line that was read, from 1; a row that is not complete yet may have begun before it. */
  readonly line: number;
}

/**
 * Reads rows, in flat memory. Blank ones are passed over; what comes in several lines is told by its first.
 *
 * @param input UTF-8; octets that are none of it spoil their own row alone.
 * @throws Refused for a file whose layout cannot be told.
 * @throws whatever the input does, once all that came before has been given.
 */
export async function* readRows(
  input: AsyncIterable<Buffer>,
  options: LayoutOptions,
): AsyncGenerator<ReadChunk> {
  let reader: Reader | null = null;
  let sample: Line[] = [];
  let line = 0;
  let failure: { error: unknown } | null = null;
  const begin = () => {
    const made = readerOf(sample, options);
    reader = made;
    const begun = sample.flatMap((one) => [...made.take(one)]);
    sample = [];
    return { layout: made.layout, reads: begun, line };
  };
  const chunks = linesIn(input, { cutsLong: true })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await chunks.next().catch((error: unknown) => {
        failure = { error };
        return { done: true as const, value: undefined };
      });
      if (step.done) break;
      line = step.value.at(-1)?.number ?? line;
      if (reader === null) {
        const lines = step.value.map((one) => ({ ...one, text: withoutBom(one) }));
        sample.push(...lines.filter(({ text }) => text.trim() !== ''));
        if (sample.length >= sampleLines) yield begin();
        continue;
      }
      const current = reader as Reader;
      const reads: Read[] = [];
      for (const one of step.value) for (const read of current.take(one)) reads.push(read);
      yield { layout: current.layout, reads, line };
    }
    if (reader === null && (failure === null || sample.length > 0)) yield begin();
    const last = reader as Reader | null;
    if (last !== null) yield { layout: last.layout, reads: [...last.finish()], line };
    if (failure !== null) throw (failure as { error: unknown }).error;
  } finally {
    await chunks.return(undefined);
  }
}

function withoutBom({ text, number }: Line): string {
  return number === 1 && text.startsWith(bom) ? text.slice(bom.length) : text;
}

interface Reader {
  readonly layout: Layout;
  take(line: Line): Iterable<Read>;
  finish(): Iterable<Read>;
}

function readerOf(sample: readonly Line[], options: LayoutOptions): Reader {
  const layout = layoutOf(
    sample.slice(0, sampleLines).map(({ text }) => text),
    options,
  );
  return layout.type === 'lines' ? lineReader(layout) : csvReader(layout);
}

function lineReader(layout: Layout & { type: 'lines' }): Reader {
  return {
    layout,
    *take({ number: line, text: raw, isCut }) {
      const text = raw.trim();
      if (text === '') return;
      const who = isCut ? 'too-long-line' : whoOf(text, layout.kinds);
      if (typeof who === 'string') yield { line, problem: who, raw };
      else yield { ...nothingMore, line, raw, who };
    },
    finish: () => [],
  };
}

const nothingMore = {
  ...{ tag: null, severalTags: false, reason: null },
  ...{ createdAt: null, expiresAt: null, isShifted: false },
};

function csvReader(layout: Layout & { type: 'csv' }): Reader {
  const { delimiter, columns, isOurs, severalTags } = layout;
  const records = createCsvReader(delimiter);
  let isHeaderDue = layout.hasHeader;

  function* rows(read: Iterable<CsvRecord>): Generator<Read> {
    for (const record of read) {
      if (isHeaderDue) {
        isHeaderDue = false;
        if (record.isBroken || /[\r\n]/.test(record.raw)) {
          throw new Refused('header', 'The first line opens a quote that it does not close.');
        }
      } else if (record.fields.some((field) => field.trim() !== '')) yield rowOf(record);
    }
  }

  function rowOf(record: CsvRecord): Read {
    const { line, raw, isBroken, isCut } = record;
    const fields = withWholeDate(record.fields);
    const who = isBroken ? 'quotes' : isCut ? 'too-long-line' : whoIn(fields);
    if (typeof who === 'string') return { line, problem: who, raw };
    const cell = (place: number) => decoded(fields[place] ?? '').trim();
    const dated = (place: number) => {
      const text = cell(place);
      return isNoDate(text) ? null : (readDate(text) ?? ('unreadable' as const));
    };
    return {
      line,
      raw,
      who,
      tag: cell(columns.tag).normalize('NFC') || null,
      severalTags,
      reason: cell(columns.reason) || null,
      createdAt: dated(columns.date),
      expiresAt: dated(columns.expires),
      isShifted: fields.length > layout.width,
    };
  }

  /** The dates of mails have a comma, and not everybody puts them in quotes: `Thu, 26 Mar 2026 12:59:22 UTC`. */
  function withWholeDate(fields: readonly string[]): readonly string[] {
    if (fields.length !== layout.width + 1 || columns.date === -1) return fields;
    const whole = `${fields[columns.date]}${delimiter}${fields[columns.date + 1]}`;
    return !isNoDate(whole.trim()) && readDate(whole) === null
      ? fields
      : fields.toSpliced(columns.date, 2, whole);
  }

  function whoIn(fields: readonly string[]): Who | RowProblem {
    if (fields.length > layout.width && fields.slice(layout.width).some((field) => field.trim() !== '')) {
      // Something that should have stood in quotes has shifted the columns: only what can be nobody else counts.
      const [only, ...others] = fields.filter((field) => kindOf(field.trim()) !== null);
      return only === undefined || others.length > 0 ? 'too-many-fields' : whoOf(only.trim(), allKinds);
    }
    let problem: RowProblem = 'missing';
    let hashes: HashedOptOut['hashes'] | null = null;
    for (const place of columns.who) {
      const text = (fields[place] ?? '').trim();
      if (text === '') continue;
      const who = whoOf(text, allKinds, isOurs);
      if (typeof who === 'string') problem = problem === 'missing' ? who : problem;
      else if (who.address) return who;
      else hashes = { ...(hashes ?? {}), ...who.hashes };
    }
    return hashes === null ? problem : { hashes };
  }

  return { layout, take: (line) => rows(records.take(line)), finish: () => rows(records.finish()) };
}

const allKinds: readonly Kind[] = ['address', 'md5', 'sha256'];

/** @param isExact an address is one of ours already: full-width letters in it are meant. */
function whoOf(octets: string, kinds: readonly Kind[], isExact = false): Who | RowProblem {
  const digits = /^(?:0x)?([0-9a-f]{32,64})$/i.exec(octets)?.[1];
  if (digits?.length === 32 && kinds.includes('md5')) return { hashes: { md5: Buffer.from(digits, 'hex') } };
  if (digits?.length === 64 && kinds.includes('sha256')) {
    return { hashes: { sha256: Buffer.from(digits, 'hex') } };
  }
  if (digits?.length === 40) return 'sha1';
  if (!kinds.includes('address')) return 'no-hash';
  const result = parseAddress(decoded(octets), { typed: !isExact });
  return result.ok ? { address: result.address } : result.problem;
}

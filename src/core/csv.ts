/**
 * CSV as it comes: RFC 4180, with any of the usual delimiters and line ends. All texts here are octets, one
 * a character (Latin-1): what is not looked at goes through unharmed, whatever its encoding.
 */
export interface CsvRecord {
  /** Of its first line, from 1. */
  readonly line: number;
  /** As it stood, without its line end. */
  readonly raw: string;
  readonly end: string;
  readonly fields: readonly string[];
  /** Its quotes do not close: `fields` are those of the one line, with its quotes as they stand. */
  readonly isBroken: boolean;
  /** A line of it was so long that its end is missing. */
  readonly isCut: boolean;
}

export interface Line {
  readonly number: number;
  readonly text: string;
  readonly end: string;
  /** It was so long that only its beginning is here. */
  readonly isCut?: true;
}

export const delimiters = [',', ';', '\t'] as const;
export type Delimiter = (typeof delimiters)[number];

/** A quote that nobody closed must not swallow the rest of a file: so many octets, and it is given up. */
const longestRecord = 64 * 1024;

/** A line of more than this: whatever it is, it is no text. */
export const longestLine = 1024 * 1024;

/** What is kept of a line that is cut: enough to know it by. */
const keptOfCut = 4096;

/**
 * The lines of each chunk at once: an await for every line would cost more than all the rest.
 *
 * @param cutsLong goes on behind a line that is too long, and gives its beginning; of a shorter chunk than
 *   longestLine, all lines are whole.
 * @throws RangeError for a line that is too long, unless they are cut.
 */
export async function* linesIn(
  input: AsyncIterable<Buffer>,
  { cutsLong = false } = {},
): AsyncGenerator<Line[]> {
  let rest = '';
  let number = 0;
  let isCutting = false;
  const cut = (isLast: boolean): Line[] => {
    const found: Line[] = [];
    let from = 0;
    for (const { 0: end, index } of rest.matchAll(/\r\n|\n|\r/g)) {
      // A line end of two octets may be cut in two.
      if (end === '\r' && index === rest.length - 1 && !isLast) break;
      found.push(lineOf(rest.slice(from, index), end));
      from = index + end.length;
    }
    rest = rest.slice(from);
    if (isLast && rest !== '') found.push(lineOf(rest, ''));
    return found;
  };
  const lineOf = (text: string, end: string): Line => {
    if (!isCutting) return { number: ++number, text, end };
    isCutting = false;
    return { number: ++number, text: text.slice(0, keptOfCut), end, isCut: true };
  };
  for await (const chunk of input) {
    rest += chunk.toString('latin1');
    const lines = cut(false);
    if (rest.length > longestLine || isCutting) {
      if (!cutsLong) throw new RangeError(`line ${number + 1} has no end`);
      isCutting = true;
      // A line end of two octets may be cut in two.
      rest = rest.slice(0, keptOfCut) + (rest.endsWith('\r') ? '\r' : '');
    }
    yield lines;
  }
  yield cut(true);
}

/**
 * Puts lines together to records. `take` gives those that a line completes, `finish` what is left. Where a
 * record's quotes do not close, its first line alone is broken, and those after it are read anew.
 */
export function createCsvReader(delimiter: Delimiter) {
  let open: Line[] = [];
  let openLength = 0;

  function* read(lines: Line[]): Generator<CsvRecord> {
    // Reversed, so that what is read anew goes back onto its end.
    const waiting = lines.reverse();
    for (let line = waiting.pop(); line !== undefined; line = waiting.pop()) {
      if (open.length === 0 && !line.text.includes('"')) {
        yield recordOf([line], line.text.split(delimiter));
        continue;
      }
      const state = quotesAfter(line.text, open.length > 0, delimiter);
      open.push(line);
      openLength += line.text.length;
      if (state === 'open' && openLength <= longestRecord) continue;
      const whole = open;
      close();
      if (state === 'closed') {
        yield recordOf(whole, fieldsOf(rawOf(whole), delimiter));
      } else {
        yield brokenRecord(whole[0] ?? line);
        waiting.push(...whole.slice(1).reverse());
      }
    }
  }

  function* finish(): Generator<CsvRecord> {
    while (open.length > 0) {
      const [first, ...others] = open;
      close();
      if (first !== undefined) yield brokenRecord(first);
      yield* read(others);
    }
  }

  function close(): void {
    open = [];
    openLength = 0;
  }

  function brokenRecord(line: Line): CsvRecord {
    return { ...recordOf([line], line.text.split(delimiter)), isBroken: true };
  }

  return { take: (line: Line) => read([line]), finish };
}

/** A record as RFC 4180 writes it; for fields that stood in quotes, or may need some. */
export function csvLine(fields: readonly string[], delimiter: Delimiter): string {
  return fields
    .map((field) => (/[",;\t\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(delimiter);
}

/**
 * The delimiter of a header line: one that finds the column that is looked for, or else the one that
 * stands there most often.
 */
export function delimiterOf(header: string, isColumn: (field: string) => boolean): Delimiter {
  const split = delimiters.map((delimiter) => ({ delimiter, fields: fieldsOf(header, delimiter) }));
  split.sort((one, other) => other.fields.length - one.fields.length);
  const chosen = split.find(({ fields }) => fields.some(isColumn)) ?? split[0];
  return chosen?.delimiter ?? ',';
}

/** Quotes count at the beginning of a field alone; behind spaces there, where they close before its end. */
export function fieldsOf(raw: string, delimiter: Delimiter): string[] {
  const fields: string[] = [];
  let at = 0;
  while (at <= raw.length) {
    const spaced = spacedField(raw, at, delimiter);
    if (spaced !== null) {
      fields.push(spaced.content);
      at = spaced.end + 1;
      if (at > raw.length) break;
      continue;
    }
    if (raw[at] === '"') {
      let end = raw.indexOf('"', at + 1);
      while (end !== -1 && raw[end + 1] === '"') end = raw.indexOf('"', end + 2);
      const close = end === -1 ? raw.length : end;
      fields.push(raw.slice(at + 1, close).replaceAll('""', '"'));
      at = close + 1;
      // Only a broken record has anything there.
      if (at < raw.length && raw[at] !== delimiter) at = Math.max(raw.indexOf(delimiter, at), at);
      if (at >= raw.length) break;
      at++;
      continue;
    }
    const next = raw.indexOf(delimiter, at);
    fields.push(next === -1 ? raw.slice(at) : raw.slice(at, next));
    if (next === -1) break;
    at = next + 1;
  }
  return fields;
}

const spacedFields: Readonly<Record<Delimiter, RegExp>> = {
  ',': / +"([^"\r\n]*(?:""[^"\r\n]*)*)" *(?=,|$)/y,
  ';': / +"([^"\r\n]*(?:""[^"\r\n]*)*)" *(?=;|$)/y,
  '\t': / +"([^"\r\n]*(?:""[^"\r\n]*)*)" *(?=\t|$)/y,
};

/** RFC 4180 has the spaces as a part of the field: whoever writes `a, "b, c"` did not mean that. */
function spacedField(
  text: string,
  at: number,
  delimiter: Delimiter,
): { readonly content: string; readonly end: number } | null {
  if (text[at] !== ' ') return null;
  const pattern = spacedFields[delimiter];
  pattern.lastIndex = at;
  const [found, content = ''] = pattern.exec(text) ?? [];
  return found === undefined ? null : { content: content.replaceAll('""', '"'), end: at + found.length };
}

function recordOf(lines: readonly Line[], fields: readonly string[]): CsvRecord {
  const end = lines.at(-1)?.end ?? '';
  const isCut = lines.some((line) => line.isCut);
  return { line: lines[0]?.number ?? 0, raw: rawOf(lines), end, fields, isBroken: false, isCut };
}

function rawOf(lines: readonly Line[]): string {
  const [only] = lines;
  if (lines.length === 1 && only !== undefined) return only.text;
  return lines.map(({ text, end }, i) => (i === lines.length - 1 ? text : text + end)).join('');
}

/** Whether a line ends inside quotes. `broken`: behind a closing quote stands something else than a delimiter. */
function quotesAfter(text: string, isOpen: boolean, delimiter: Delimiter): 'open' | 'closed' | 'broken' {
  let isInside = isOpen;
  for (let at = 0; ;) {
    if (isInside) {
      const quote = text.indexOf('"', at);
      if (quote === -1) return 'open';
      at = quote + 1;
      if (text[at] === '"') {
        at++;
        continue;
      }
      if (at === text.length) return 'closed';
      if (text[at] !== delimiter) return 'broken';
      isInside = false;
      at++;
    }
    if (text[at] === '"') {
      isInside = true;
      at++;
      continue;
    }
    const next = text.indexOf(delimiter, spacedField(text, at, delimiter)?.end ?? at);
    if (next === -1) return 'closed';
    at = next + 1;
  }
}

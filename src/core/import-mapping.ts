import { Invalid, Refused } from '../errors.js';
import { delimiterOf, fieldsOf, type Delimiter } from './csv.js';
import { readDate } from './import-dates.js';
import { columnNames, likelyNames } from './import-column-names.js';
import {
  decoded,
  kindOf,
  layoutOf,
  type Columns,
  type Layout,
  type LayoutOptions,
  type Mapping,
} from './import-layout.js';

/** What a column of a file says; `who` may be said by several. */
export const columnRoles = ['ignore', 'who', 'tag', 'date', 'reason', 'expires'] as const;
export type ColumnRole = (typeof columnRoles)[number];

/** How a file is to be read, as far as it can be told without anybody. */
export interface Guess {
  readonly mapping: Mapping;
  /** A cell of its tags' column may name several. */
  readonly severalTags: boolean;
}

const unasked: LayoutOptions = {
  format: 'auto',
  ...{ column: null, tagColumn: null, dateColumn: null, reasonColumn: null },
};

/**
 * As an import would read the file where nobody says how; where it would refuse to, what comes nearest: then it may
 * be that no column says who has left.
 *
 * @param lines as `layoutOf` has them.
 * @throws Refused for a file that is empty.
 */
export function guessMapping(lines: readonly string[]): Guess {
  let layout: Layout;
  try {
    layout = layoutOf(lines, unasked);
  } catch (error) {
    if (!(error instanceof Refused) || error.reason === 'empty') throw error;
    return { mapping: byLooks(lines), severalTags: false };
  }
  if (layout.type === 'lines') return { mapping: { type: 'lines' }, severalTags: false };
  const { delimiter, hasHeader, severalTags } = layout;
  const found = hasHeader ? withLikely(lines[0] ?? '', layout) : layout.columns;
  // A heading says what it is; without one, a column of dates can be nothing else.
  const date = found.date === -1 && !hasHeader ? dateColumnIn(lines, layout) : found.date;
  const columns = { ...found, date };
  return { mapping: { type: 'csv', delimiter, hasHeader, columns }, severalTags };
}

/**
 * What comes nearest where several columns hold addresses, or none of the first rows does; and where somebody knows
 * better what parts the columns.
 */
export function byLooks(
  lines: readonly string[],
  delimiter: Delimiter = delimiterOf(lines[0] ?? '', () => false),
): Mapping & { readonly type: 'csv' } {
  const first = lines[0] ?? '';
  const top = fieldsOf(first, delimiter);
  const kinds = lines.map((line) => fieldsOf(line, delimiter).map((field) => kindOf(field.trim()) !== null));
  const counts = top.map((_, place) => kinds.filter((row) => row[place]).length);
  const most = Math.max(...counts);
  const hasHeader = !top.some((field) => field.includes('@') || kindOf(field.trim()) !== null);
  const named = (kind: keyof typeof likelyNames) => (hasHeader ? placeNamed(top, kind) : -1);
  const called = named('address');
  const who = called !== -1 ? [called] : most === 0 ? [] : [counts.indexOf(most)];
  const other = (kind: keyof typeof likelyNames) => (who.includes(named(kind)) ? -1 : named(kind));
  const columns = { who, tag: other('tag'), date: other('date'), reason: other('reason'), expires: -1 };
  return { type: 'csv', delimiter, hasHeader, columns };
}

/** The columns that an import finds by itself, and those that likely are meant. */
function withLikely(heading: string, { delimiter, columns }: Layout & { type: 'csv' }): Columns {
  const top = fieldsOf(heading, delimiter);
  const { who, tag, date, reason, expires } = columns;
  const taken = [...who, tag, date, reason, expires];
  const other = (place: number, kind: keyof typeof likelyNames) => {
    const likely = place === -1 ? placeNamed(top, kind) : place;
    return place === -1 && taken.includes(likely) ? -1 : likely;
  };
  return { who, expires, tag: other(tag, 'tag'), date: other(date, 'date'), reason: other(reason, 'reason') };
}

/** The first one that has any of the names; -1 for none. */
function placeNamed(top: readonly string[], kind: keyof typeof likelyNames): number {
  const names = top.map((field) => decoded(field).normalize('NFC').trim().toLowerCase());
  const known = [...columnNames[kind], ...likelyNames[kind]];
  const name = known.find((one) => names.includes(one));
  return name === undefined ? -1 : names.indexOf(name);
}

/** Digits alone may be anything else. */
function dateColumnIn(lines: readonly string[], { delimiter, width, columns }: Layout & { type: 'csv' }) {
  const rows = lines.map((line) => fieldsOf(line, delimiter).map((field) => field.trim()));
  for (let place = 0; place < width; place++) {
    const cells = rows.map((row) => row[place] ?? '').filter((cell) => cell !== '');
    const isDate = (cell: string) => !/^[\d.]+$/.test(cell) && readDate(cell) !== null;
    if (!columns.who.includes(place) && cells.length > 0 && cells.every(isDate)) return place;
  }
  return -1;
}

/** What each column of a mapping says, by its place. */
export function rolesOf({ who, tag, date, reason, expires }: Columns, width: number): ColumnRole[] {
  return Array.from({ length: width }, (_, place) => {
    if (who.includes(place)) return 'who';
    const others = { tag, date, reason, expires };
    return (
      columnRoles.find((role) => role in others && others[role as keyof typeof others] === place) ?? 'ignore'
    );
  });
}

/**
 * @param roles by the columns' places.
 * @throws Invalid unless some column says who has left, and none but that is said twice.
 */
export function columnsOf(roles: readonly ColumnRole[]): Columns {
  const placesOf = (role: ColumnRole) => roles.flatMap((one, place) => (one === role ? [place] : []));
  const one = (role: ColumnRole) => {
    const [place = -1, ...others] = placesOf(role);
    if (others.length === 0) return place;
    const columns = [place, ...others].map((at) => at + 1).join(' and ');
    throw new Invalid(
      'columns',
      'twice',
      `columns ${columns} are both said to hold the ${role}: choose one of them`,
    );
  };
  const who = placesOf('who');
  if (who.length === 0) {
    throw new Invalid(
      'columns',
      'missing',
      'no column is said to hold the addresses: choose the one that does',
    );
  }
  return { who, tag: one('tag'), date: one('date'), reason: one('reason'), expires: one('expires') };
}

import { sha256Of } from '../core/address.js';
import type { OptOutFilter } from '../core/opt-out-filter.js';
import { findAll } from '../core/opt-out-find.js';
import type { FoundOptOut } from '../core/opt-out-walks.js';
import { EVERYTHING } from '../core/opt-outs.js';
import type { Line } from '../core/sorted-lines.js';
import { spreadsheetLine, spreadsheetStart } from '../core/spreadsheet.js';
import { createLocalClock } from '../core/time-zone.js';
import type { Db } from '../db/connect.js';

/** The CSV that a search of opt-outs is downloaded as. */

/** `plain` has those with an address alone; `hashes` has all, and more of each. */
export const fileColumns = ['plain', 'hashes'] as const;
export type FileColumns = (typeof fileColumns)[number];

export interface FileAsked {
  readonly filter: OptOutFilter;
  readonly columns: FileColumns;
  /** Of which times are told. */
  readonly zone: string;
  readonly at: number;
  readonly signal: AbortSignal;
}

export function fileHeader({ filter, columns }: Pick<FileAsked, 'filter' | 'columns'>): string {
  const more = columns === 'hashes' ? ['md5', 'sha256', 'source', 'reason'] : [];
  const removed = hasRemoved(filter) ? ['removed'] : [];
  return `${spreadsheetStart}${spreadsheetLine(['created', 'email', 'filtername', ...more, ...removed])}`;
}

/** @param leftOut is called with how many of each slice have no place in the file. */
export async function* fileLines(
  db: Db,
  listId: number,
  { filter, columns, zone, at, signal }: FileAsked,
  leftOut: (optOuts: number) => void,
): AsyncGenerator<Line[]> {
  const { text } = createLocalClock(zone);
  for await (const rows of findAll(db, listId, filter, { at, signal })) {
    const shown = columns === 'hashes' ? rows : rows.filter(hasAddress);
    leftOut(rows.length - shown.length);
    yield shown.map((row) => {
      const { address, tag, created_at, removed_at } = row;
      const left = tag.toString() === EVERYTHING ? '' : tag.toString();
      const more = columns === 'hashes' ? [...hashesOf(row), row.source, row.reason?.toString() ?? ''] : [];
      const removed = hasRemoved(filter) ? [removed_at === null ? '' : text(removed_at)] : [];
      const cells = [text(created_at), address?.toString() ?? '', left, ...more, ...removed];
      return { at: created_at, text: spreadsheetLine(cells) };
    });
  }
}

export function hasAddress({ address }: FoundOptOut): boolean {
  return address !== null;
}

function hasRemoved({ state }: OptOutFilter): boolean {
  return state !== 'standing';
}

/** MD5 and SHA-256 in hexadecimal digits, empty where it is not known. */
function hashesOf({ address, address_key, sha256 }: FoundOptOut): [string, string] {
  if (address !== null) return [address_key.toString('hex'), sha256Of(address.toString()).toString('hex')];
  const isSha256Only = sha256 !== null && sha256.subarray(0, 16).equals(address_key);
  return [isSha256Only ? '' : address_key.toString('hex'), sha256?.toString('hex') ?? ''];
}

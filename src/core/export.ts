import type { Db } from '../db/connect.js';
import { addressForms, md5Of, sha256Of } from './address.js';
import { behind, type Key } from './audit-slices.js';
import { csvLine } from './csv.js';
import { exportColumns } from './import-layout.js';
import type { OptOutRecord } from './opt-outs.js';
import { refuseWhileRestoring } from './removals-under-way.js';

export const exportFormats = ['csv', 'plain', 'md5', 'sha256'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportSlice {
  readonly octets: Buffer;
  /** Rows of a CSV, addresses and hashes otherwise. */
  readonly entries: number;
  /** Opt-outs that this format has no words for. */
  readonly leftOut: number;
}

type Row = Pick<OptOutRecord, (typeof columns)[number]>;

const columns = [
  ...(['address_key', 'tag', 'address', 'sha256', 'created_at', 'recorded_at', 'source', 'reason'] as const),
  ...(['expires_at', 'removed_at'] as const),
];

/** Few milliseconds a query on SQLite, whose driver blocks the process meanwhile. */
const sliceRows = 1000;

/**
 * All that a list suppresses now, by key, in flat memory: a CSV has every opt-out with all that an import
 * needs to bring it back; the other formats have each address once, whatever tags it has left.
 *
 * @throws Unavailable while a removal is being taken back.
 */
export async function* exportOptOuts(
  db: Db,
  listId: number,
  format: ExportFormat,
  at = Date.now(),
): AsyncGenerator<ExportSlice> {
  await refuseWhileRestoring(db, [listId]);
  if (format === 'csv') yield { octets: Buffer.from(`${exportColumns.join(',')}\n`), entries: 0, leftOut: 0 };
  let last: Key | undefined;
  // Of an address's rows, which stand together, the first that can be expressed is the one that counts.
  let told: Buffer | null = null;
  for (;;) {
    const rows: Row[] = await db('opt_outs as o')
      .where({ list_id: listId })
      .modify((query) => behind(query, 'o', last))
      .orderBy(['address_key', 'tag'])
      .limit(sliceRows)
      .select(...columns);
    const lines: string[] = [];
    let leftOut = 0;
    for (const row of rows) {
      if (row.removed_at !== null || (row.expires_at !== null && row.expires_at <= at)) continue;
      if (format === 'csv') lines.push(csvLineOf(row));
      else if (!told?.equals(row.address_key)) {
        const texts = textsOf(row, format);
        if (texts.length === 0) leftOut++;
        else told = row.address_key;
        lines.push(...texts);
      }
    }
    const octets = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    if (octets.length > 0 || leftOut > 0) yield { octets, entries: lines.length, leftOut };
    last = rows.at(-1);
    if (rows.length < sliceRows) return;
  }
}

/** Exact, also where an address begins with `=`: this is read by programs. */
function csvLineOf(row: Row): string {
  const { address, md5, sha256 } = whoOf(row);
  return csvLine(
    [
      address?.toString() ?? '',
      md5?.toString('hex') ?? '',
      sha256?.toString('hex') ?? '',
      row.tag.toString(),
      new Date(row.created_at).toISOString(),
      new Date(row.recorded_at).toISOString(),
      row.source,
      row.reason?.toString() ?? '',
      row.expires_at === null ? '' : new Date(row.expires_at).toISOString(),
    ],
    ',',
  );
}

/** An address says it all; otherwise the hashes that are known. */
function whoOf({ address, address_key, sha256 }: Row) {
  if (address !== null) return { address, md5: null, sha256: null };
  const isSha256Only = sha256 !== null && sha256.subarray(0, 16).equals(address_key);
  return { address, md5: isSha256Only ? null : address_key, sha256 };
}

/** As the downloads have them: a domain with a Unicode and an ASCII form has a hash of both. */
function textsOf(row: Row, format: 'plain' | 'md5' | 'sha256'): string[] {
  const { address, md5, sha256 } = whoOf(row);
  if (address === null) {
    const hash = format === 'plain' ? null : format === 'md5' ? md5 : sha256;
    return hash === null ? [] : [hash.toString('hex')];
  }
  if (format === 'plain') return [address.toString()];
  const hashOf = format === 'md5' ? md5Of : sha256Of;
  return addressForms(address.toString()).map((form) => hashOf(form).toString('hex'));
}

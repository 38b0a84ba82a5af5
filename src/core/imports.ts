import { createHash } from 'node:crypto';
import type { Db } from '../db/connect.js';
import type { List } from './lists.js';

/** How far an import has come that can be broken off and gone on with. */
export interface ImportState {
  /** All up to this line has been dealt with; 0 is nothing. */
  readonly line: number;
  readonly taken: number;
  readonly refused: number;
  /** How many octets of the file of refused rows belong to them. */
  readonly refusedOctets: number;
}

export interface StoredImport extends ImportState {
  /** Of the file, as its caller tells versions apart; at most 80 ASCII characters. */
  readonly version: string;
  readonly isFinished: boolean;
}

interface ImportRecord {
  import_key: Buffer;
  account_id: number;
  list_id: number;
  version: string;
  line: number;
  taken: number;
  refused: number;
  refused_octets: number;
  started_at: number;
  saved_at: number;
  finished_at: number | null;
}

/** Names an import: the same file, into the same list, read in the same way. */
export function importKeyOf(list: List, file: string, options: readonly (string | boolean | null)[]): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([list.publicId, file, ...options]))
    .digest();
}

export async function findImport(db: Db, key: Buffer): Promise<StoredImport | null> {
  const row = await db<ImportRecord>('imports').where({ import_key: key }).first();
  if (row === undefined) return null;
  const { version, line, taken, refused, refused_octets: refusedOctets, finished_at } = row;
  return { version, line, taken, refused, refusedOctets, isFinished: finished_at !== null };
}

/** Keeps how far an import has come. Belongs behind the commit of what it tells of. */
export async function saveImport(
  db: Db,
  key: Buffer,
  list: List,
  version: string,
  { line, taken, refused, refusedOctets }: ImportState,
  { isFinished = false }: { isFinished?: boolean } = {},
): Promise<void> {
  const now = Date.now();
  const state = {
    version,
    ...{ line, taken, refused, refused_octets: refusedOctets },
    saved_at: now,
    finished_at: isFinished ? now : null,
  };
  await db<ImportRecord>('imports')
    .insert({ import_key: key, account_id: list.accountId, list_id: list.id, started_at: now, ...state })
    .onConflict('import_key')
    .merge(state);
}

import type { Db } from '../db/connect.js';
import { StartRefused } from '../errors.js';

/**
 * A restore marks its database before the first row, and takes the mark away after the last one: a database
 * that holds a part of a backup must not be taken for a whole one.
 */
const name = 'restoring';

/** What the mark says while rows are still to come. */
const underWay = 'rows';

/** @throws StartRefused where a restore was begun in this database and not finished. */
export async function refuseHalfRestored(db: Db): Promise<void> {
  if ((await findMark(db)) === null) return;
  throw new StartRefused(
    'A backup is being restored into this database, or its restore was broken off. Run signoff restore again: it clears what there is, and starts over.',
  );
}

export interface Mark {
  /** The SHA-256 of the backup of which all rows are in; null while they are not. */
  readonly whole: string | null;
}

/** @returns null for a database that no restore is at work on, or that has no tables yet. */
export async function findMark(db: Db): Promise<Mark | null> {
  if (!(await db.schema.hasTable('installation'))) return null;
  const row = await db<{ name: string; value: string }>('installation').where({ name }).first('value');
  if (row === undefined) return null;
  return { whole: row.value === underWay ? null : row.value };
}

export async function setMark(db: Db, { whole }: Mark): Promise<void> {
  const value = whole ?? underWay;
  await db('installation').insert({ name, value }).onConflict('name').merge({ value });
}

export async function removeMark(db: Db): Promise<void> {
  await db('installation').where({ name }).delete();
}

/** All that a restore has brought of `installation`, and not the mark. */
export async function clearInstallation(db: Db): Promise<void> {
  await db('installation').whereNot({ name }).delete();
}

import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { noteChange } from './history.js';
import { findList, getListById, type List } from './lists.js';
import { checkText } from './text.js';

/** What a list is called on a surface: a Mailgun domain, a server composition, an apiUser. */
export interface ListName {
  readonly surface: string;
  readonly name: string;
}

interface NameRow {
  account_id: number;
  surface: string;
  name: string;
  written: string;
  list_id: number;
}

/**
 * Gives a list a name on a surface; a list may have several there. Names are compared without case.
 *
 * @throws Invalid for a name that is empty, over 200 characters, or holds control characters.
 * @throws Refused where another list of the account has it there.
 */
export async function nameList(
  db: Db,
  list: List,
  surface: string,
  name: string,
  { actor }: { actor: string },
): Promise<ListName> {
  const written = checkText('name', name, { max: 200 });
  const key = { account_id: list.accountId, surface, name: folded(written) };
  await db.transaction(async (trx) => {
    const standing = await trx<NameRow>('list_names').where(key).first();
    if (standing?.list_id === list.id) return;
    if (standing !== undefined) {
      throw new Refused('name-taken', `Another list of this account is called ${key.name} there already.`);
    }
    await trx('list_names').insert({ ...key, written, list_id: list.id, created_at: Date.now() });
    const details = { surface, name: key.name };
    await noteChange(trx, {
      accountId: list.accountId,
      listId: list.id,
      actor,
      action: 'list.named',
      details,
    });
  });
  return { surface, name: written };
}

/** @returns whether the list had that name. */
export async function unnameList(
  db: Db,
  list: List,
  surface: string,
  name: string,
  { actor }: { actor: string },
): Promise<boolean> {
  return db.transaction(async (trx) => {
    const key = { account_id: list.accountId, surface, name: folded(name), list_id: list.id };
    const taken = await trx('list_names').where(key).delete();
    if (taken === 0) return false;
    const details = { surface, name: key.name };
    await noteChange(trx, {
      accountId: list.accountId,
      listId: list.id,
      actor,
      action: 'list.unnamed',
      details,
    });
    return true;
  });
}

/** A list by its name on a surface, or by its public id, which every list has everywhere. */
export async function findNamedList(
  db: Db,
  accountId: number,
  surface: string,
  name: string,
): Promise<List | null> {
  const row = await db<NameRow>('list_names')
    .where({ account_id: accountId, surface, name: folded(name) })
    .first();
  if (row !== undefined) return getListById(db, row.list_id);
  const list = await findList(db, name);
  return list?.accountId === accountId ? list : null;
}

/** The names of a list, on all surfaces; at most 1,000. */
export async function namesOfList(db: Db, list: List): Promise<ListName[]> {
  const rows = await db<NameRow>('list_names')
    .where({ list_id: list.id })
    .orderBy(['surface', 'name'])
    .limit(1000);
  return rows.map(({ surface, written }) => ({ surface, name: written }));
}

/** An account's lists with their names on a surface; at most 10,000, or as many as are asked for. */
export async function namesOnSurface(
  db: Db,
  accountId: number,
  surface: string,
  limit = 10_000,
): Promise<{ name: string; listId: number }[]> {
  const rows = await db<NameRow>('list_names')
    .where({ account_id: accountId, surface })
    .orderBy('name')
    .limit(Math.min(limit, 10_000));
  return rows.map(({ written, list_id }) => ({ name: written, listId: list_id }));
}

function folded(name: string): string {
  return name.trim().normalize('NFC').toLowerCase();
}

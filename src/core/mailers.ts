import type { Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import { noteChange } from './history.js';
import { parseIpWhitelist, type Network } from './ip-whitelist.js';
import { reprintedWhitelist, type Confirmations } from './list-settings.js';
import type { List } from './lists.js';
import { checkText } from './text.js';

/** A partner who mails lists, sends opt-outs, and downloads the lists granted to it. */
export interface Mailer {
  readonly id: number;
  readonly accountId: number;
  readonly name: string;
  /** May download addresses themselves; otherwise their hashes only. */
  readonly plainAllowed: boolean;
  /** Its own networks, besides those that a list lets in. */
  readonly ipWhitelist: readonly Network[];
}

interface MailerRow {
  id: number;
  account_id: number;
  name: string;
  plain_allowed: number;
  ip_whitelist: string;
  created_at: number;
}

/** @throws Invalid naming the setting that does not pass. */
export async function createMailer(
  db: Db,
  accountId: number,
  settings: { name: string; plainAllowed?: boolean; ipWhitelist?: string },
  { actor, ...confirmations }: { actor: string } & Confirmations,
): Promise<Mailer> {
  const row = {
    account_id: accountId,
    name: checkText('name', settings.name, { max: 200 }),
    plain_allowed: settings.plainAllowed === true ? 1 : 0,
    ip_whitelist: reprintedWhitelist('ipWhitelist', settings.ipWhitelist ?? '', confirmations),
    created_at: Date.now(),
  };
  const [id] = await db.transaction(async (trx) => {
    const ids = await trx('mailers').insert(row);
    await noteChange(trx, { accountId, actor, action: 'mailer.created', details: { mailer: ids[0] } });
    return ids;
  });
  return getMailer(db, id as number);
}

/** @throws NotFound */
export async function getMailer(db: Db, id: number): Promise<Mailer> {
  const row = await db<MailerRow>('mailers').where({ id }).first();
  if (row === undefined) throw new NotFound(`There is no mailer ${id}.`);
  return mailerOf(row);
}

/**
 * Oldest first.
 *
 * @param options.beyond a mailer's id: only those after it.
 * @param options.limit at most 10,000.
 */
export async function mailersOfAccount(
  db: Db,
  accountId: number,
  { beyond = 0, limit = 10_000 }: { beyond?: number; limit?: number } = {},
): Promise<Mailer[]> {
  const rows = await db<MailerRow>('mailers')
    .where({ account_id: accountId })
    .where('id', '>', beyond)
    .orderBy('id')
    .limit(Math.min(limit, 10_000));
  return rows.map((row) => mailerOf(row));
}

/** All mailers of a name, whichever the account, oldest first; at most 100. */
export async function mailersNamed(db: Db, name: string): Promise<Mailer[]> {
  const rows = await db<MailerRow>('mailers').where({ name }).orderBy('id').limit(100);
  return rows.map((row) => mailerOf(row));
}

/** @throws Invalid naming the setting that does not pass. */
export async function editMailer(
  db: Db,
  mailer: Mailer,
  settings: { name?: string; plainAllowed?: boolean; ipWhitelist?: string },
  { actor, ...confirmations }: { actor: string } & Confirmations,
): Promise<Mailer> {
  const columns: Record<string, unknown> = {};
  if (settings.name !== undefined) columns.name = checkText('name', settings.name, { max: 200 });
  if (settings.plainAllowed !== undefined) columns.plain_allowed = settings.plainAllowed ? 1 : 0;
  if (settings.ipWhitelist !== undefined) {
    columns.ip_whitelist = reprintedWhitelist('ipWhitelist', settings.ipWhitelist, confirmations);
  }
  if (Object.keys(columns).length > 0) {
    await db.transaction(async (trx) => {
      await trx('mailers').where({ id: mailer.id }).update(columns);
      await noteChange(trx, {
        accountId: mailer.accountId,
        actor,
        action: 'mailer.edited',
        details: { mailer: mailer.id, settings: Object.keys(columns) },
      });
    });
  }
  return getMailer(db, mailer.id);
}

/**
 * Lets a mailer notify and download a list of its account.
 *
 * @throws NotFound where the list belongs to another account.
 */
export async function grantList(
  db: Db,
  mailer: Mailer,
  list: Pick<List, 'id' | 'accountId'>,
  { actor }: { actor: string },
): Promise<void> {
  if (mailer.accountId !== list.accountId)
    throw new NotFound('There is no such list in the account of this mailer.');
  await db.transaction(async (trx) => {
    await trx('grants')
      .insert({ mailer_id: mailer.id, list_id: list.id, created_at: Date.now() })
      .onConflict(['mailer_id', 'list_id'])
      .merge({ mailer_id: mailer.id });
    await noteChange(trx, {
      accountId: list.accountId,
      listId: list.id,
      actor,
      action: 'mailer.granted',
      details: { mailer: mailer.id },
    });
  });
}

/** @returns whether there was a grant to take away. */
export async function revokeList(
  db: Db,
  mailer: Mailer,
  list: Pick<List, 'id' | 'accountId'>,
  { actor }: { actor: string },
): Promise<boolean> {
  return db.transaction(async (trx) => {
    const revoked = await trx('grants').where({ mailer_id: mailer.id, list_id: list.id }).delete();
    if (revoked > 0) {
      await noteChange(trx, {
        accountId: list.accountId,
        listId: list.id,
        actor,
        action: 'mailer.revoked',
        details: { mailer: mailer.id },
      });
    }
    return revoked > 0;
  });
}

/**
 * Grants a mailer those of the lists that are chosen, and takes the others of them away; what it is granted
 * beyond `lists` stays.
 *
 * @throws NotFound where a list belongs to another account.
 */
export async function changeGrants(
  db: Db,
  mailer: Mailer,
  lists: readonly Pick<List, 'id' | 'accountId'>[],
  isChosen: (listId: number) => boolean,
  { actor }: { actor: string },
): Promise<void> {
  await db.transaction(async (trx) => {
    const standing = new Set(await grantedLists(trx, mailer));
    for (const list of lists) {
      if (isChosen(list.id) === standing.has(list.id)) continue;
      if (isChosen(list.id)) await grantList(trx, mailer, list, { actor });
      else await revokeList(trx, mailer, list, { actor });
    }
  });
}

/** The ids of the lists that a mailer may notify and download. */
export async function grantedLists(db: Db, mailer: Mailer): Promise<number[]> {
  const rows = await db<{ mailer_id: number; list_id: number }>('grants')
    .where({ mailer_id: mailer.id })
    .orderBy('list_id')
    .select('list_id');
  return rows.map((row) => row.list_id);
}

/** Makes a mailer of its row; for access-keys.ts as well. */
export function mailerOf(row: MailerRow): Mailer {
  const whitelist = parseIpWhitelist(row.ip_whitelist, { confirmWide: true, confirmPrivate: true });
  return {
    id: row.id,
    accountId: row.account_id,
    name: row.name,
    plainAllowed: row.plain_allowed !== 0,
    ipWhitelist: whitelist.ok ? whitelist.networks : [],
  };
}

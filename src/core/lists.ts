import { randomInt } from 'node:crypto';
import type { Db } from '../db/connect.js';
import { Invalid, NotFound, Refused } from '../errors.js';
import { checkNotGlobal } from './global-list.js';
import { noteChange } from './history.js';
import { parseIpWhitelist, type Network } from './ip-whitelist.js';
import { columnsOf, type Confirmations, type ListSettings } from './list-settings.js';
import { parseRedirectTemplate, type RedirectTemplate } from './redirect-template.js';
import { findTags } from './tags.js';
import { readThankYouTexts } from './thank-you.js';

/** A suppression list: addresses that its mail must not reach. */
export interface List {
  readonly id: number;
  /** Unguessable, in URLs, never reused. */
  readonly publicId: string;
  readonly accountId: number;
  readonly internalName: string;
  readonly name: string;
  readonly state: 'open' | 'closed';
  readonly archivedAt: number | null;
  readonly directLink: 'confirm' | 'instant';
  readonly pixel: boolean;
  readonly thankYou: Readonly<Record<string, string>>;
  readonly redirect: RedirectTemplate | null;
  readonly ipWhitelist: readonly Network[];
  readonly downloadsFromAnyAddress: boolean;
  readonly operatorName: string;
  readonly postalAddress: string;
  readonly contact: string;
  readonly privacyUrl: string;
  readonly defaultLanguage: string;
  /** All but the typed form and the server door need a signed link. */
  readonly signedLinksOnly: boolean;
  /** How many entries it holds, one a tag: beyond, the oldest leave (cap.ts). Null: as many as come. */
  readonly cap: number | null;
  /** The tags that this list's mail has; an unknown one at a public door means all mail. */
  readonly tags: ReadonlySet<string>;
  /** The mailers that it is granted to. */
  readonly mailerIds: ReadonlySet<number>;
  readonly createdAt: number;
  /** Later with each change of a setting: UTC milliseconds. */
  readonly changedAt: number;
}

interface ListRow {
  id: number;
  public_id: string;
  account_id: number;
  internal_name: string;
  name: string;
  state: 'open' | 'closed';
  archived_at: number | null;
  direct_link: 'confirm' | 'instant';
  pixel: number;
  thank_you: string;
  redirect_template: string | null;
  ip_whitelist: string;
  downloads_from_any_address: number;
  operator_name: string;
  postal_address: string;
  contact: string;
  privacy_url: string;
  default_language: string;
  signed_links_only: number;
  cap: number | null;
  created_at: number;
  changed_at: number;
}

// No letters that are taken for digits, and no case: mail programs and people mangle both.
const idAlphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
const idLength = 20; // 31^20, some 99 bits
const idPattern = new RegExp(`^[${idAlphabet}]{${idLength}}$`);

export function isPublicId(text: string): boolean {
  return idPattern.test(text);
}

/**
 * @param settings `name` is needed; `internalName` is the same where it is not given.
 * @throws Invalid naming the setting that does not pass.
 */
export async function createList(
  db: Db,
  accountId: number,
  settings: Partial<ListSettings>,
  { actor, ...confirmations }: { actor: string } & Confirmations,
): Promise<List> {
  if (settings.name === undefined) throw new Invalid('name', 'missing', 'name must not be empty');
  const columns = columnsOf({ name: settings.name, internalName: settings.name, ...settings }, confirmations);
  const now = Date.now();
  const id = await db.transaction(async (trx) => {
    const [listId = 0] = await trx('lists').insert({
      thank_you: '{}',
      ip_whitelist: '',
      ...columns,
      public_id: newPublicId(),
      account_id: accountId,
      created_at: now,
      changed_at: now,
    });
    await noteChange(trx, { accountId, listId, actor, action: 'list.created' });
    return listId;
  });
  return getListById(db, id);
}

/**
 * Changes the settings that are given. Thank-you texts of languages that are not given stay.
 *
 * @param ifChangedAt the `changedAt` of the settings that somebody looked at: others since are not overwritten.
 * @throws Invalid naming the setting that does not pass; nothing is changed then.
 * @throws Refused `changed-meanwhile`
 */
export async function editList(
  db: Db,
  list: List,
  settings: Partial<ListSettings>,
  { actor, ifChangedAt, ...confirmations }: { actor: string; ifChangedAt?: number } & Confirmations,
): Promise<List> {
  const columns = columnsOf(settings, confirmations, list.thankYou);
  if (Object.keys(columns).length > 0) {
    await db.transaction(async (trx) => {
      const edited = await trx('lists')
        .where({ id: list.id, ...(ifChangedAt === undefined ? {} : { changed_at: ifChangedAt }) })
        .update({ ...columns, changed_at: Math.max(Date.now(), list.changedAt + 1) });
      if (edited === 0) throw new Refused('changed-meanwhile', `${list.name} was changed meanwhile.`);
      await noteChange(trx, {
        accountId: list.accountId,
        listId: list.id,
        actor,
        action: 'list.edited',
        details: { settings: Object.keys(columns) },
      });
    });
  }
  return getListById(db, list.id);
}

/**
 * Closes a list to downloads for good, or opens it again. Its opt-out page goes on working: the law wants
 * it to for weeks after the last mail (CAN-SPAM 30 days, CASL 60), and we never stop.
 *
 * @throws Refused for the account's global list.
 */
export async function archiveList(
  db: Db,
  list: List,
  isArchived: boolean,
  { actor }: { actor: string },
): Promise<List> {
  if ((list.archivedAt !== null) === isArchived) return list;
  const now = Date.now();
  await db.transaction(async (trx) => {
    if (isArchived) await checkNotGlobal(trx, list);
    await trx('lists')
      .where({ id: list.id })
      .update({ archived_at: isArchived ? now : null, changed_at: now });
    await noteChange(trx, {
      accountId: list.accountId,
      listId: list.id,
      actor,
      action: isArchived ? 'list.archived' : 'list.unarchived',
    });
  });
  return getListById(db, list.id);
}

/** @returns null for an id that no list has, or that cannot be one. */
export async function findList(db: Db, publicId: string): Promise<List | null> {
  const id = publicId.toLowerCase();
  if (!isPublicId(id)) return null;
  const row = await db<ListRow>('lists').where({ public_id: id }).first();
  return row === undefined ? null : listOf(db, row);
}

/** @throws NotFound */
export async function getListById(db: Db, id: number): Promise<List> {
  const row = await db<ListRow>('lists').where({ id }).first();
  if (row === undefined) throw new NotFound('There is no such list.');
  return listOf(db, row);
}

/** Oldest first; at most 10,000. */
export async function listsOfAccount(db: Db, accountId: number): Promise<List[]> {
  const rows = await db<ListRow>('lists').where({ account_id: accountId }).orderBy('id').limit(10_000);
  return listsOf(db, rows);
}

/** All lists of an internal name, whichever the account, oldest first; at most 100. */
export async function listsNamed(db: Db, internalName: string): Promise<List[]> {
  const rows = await db<ListRow>('lists').where({ internal_name: internalName }).orderBy('id').limit(100);
  return listsOf(db, rows);
}

/** For what stands in URLs: unguessable, and never reused. */
export function newPublicId(): string {
  return Array.from({ length: idLength }, () => idAlphabet[randomInt(idAlphabet.length)]).join('');
}

async function findGrantees(db: Db, listId: number): Promise<Set<number>> {
  const rows = await db<{ mailer_id: number; list_id: number }>('grants')
    .where({ list_id: listId })
    .select('mailer_id');
  return new Set(rows.map((row) => row.mailer_id));
}

/** One by one: all at once, a long account would wait for more connections than there are. */
async function listsOf(db: Db, rows: readonly ListRow[]): Promise<List[]> {
  const lists: List[] = [];
  for (const row of rows) lists.push(await listOf(db, row));
  return lists;
}

async function listOf(db: Db, row: ListRow): Promise<List> {
  const redirect = row.redirect_template === null ? null : parseRedirectTemplate(row.redirect_template);
  // What is stored has passed these checks before. Where it does not any more, the door it opens stays shut.
  const whitelist = parseIpWhitelist(row.ip_whitelist, { confirmWide: true, confirmPrivate: true });
  return {
    id: row.id,
    publicId: row.public_id,
    accountId: row.account_id,
    internalName: row.internal_name,
    name: row.name,
    state: row.state,
    archivedAt: row.archived_at,
    directLink: row.direct_link,
    pixel: row.pixel !== 0,
    thankYou: readThankYouTexts(row.thank_you),
    redirect: redirect?.ok ? redirect.template : null,
    ipWhitelist: whitelist.ok ? whitelist.networks : [],
    downloadsFromAnyAddress: row.downloads_from_any_address !== 0,
    operatorName: row.operator_name,
    postalAddress: row.postal_address,
    contact: row.contact,
    privacyUrl: row.privacy_url,
    defaultLanguage: row.default_language,
    signedLinksOnly: row.signed_links_only !== 0,
    cap: row.cap,
    tags: await findTags(db, row.id),
    mailerIds: await findGrantees(db, row.id),
    createdAt: row.created_at,
    changedAt: row.changed_at,
  };
}

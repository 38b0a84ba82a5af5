import type { Db } from '../db/connect.js';
import { lastDownloadAt } from './access-log.js';
import { accessKeysOf, type AccessKey } from './access-keys.js';
import type { Mailer } from './mailers.js';

/** What an owner wants to know of a mailer at a glance. */
export interface MailerOverview {
  readonly mailer: Mailer;
  /** How many are granted. */
  readonly lists: number;
  /** The internal names of the first of them. */
  readonly listNames: readonly string[];
  readonly keys: readonly AccessKey[];
  readonly lastDownloadAt: number | null;
}

const namesShown = 3;

/** @param mailers a page of them, one account's: each takes some queries. */
export async function mailerOverviews(db: Db, mailers: readonly Mailer[]): Promise<MailerOverview[]> {
  const counted: { mailer_id: number; n: number | string }[] = await db('grants')
    .whereIn(
      'mailer_id',
      mailers.map(({ id }) => id),
    )
    .groupBy('mailer_id')
    .select('mailer_id')
    .count('* as n');
  const counts = new Map(counted.map(({ mailer_id, n }) => [mailer_id, Number(n)]));
  const overviews: MailerOverview[] = [];
  for (const mailer of mailers) {
    const listNames = (await db('grants')
      .join('lists', 'lists.id', 'grants.list_id')
      .where({ 'grants.mailer_id': mailer.id })
      .orderBy('grants.list_id')
      .limit(namesShown)
      .pluck('lists.internal_name')) as string[];
    overviews.push({
      ...{ mailer, listNames, lists: counts.get(mailer.id) ?? 0 },
      keys: await accessKeysOf(db, mailer),
      lastDownloadAt: await lastDownloadAt(db, mailer.id),
    });
  }
  return overviews;
}

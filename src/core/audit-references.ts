import type { Db } from '../db/connect.js';
import type { Breach } from './audit.js';
import { sliceRows } from './audit-slices.js';

/** Whose ids have to be found where: nothing that these name is ever deleted. */
const references: [table: string, column: string, target: string][] = [
  ['lists', 'account_id', 'accounts'],
  ['mailers', 'account_id', 'accounts'],
  ['tags', 'list_id', 'lists'],
  ['link_keys', 'list_id', 'lists'],
  ['access_keys', 'mailer_id', 'mailers'],
  ['grants', 'mailer_id', 'mailers'],
  ['grants', 'list_id', 'lists'],
  ['list_counts', 'list_id', 'lists'],
  ['arrivals', 'account_id', 'accounts'],
  ['blocks', 'account_id', 'accounts'],
  ['bursts', 'account_id', 'accounts'],
  ['erased_people', 'account_id', 'accounts'],
  ['credentials', 'account_id', 'accounts'],
  ['credential_lists', 'credential_id', 'credentials'],
  ['credential_lists', 'list_id', 'lists'],
  ['list_names', 'list_id', 'lists'],
  ['import_jobs', 'account_id', 'accounts'],
  ['idempotency_keys', 'credential_id', 'credentials'],
  ['bulk_removals', 'account_id', 'accounts'],
  ['downloads', 'list_id', 'lists'],
  ['downloads', 'mailer_id', 'mailers'],
  ['users', 'account_id', 'accounts'],
  ['users', 'mailer_id', 'mailers'],
  ['sessions', 'user_id', 'users'],
  ['one_time_links', 'user_id', 'users'],
  ['recovery_codes', 'user_id', 'users'],
  ['opt_out_figures', 'list_id', 'lists'],
  ['fetches', 'list_id', 'lists'],
  ['fetches', 'mailer_id', 'mailers'],
  ['not_honoured', 'list_id', 'lists'],
  ['not_honoured', 'mailer_id', 'mailers'],
  ['alert_settings', 'list_id', 'lists'],
  ['alerts', 'list_id', 'lists'],
  ['list_sizes', 'list_id', 'lists'],
];

/** Rows that name what there is not, grants across accounts, and credentials without their lists. */
export async function* auditReferences(db: Db): AsyncGenerator<Breach> {
  for (const [table, column, target] of references) {
    for (let after = 0; ;) {
      const ids = (await db(table)
        .distinct(column)
        .where(column, '>', after)
        .orderBy(column)
        .limit(sliceRows)
        .pluck(column)) as number[];
      const found = new Set<number>(await db(target).whereIn('id', ids).pluck('id'));
      for (const id of ids.filter((one) => !found.has(one))) {
        yield { code: 'reference', table, description: `${column} ${id} is in no row of ${target}` };
      }
      after = ids.at(-1) ?? 0;
      if (ids.length < sliceRows) break;
    }
  }
  const strangers: { mailer_id: number; list_id: number }[] = await db('grants')
    .join('mailers', 'mailers.id', 'grants.mailer_id')
    .join('lists', 'lists.id', 'grants.list_id')
    .whereNot('mailers.account_id', db.ref('lists.account_id'))
    .limit(sliceRows)
    .select('grants.mailer_id', 'grants.list_id');
  for (const { mailer_id, list_id } of strangers) {
    const description = `mailer ${mailer_id} is granted list ${list_id} of another account`;
    yield { code: 'account', table: 'grants', description };
  }
  yield* auditCredentials(db);
}

/** A credential is for all lists of its account, or for those that it names, and it names at least one. */
async function* auditCredentials(db: Db): AsyncGenerator<Breach> {
  const wrong: { id: number; for_all_lists: boolean | 0 | 1 }[] = await db('credentials')
    .leftJoin('credential_lists', 'credential_lists.credential_id', 'credentials.id')
    .where((where) => void where.where({ for_all_lists: false }).whereNull('credential_lists.list_id'))
    .orWhere((where) => void where.where({ for_all_lists: true }).whereNotNull('credential_lists.list_id'))
    .orderBy('credentials.id')
    .limit(sliceRows)
    .distinct('credentials.id', 'credentials.for_all_lists');
  for (const { id, for_all_lists } of wrong) {
    const what = for_all_lists ? 'all lists, and names some' : 'some lists, and names none';
    yield { code: 'credential', table: 'credentials', description: `credential ${id} is for ${what}` };
  }
}

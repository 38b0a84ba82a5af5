import { credentialsOfAccount, hasEnded, type Credential } from '../core/credentials.js';
import { namesOnSurface } from '../core/list-names.js';
import { listTitlesOf, type ListTitle } from '../core/list-titles.js';
import type { Surface } from '../http/surface.js';
import { surfaces } from '../surfaces.js';
import { beyondIn, pageOf } from './paging.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/credentials.ejs');

const credentialsAPage = 50;
/** Of each API. */
const namesShown = 100;

/** The keys of the APIs, those that have ended too, and what lists are called in each API. */
export const credentials: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, account, query, now } = visit;
    const found = await credentialsOfAccount(deps.db, account.id, {
      ...{ beyond: beyondIn(query), limit: credentialsAPage + 1 },
    });
    const { shown, next } = pageOf(found, credentialsAPage);
    const rows = await credentialsShown(visit, shown);
    return page(t('credentials.title'), {
      standing: rows.filter((row) => !hasEnded(row.credential, now)),
      ended: rows.filter((row) => hasEnded(row.credential, now)),
      isFirst: beyondIn(query) === 0,
      next,
      names: await namesShownOf(visit),
    });
  },
};

/** A credential with what its ids stand for. */
export interface CredentialShown {
  readonly credential: Credential;
  readonly surfaceTitle: string;
  /** Null: all of the account's. */
  readonly lists: readonly ListTitle[] | null;
  readonly rights: string;
}

export async function credentialsShown(
  { deps, account, t }: AccountVisit,
  credentials: readonly Credential[],
): Promise<CredentialShown[]> {
  const ids = credentials.flatMap(({ listIds }) => [...(listIds ?? [])]);
  const titles = await listTitlesOf(deps.db, account.id, ids);
  return credentials.map((credential) => ({
    credential,
    surfaceTitle: surfaceOf(credential.surface)?.title ?? credential.surface,
    lists: credential.listIds === null ? null : [...credential.listIds].flatMap((id) => titles.get(id) ?? []),
    rights: rightsText(t, [...credential.rights]),
  }));
}

export function surfaceOf(name: string | undefined): Surface | undefined {
  return surfaces.find((one) => one.name === name);
}

export function rightsText(t: AccountVisit['t'], rights: readonly string[]): string {
  return rights.map((right) => t(`credentials.right.${right}`)).join(t('credentials.comma'));
}

/** They are given on each list's own page. */
async function namesShownOf({ deps, account }: AccountVisit) {
  const shown = [];
  for (const { name, title, listNoun } of surfaces) {
    if (listNoun === null) continue;
    const names = await namesOnSurface(deps.db, account.id, name, namesShown + 1);
    const titles = await listTitlesOf(
      deps.db,
      account.id,
      names.map(({ listId }) => listId),
    );
    shown.push({
      ...{ title, listNoun, isMore: names.length > namesShown },
      names: names.slice(0, namesShown).map((one) => ({ name: one.name, list: titles.get(one.listId) })),
    });
  }
  return shown;
}

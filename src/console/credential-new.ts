import { createCredential, rights, type Credential, type Right } from '../core/credentials.js';
import { namesOnSurface } from '../core/list-names.js';
import { listTitles, listTitlesOf, type ListTitle } from '../core/list-titles.js';
import { Invalid, NotFound } from '../errors.js';
import type { Surface } from '../http/surface.js';
import { surfaces } from '../surfaces.js';
import { changing } from './changing.js';
import { rightsText, surfaceOf } from './credentials.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type AccountVisit, type PageAnswer, type Screen } from './screen.js';
import { confirmedIn } from './whitelist-confirmed.js';
import { explainWhitelist } from './whitelist-explained.js';

const choicePage = view('console/credential-choice.ejs');
const newPage = view('console/credential-new.ejs');
const keyPage = view('console/credential-key.ejs');

/** With a box each. */
const mostLists = 500;

/** Which API a new key is for: each asks for something else. */
export const chosenSurface: Screen<AccountVisit> = {
  show: ({ t }) => Promise.resolve(choicePage(t('credentials.newTitle'), { surfaces })),
};

/** A new key of an API, shown once with a call to try. */
export const newCredential: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, account, form } = visit;
    const surface = surfaceIn(visit);
    const found = await listTitles(deps.db, account.id, { limit: mostLists + 1 });
    const typed = form?.get('ipWhitelist') ?? '';
    const confirmed = confirmedIn(form, typed);
    return newPage(t('credentials.newFor', { api: surface.title }), {
      ...{ surface, confirmed, rights },
      whitelist: explainWhitelist(visit, typed, confirmed),
      roles: surface.roles.map((role) => [
        role.name,
        t('credentials.roleWithRights', { role: role.name, rights: rightsText(t, role.rights) }),
      ]),
      ...{ lists: found.slice(0, mostLists), isMore: found.length > mostLists },
      scope: form?.get('scope') === 'some' ? 'some' : 'all',
      chosen: new Set(form?.getAll('list')),
      chosenRights: new Set(form?.getAll('right')),
    });
  },
  async act(visit) {
    const { deps, account, form, actor } = visit;
    const surface = surfaceIn(visit);
    const text = (name: string) => form?.get(name)?.trim() ?? '';
    const { role, granted } = rightsIn(surface, form);
    if (surface.loginNoun !== null && text('login') === '') {
      throw new Invalid('login', 'missing', 'login must not be empty');
    }
    const lists = await listsIn(visit);
    const ipWhitelist = form?.get('ipWhitelist') ?? '';
    const { confirmWide, confirmPrivate } = confirmedIn(form, ipWhitelist);
    await checkReEnteredPassword(visit);
    const made = await changing(deps, (db) =>
      createCredential(
        db,
        account.id,
        {
          ...{ surface: surface.name, name: text('name'), role, rights: granted, lists, ipWhitelist },
          login: surface.loginNoun === null ? '' : text('login'),
          ...(text('key') === '' ? {} : { key: text('key') }),
        },
        { actor, confirmWide, confirmPrivate },
      ),
    );
    return keyShown(visit, made, null);
  },
};

/** The page that shows a key this once. @param olderUntil of the key before it, where there is one. */
export async function keyShown(
  visit: AccountVisit,
  { credential, key }: { credential: Credential; key: string },
  olderUntil: number | null,
): Promise<PageAnswer> {
  const { deps, t } = visit;
  const surface = surfaceOf(credential.surface);
  const { login, name } = credential;
  const listName = await listNameFor(visit, credential);
  return keyPage(t('credentials.keyTitle', { name }), {
    ...{ credential, key, olderUntil, listName, surface },
    snippet: surface?.snippet({ baseUrl: deps.baseUrl, key, login, listName: listName ?? 'LIST' }) ?? null,
  });
}

/** @throws NotFound */
function surfaceIn({ params }: AccountVisit): Surface {
  const surface = surfaceOf(params.surface);
  if (surface === undefined) throw new NotFound('There is no such API.');
  return surface;
}

/** The role's, unless others are ticked. */
function rightsIn(surface: Surface, form: URLSearchParams | null): { role: string; granted: Right[] } {
  const [first, ...others] = surface.roles;
  const role =
    others.length === 0 ? first : surface.roles.find(({ name }) => name === (form?.get('role') ?? ''));
  if (role === undefined) throw new Invalid('role', 'unknown', 'role must be one of the choices');
  const ticked = form?.getAll('right') ?? [];
  const own = rights.filter((right) => ticked.includes(right));
  if (own.length !== ticked.length) throw new Invalid('right', 'unknown', 'there is no such right');
  return { role: role.name, granted: own.length > 0 ? own : [...role.rights] };
}

/** Empty: for all of them, and that has to be said. */
async function listsIn({ deps, account, form }: AccountVisit): Promise<ListTitle[]> {
  const scope = form?.get('scope') ?? '';
  if (scope === 'all') return [];
  if (scope !== 'some') throw new Invalid('scope', 'unknown', 'scope must be all or some');
  const ids = [...new Set(form?.getAll('list'))].map(Number).filter(Number.isSafeInteger);
  if (ids.length === 0) throw new Invalid('scope', 'none', 'scope must name at least one list');
  const found = await listTitlesOf(deps.db, account.id, ids);
  if (found.size !== ids.length) throw new NotFound('There is no such list in this account.');
  return [...found.values()];
}

/** What a list that the key opens is called in its API; null where there is no list at all. */
async function listNameFor(
  { deps, account }: AccountVisit,
  { surface, listIds }: Credential,
): Promise<string | null> {
  const names = await namesOnSurface(deps.db, account.id, surface, 1000);
  const named = names.find(({ listId }) => listIds === null || listIds.has(listId));
  if (named !== undefined) return named.name;
  const [only] = [...(listIds ?? [])];
  if (only !== undefined) {
    return (await listTitlesOf(deps.db, account.id, [only])).get(only)?.publicId ?? null;
  }
  const [first] = await listTitles(deps.db, account.id, { limit: 1 });
  return first?.publicId ?? null;
}

import { credentialsOfAccount } from '../core/credentials.js';
import { withoutAddress } from '../core/found-removals.js';
import { listsThatCount } from '../core/global-list.js';
import { noteChange } from '../core/history.js';
import { kindOf } from '../core/opt-out-details.js';
import { addressMatches, optOutStates, type AddressPart, type OptOutFilter } from '../core/opt-out-filter.js';
import { findStretch, untilTakenUp, type Found } from '../core/opt-out-find.js';
import type { FoundOptOut } from '../core/opt-out-walks.js';
import { EVERYTHING, sources } from '../core/opt-outs.js';
import { ownMailer } from '../core/user-rights.js';
import { retrying } from '../db/connect.js';
import {
  emptySearch,
  filterOf,
  firstPage,
  idOfOptOut,
  mostTicked,
  nextPage,
  previousPage,
  searchFormIn,
  searchIn,
  searchToken,
  searchedAs,
  tickedIn,
  type Search,
  type SearchForm,
  goingThrough,
} from './opt-out-search.js';
import { onGlobalAlone } from './opt-out-global.js';
import { untilGone } from './until-gone.js';
import { view, type Answer, type FormError, type ListVisit, type PageAnswer, type Screen } from './screen.js';

const page = view('console/opt-outs.ejs');
const notAllowedPage = view('console/opt-outs-not-allowed.ejs');

const optOutsAPage = 50;
const mostCredentials = 200;

/**
 * The opt-outs of a list, page by page. The search is sent as a form and comes back as a sealed token, so that no
 * address stands in a URL.
 */
export const optOuts: Screen<ListVisit> = {
  async show(visit, error) {
    if (!(await seesAddresses(visit))) return notAllowedPage(visit.t('opt-outs.title'));
    const { deps, list, query, form } = visit;
    const token = query.get('search');
    const search =
      form !== null || token === null
        ? firstPage(form === null ? emptySearch : searchFormIn(form))
        : searchIn(deps, list, token);
    return resultsPage(visit, search, { error });
  },

  async act(visit) {
    const { deps, list, form, formats } = visit;
    if (!(await seesAddresses(visit))) return notAllowedPage(visit.t('opt-outs.title'));
    if (form?.has('go') === true || form?.has('clear') === true) return turnedPage(visit, form);
    const searched = allowedTo(visit, searchFormIn(form ?? new URLSearchParams()));
    filterOf(searched, formats.zone);
    const token = searchToken(deps, list, firstPage(searched));
    return { redirect: `/console/lists/${list.publicId}/opt-outs?search=${token}` };
  },
};

/** A mailer sees addresses where it may download them. */
export async function seesAddresses({ deps, user }: ListVisit): Promise<boolean> {
  return user.role !== 'mailer' || (await ownMailer(deps.db, user))?.plainAllowed === true;
}

/** Mailers see what stands, and not through which key of the account it came. */
function allowedTo({ user }: ListVisit, form: SearchForm): SearchForm {
  return user.role === 'mailer' ? { ...form, state: 'standing', credential: '' } : form;
}

/**
 * Another page of the same search, with what was ticked so far: too much for a URL, so that it is sent as a form
 * from page to page. Without any, the page has an address like any other.
 */
async function turnedPage(visit: ListVisit, form: URLSearchParams): Promise<Answer> {
  const { deps, list, user } = visit;
  const ticked = user.role === 'mailer' ? [] : tickedIn(form);
  const isTooMany = ticked.length > mostTicked;
  const stays = isTooMany || form.has('clear');
  const token = form.get(stays ? 'here' : 'go') ?? '';
  const search = searchIn(deps, list, token);
  if (ticked.length === 0 || form.has('clear')) {
    return { redirect: `/console/lists/${list.publicId}/opt-outs?search=${token}` };
  }
  return resultsPage(visit, search, { ticked, isTooMany });
}

interface Shown {
  readonly error?: FormError | null;
  readonly ticked?: readonly string[];
  readonly isTooMany?: boolean;
}

async function resultsPage(
  visit: ListVisit,
  search: Search,
  { error = null, ticked = [], isTooMany = false }: Shown,
): Promise<PageAnswer> {
  const { deps, t, list, formats, user, now } = visit;
  const form = allowedTo(visit, search.form);
  // A form that comes back with an error has found nothing.
  const filter = error === null ? filterOf(form, formats.zone) : null;
  const isFirst = search.place === null;
  const isTakenUp = filter === null || !isFirst || (await untilTakenUp(deps.db, list.id));
  const found: Found | null =
    filter === null
      ? null
      : await goingThrough(visit, () =>
          untilGone(visit.res, (signal) =>
            findStretch(deps.db, list.id, filter, {
              ...{ place: search.place, limit: optOutsAPage, at: now, signal },
            }),
          ),
        );
  // Each page of it: who looks through a list page by page has the list.
  if (user.role === 'mailer' && filter !== null && found !== null)
    await noteSearch(visit, filter, found.optOuts.length);
  const base = `/console/lists/${list.publicId}/opt-outs`;
  const tokenOf = (one: Search) => searchToken(deps, list, one);
  const here = { ...search, form };
  const previous = previousPage(here);
  const rows = found?.optOuts.map((row) => rowShown(row)) ?? [];
  const elsewhere = ticked.filter((id) => !rows.some((row) => row.id === id));
  return page(t('opt-outs.title'), {
    base,
    form,
    isFiltered: JSON.stringify(form) !== JSON.stringify(emptySearch),
    isMore:
      form.from + form.to + form.tag + form.source + form.credential !== '' || form.state !== 'standing',
    choices: await choicesFor(visit),
    understood: filter?.address ?? null,
    otherWays:
      filter === null
        ? []
        : otherWays(filter).map((way) => ({
            way,
            href: `${base}?search=${tokenOf(firstPage(searchedAs(form, way)))}`,
          })),
    rows,
    ticked,
    elsewhere,
    isTooMany,
    mostTicked,
    showsState: form.state !== 'standing',
    found,
    isFirst,
    isTakenUp,
    here: tokenOf(here),
    pages: [
      ...(previous === null ? [] : [{ text: 'parts.previous', token: tokenOf(previous) }]),
      ...(found?.next == null
        ? []
        : [
            {
              text: found.isCut ? 'opt-outs.goOn' : 'parts.next',
              token: tokenOf(nextPage(here, found.next)),
            },
          ]),
      ...(isFirst ? [] : [{ text: 'opt-outs.toFirst', token: tokenOf(firstPage(form)) }]),
    ],
    token: tokenOf(firstPage(form)),
    canChange: user.role !== 'mailer',
    canRemoveAll: found !== null && found.optOuts.length > 0 && form.state === 'standing',
    onGlobal:
      filter?.address?.kind === 'address' && found !== null
        ? await onGlobalAlone(visit, filter.address.text)
        : null,
    hasGlobalList: (await listsThatCount(deps.db, list.id)).length > 1,
  });
}

/** A mailer's look at addresses is as much as a download of them. */
export async function noteSearch(
  { deps, list, account, actor }: ListVisit,
  filter: OptOutFilter,
  rows: number,
): Promise<void> {
  const details = { ...withoutAddress(filter), rows };
  const change = { accountId: account.id, listId: list.id, actor, action: 'list.searched', details };
  await retrying(deps.db, deps.config.databaseTimeoutMs, () => noteChange(deps.db, change));
}

/** What of a row is shown among others. */
type RowSource = Pick<
  FoundOptOut,
  'address' | 'address_key' | 'tag' | 'sha256' | 'created_at' | 'source' | 'removed_at' | 'expires_at'
>;

/** As the list of results and the confirmation of a removal have it. */
export function rowShown(row: RowSource) {
  const { address, address_key, tag, created_at, source, removed_at, expires_at } = row;
  return {
    id: idOfOptOut(row),
    kind: kindOf(row),
    text: address?.toString() ?? address_key.toString('hex'),
    tag: tag.toString() === EVERYTHING ? null : tag.toString(),
    createdAt: created_at,
    source,
    removedAt: removed_at,
    expiresAt: expires_at,
  };
}

/** What the same text might have been meant as. */
function otherWays({ address }: OptOutFilter): ('beginning' | 'part' | 'hashed')[] {
  if (address === null) return [];
  const ways: Record<AddressPart['kind'], ('beginning' | 'part' | 'hashed')[]> = {
    ...{ address: ['beginning'], domain: ['beginning', 'part'], beginning: ['part'], part: ['beginning'] },
    ...{ md5: [], sha256: ['hashed'], hashed: [] },
  };
  return ways[address.kind];
}

async function choicesFor({ deps, t, list, account, user }: ListVisit) {
  const any = ['', t('opt-outs.any')] as const;
  const credentials =
    user.role === 'mailer' ? [] : await credentialsOfAccount(deps.db, account.id, { limit: mostCredentials });
  return {
    tags: [any, [EVERYTHING, t('opt-outs.everything')], ...[...list.tags].sort().map((tag) => [tag, tag])],
    sources: [any, ...sources.map((one) => [one, t(`opt-outs.source.${one}`)])],
    credentials:
      credentials.length === 0
        ? []
        : [any, ...credentials.map(({ id, name, surface }) => [String(id), `${name} (${surface})`])],
    states: optOutStates.map((one) => [one, t(`opt-outs.state.${one}`)]),
    matches: addressMatches.filter((one) => one !== 'hashed').map((one) => [one, t(`opt-outs.match.${one}`)]),
  };
}

import {
  countListsFor,
  lastDownloadsOf,
  listRowsFor,
  totalsOfLists,
  type ListRow,
  type RowsAsked,
} from '../core/list-rows.js';
import { overviewOf, waitingOf, type ComplianceOverview } from '../core/compliance-overviews.js';
import { createList } from '../core/lists.js';
import { sumsOfLists } from '../core/opt-out-figures.js';
import { ownMailer } from '../core/user-rights.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/lists.ejs');
const newPage = view('console/list-new.ejs');

const listsAPage = 50;
/** As many are found at a glance. */
const fewLists = 10;
const longestSearch = 200;

/** The lists of an account that the user may see, a row each, by their names; archived ones apart. */
export const lists: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, user, account, query, formats, now } = visit;
    const { db } = deps;
    const search = query.get('q')?.trim().slice(0, longestSearch) || null;
    const isArchived = query.get('show') === 'archived';
    const counts = await countListsFor(db, user, account);
    const { rows, previous, next } = await pageOf(visit, {
      search,
      archived: search !== null ? 'last' : isArchived ? 'only' : 'without',
    });
    const ids = rows.map(({ id }) => id);
    const mailer = await ownMailer(db, user);
    const sums = await sumsOfLists(db, ids, formats.zone, now);
    const totals = await totalsOfLists(db, ids);
    const downloads = await lastDownloadsOf(db, ids, mailer?.id ?? null);
    const mailerIds = mailer === null ? {} : { mailerIds: [mailer.id] };
    const waiting = await waitingOf(db, account, { listIds: ids, ...mailerIds, isOverdueOnly: true }, now);
    const clockOf = (id: number) =>
      overviewOf(
        // The worst of its mailers, each of which has its own time.
        waiting.filter(({ listId }) => listId === id),
        { zone: formats.zone, now },
      );
    const hasOwnWhitelist = mailer !== null && mailer.ipWhitelist.length > 0;
    return page(t('lists.title'), {
      rows: rows.map((row) => ({
        ...row,
        sums: sums.get(row.id),
        total: totals.get(row.id) ?? 0,
        download: downloads.get(row.id) ?? null,
        badges: [...badgesOf(row, account.globalListId, hasOwnWhitelist), ...lateness(clockOf(row.id))],
      })),
      counts,
      search,
      isArchived,
      hasSearch: search !== null || counts.active + counts.archived > fewLists,
      pages: {
        previous: previous === null ? null : linkTo({ search, isArchived, before: previous }),
        next: next === null ? null : linkTo({ search, isArchived, beyond: next }),
      },
    });
  },
};

/** A new list: its names; all else is set afterwards. */
export const newList: Screen<AccountVisit> = {
  show: ({ t }) => Promise.resolve(newPage(t('lists.newTitle'))),
  async act({ deps, form, account, actor }) {
    const name = form?.get('name') ?? '';
    const internalName = form?.get('internalName')?.trim() || name;
    const list = await createList(deps.db, account.id, { name, internalName }, { actor });
    return { redirect: `/console/lists/${list.publicId}/service`, done: 'list-created' };
  },
};

/** A page of rows, and the ids beyond and before which its neighbours begin: null where there are none. */
async function pageOf(
  { deps, user, account, query }: AccountVisit,
  asked: Pick<RowsAsked, 'search' | 'archived'>,
): Promise<{ rows: ListRow[]; previous: number | null; next: number | null }> {
  const before = numberIn(query, 'before');
  const beyond = before ?? numberIn(query, 'beyond');
  const backwards = before !== null;
  // One more than a page tells whether there is another.
  const limit = listsAPage + 1;
  const found = await listRowsFor(deps.db, user, account, { ...asked, beyond, backwards, limit });
  const isCut = found.length > listsAPage;
  const rows = backwards ? found.slice(-listsAPage) : found.slice(0, listsAPage);
  const hasPrevious = backwards ? isCut : beyond !== null;
  const hasNext = backwards || isCut;
  return {
    rows,
    previous: hasPrevious ? (rows[0]?.id ?? null) : null,
    next: hasNext ? (rows.at(-1)?.id ?? null) : null,
  };
}

function numberIn(query: URLSearchParams, name: string): number | null {
  const [text] = /^[1-9]\d{0,8}$/.exec(query.get(name) ?? '') ?? [];
  return text === undefined ? null : Number(text);
}

function linkTo(to: {
  search: string | null;
  isArchived: boolean;
  before?: number;
  beyond?: number;
}): string {
  const params = new URLSearchParams({
    ...(to.search === null ? {} : { q: to.search }),
    ...(to.isArchived ? { show: 'archived' } : {}),
    ...(to.before === undefined ? {} : { before: String(to.before) }),
    ...(to.beyond === undefined ? {} : { beyond: String(to.beyond) }),
  });
  return `?${params.toString()}`;
}

interface Badge {
  readonly key: string;
  readonly kind: '' | 'good' | 'warn' | 'bad';
  /** It is about one of the mailers, which may be the one that looks. */
  readonly ofMailers?: true;
}

function badgesOf(row: ListRow, globalListId: number | null, hasOwnWhitelist: boolean): Badge[] {
  const isShut = row.isArchived || row.isClosed;
  const isOpenToNobody = !row.hasWhitelist && !row.downloadsFromAnyAddress && !hasOwnWhitelist;
  const badges: Badge[] = [];
  if (row.id === globalListId) badges.push({ key: 'global', kind: 'good' });
  if (row.isArchived) badges.push({ key: 'archived', kind: '' });
  else if (row.isClosed) badges.push({ key: 'closed', kind: '' });
  if (!isShut && isOpenToNobody) badges.push({ key: 'noWhitelist', kind: 'warn' });
  return badges;
}

/** A badge where a limit of the compliance clock nears or is passed. */
function lateness({ state, isUnlawful }: ComplianceOverview): Badge[] {
  if (isUnlawful) return [{ key: 'unlawful', kind: 'bad', ofMailers: true }];
  if (state === 'late') return [{ key: 'late', kind: 'bad', ofMailers: true }];
  return state === 'due-soon' ? [{ key: 'dueSoon', kind: 'warn', ofMailers: true }] : [];
}

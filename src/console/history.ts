import { readHistory, type HistoryEntry, type HistoryFilter } from '../core/history-read.js';
import { listTitles, listTitlesOf } from '../core/list-titles.js';
import { createLocalClock } from '../core/time-zone.js';
import { usersOfAccount } from '../core/users.js';
import type { TimePlace } from '../core/walks-by-time.js';
import { actorsShown } from './actors.js';
import { actionGroups, isActionGroup, type ActionGroup } from './history-actions.js';
import { actionsShown } from './history-words.js';
import { timePlaceIn, withQuery } from './paging.js';
import { view, type AccountVisit, type Screen, type UserVisit } from './screen.js';

const page = view('console/history.ejs');

const entriesAPage = 50;
/** In each of the choices. */
const mostChoices = 500;
/** Whose history is nobody's account: the admins'. */
const installation = 0;

/** What was asked for, as the address of the page has it. */
interface Asked {
  readonly list: string;
  readonly actor: string;
  readonly about: ActionGroup | '';
  /** A day, `yyyy-mm-dd`: nothing later. */
  readonly until: string;
}

/** Who changed what and when in an account. */
export const history: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, account, query } = visit;
    const titles = await listTitles(deps.db, account.id, { limit: mostChoices });
    const asked = askedIn(query);
    const list = titles.find(({ publicId }) => publicId === asked.list);
    const users = await usersOfAccount(deps.db, account.id);
    const shown = await shownOf(visit, account.id, asked, list === undefined ? {} : { listId: list.id });
    const listHrefs = await listTitlesOf(
      deps.db,
      account.id,
      shown.entries.flatMap(({ listId }) => (listId === null ? [] : [listId])),
    );
    return page(t('history.title'), {
      ...shown,
      listOf: (id: number | null) => (id === null ? null : (listHrefs.get(id) ?? null)),
      lists: titles,
      actors: [
        ...users.slice(0, mostChoices).map(({ id, name }) => [`user:${id}`, name]),
        ['keys', t('history.anyKey')],
        ...(['cli', 'recipient', 'keeper'] as const).map((one) => [one, t(`actors.${one}`)]),
      ],
    });
  },
};

/** What concerns no account: the admins themselves. */
export const installationHistory: Screen<UserVisit> = {
  async show(visit) {
    return page(visit.t('history.adminsTitle'), {
      ...(await shownOf(visit, installation, askedIn(visit.query), {})),
      ...{ listOf: () => null, lists: [], actors: [] },
    });
  },
};

async function shownOf(visit: UserVisit, accountId: number, asked: Asked, filter: HistoryFilter) {
  const { deps, t, query, formats, req } = visit;
  const { entries, next, isCut } = await readHistory(
    deps.db,
    accountId,
    { ...filter, ...filterOf(asked) },
    { before: placeIn(query, asked, formats.zone), limit: entriesAPage },
  );
  const actors = entries.map(({ actor }) => actor);
  // Of those that are asked for, only who stands here: another account's users have no name here.
  const known = await actorsShown(visit, actors);
  const action = await actionsShown(visit, entries);
  const { path } = req;
  return {
    entries: entries.map((entry: HistoryEntry) => ({
      ...{ at: entry.at, listId: entry.listId, action: action(entry), actor: known(entry.actor) },
      actorHref: withQuery(path, { ...asked, actor: entry.actor }),
    })),
    groups: Object.keys(actionGroups).map((group) => [group, t(`history.group.${group}`)]),
    ...{ asked, isCut, isFirst: !query.has('before'), isFiltered: Object.values(asked).some(Boolean) },
    /** For the choice, where the actor is none of those that are offered. */
    askedActor: asked.actor === '' ? '' : asked.actor === 'keys' ? '' : known(asked.actor).name,
    newestHref: withQuery(path, { ...asked }),
    nextHref: next === null ? null : withQuery(path, { ...asked, before: `${next.at}.${next.id}` }),
    allHref: path,
  };
}

function askedIn(query: URLSearchParams): Asked {
  const about = query.get('about');
  const until = query.get('until') ?? '';
  return {
    list: query.get('list') ?? '',
    actor: (query.get('actor') ?? '').slice(0, 64),
    about: isActionGroup(about) ? about : '',
    until: /^\d{4}-\d\d-\d\d$/.test(until) ? until : '',
  };
}

function filterOf({ actor, about }: Asked): HistoryFilter {
  return {
    ...(about === '' ? {} : { actions: new Set<string>(actionGroups[about]) }),
    ...(actor === '' ? {} : { isActor: isActor(actor) }),
  };
}

function isActor(asked: string): (actor: string) => boolean {
  if (asked === 'keys') return (actor) => actor.startsWith('credential ');
  // What a process does by itself is one thing to whoever reads it.
  if (asked === 'keeper') return (actor) => actor === 'keeper' || actor === 'system';
  return (actor) => actor === asked;
}

function placeIn(query: URLSearchParams, { until }: Asked, zone: string): TimePlace | null {
  const place = timePlaceIn(query.get('before'));
  if (place !== null) return place;
  const end = until === '' ? null : createLocalClock(zone).dayStart(until, 1);
  return end === null ? null : { at: end, id: 0 };
}

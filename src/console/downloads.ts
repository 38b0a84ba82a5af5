import { readAccessLog, type Access, type AccessPage, type AccessScope } from '../core/access-log.js';
import { listTitlesOf, type ListTitle } from '../core/list-titles.js';
import { mailersOfAccount, type Mailer } from '../core/mailers.js';
import { namesOf } from '../core/names-of.js';
import { idsInReach, mailerFor, ownMailer } from '../core/user-rights.js';
import { surfaces } from '../surfaces.js';
import { actorsShown } from './actors.js';
import { idOf } from './door.js';
import { baseOf, mailerOf } from './mailer-page.js';
import { timePlaceIn, withQuery } from './paging.js';
import { view, type AccountVisit, type ListVisit, type Screen } from './screen.js';
import { hasConsoleText } from './texts.js';

const page = view('console/downloads.ejs');

const rowsAPage = 50;
/** In the choice of mailers. */
const mostMailers = 500;
/** Who is at it for longer than this has gone. */
const longestDownloadMs = 3_600_000;

/** One line of the access log, in words. */
export interface AccessShown {
  readonly at: number;
  readonly who: string;
  /** What they are, where the name does not say it. */
  readonly what: string | null;
  readonly mailerId: number | null;
  readonly list: string;
  readonly listHref: string | null;
  readonly ending: string;
  /** By a user of the mailer, without a key. */
  readonly isByConsole: boolean;
  readonly ip: string;
  readonly extent: string;
  readonly format: string;
  readonly entries: number | null;
  readonly outcome: 'whole' | 'unchanged' | 'going' | 'cut' | 'begun';
}

/** Who took a list away, newest first. A user of a mailer sees what that mailer took. */
export const listDownloads: Screen<ListVisit> = {
  async show(visit) {
    const { deps, t, user, account, list, query } = visit;
    const scope = await listScope(visit);
    const found = await readPage(visit, scope);
    const isOwner = user.role !== 'mailer';
    const path = `/console/lists/${list.publicId}/downloads`;
    const chosen = { mailer: isOwner ? query.get('mailer') : null };
    return page(t('downloads.title'), {
      ...(await pageData(visit, found, path, chosen)),
      isOfMailer: false,
      mailers: isOwner ? await mailersOfAccount(deps.db, account.id, { limit: mostMailers }) : null,
    });
  },
};

/** What one mailer took, of all lists. */
export const mailerDownloads: Screen<AccountVisit> = {
  async show(visit) {
    const mailer = await mailerOf(visit);
    const found = await readPage(visit, mailerScope(mailer));
    const path = `${baseOf(mailer)}/downloads`;
    return page(visit.t('downloads.mailerTitle', { name: mailer.name }), {
      ...(await pageData(visit, found, path, {})),
      ...{ isOfMailer: true, mailers: null, mailer, mailerBase: baseOf(mailer) },
    });
  },
};

/** What the user may see of a list's log, and of that what was asked for. */
export async function listScope({ deps, user, account, list, query }: ListVisit): Promise<AccessScope> {
  const scope = { accountId: account.id, listId: list.id };
  const own = await ownMailer(deps.db, user);
  if (own !== null) return { ...scope, mailerId: own.id };
  const asked = query.get('mailer') ?? '';
  if (asked === '') return scope;
  if (asked === 'others') return { ...scope, isNotedOnly: true };
  return { ...scope, mailerId: (await mailerFor(deps.db, user, account, idOf(asked))).id };
}

export function mailerScope({ id, accountId }: Mailer): AccessScope {
  return { accountId, mailerId: id };
}

/** The lines in words: names of mailers, lists and keys are looked up for all of them at once. */
export async function accessShown(visit: AccountVisit, entries: readonly Access[]): Promise<AccessShown[]> {
  const { deps, t, user, account, now } = visit;
  const ids = entries.map(({ listId }) => listId);
  const lists = await listTitlesOf(deps.db, account.id, ids);
  // What is granted to a mailer no more, its users open no more: nor is a name that it was given since theirs.
  const reach = await idsInReach(deps.db, user, ids);
  const mailers = await namesOf(
    deps.db,
    'mailers',
    entries.flatMap((one) => (one.kind === 'mailer' ? [one.mailerId] : [])),
  );
  const actorOf = await actorsShown(
    visit,
    entries.flatMap((one) => (one.kind === 'noted' ? [one.actor] : [])),
  );
  return entries.map((one) => {
    const list = lists.get(one.listId);
    const common = { at: one.at, entries: one.entries, ...listShown(t, list, reach) };
    if (one.kind === 'mailer') {
      const { extent, format, ip, ending, mailerId } = one;
      return {
        ...{
          ...common,
          mailerId,
          ip,
          ending,
          isByConsole: one.isByConsole,
          what: null,
          who: mailers.get(mailerId) ?? '',
        },
        extent: t(`downloads.extent.${extent}`),
        format: formatText(t, format),
        outcome: outcomeOf(one, now),
      };
    }
    const { name, what } = actorOf(one.actor);
    const surface = surfaces.find(({ name: known }) => known === one.surface);
    return {
      ...{
        ...common,
        mailerId: null,
        ip: '',
        ending: '',
        isByConsole: false,
        who: name,
        what: surface?.title ?? what,
      },
      extent: extentOf(t, one),
      format: formatText(t, one.format),
      outcome: 'begun',
    };
  });
}

function listShown(
  t: AccountVisit['t'],
  list: ListTitle | undefined,
  reach: ReadonlySet<number>,
): Pick<AccessShown, 'list' | 'listHref'> {
  if (list === undefined) return { list: '', listHref: null };
  const { id, publicId, internalName } = list;
  if (!reach.has(id)) return { list: t('downloads.notGranted', { id: publicId }), listHref: null };
  return { list: internalName, listHref: `/console/lists/${publicId}` };
}

/** Formats that only programs know are told by their codes. */
export function formatText(t: AccountVisit['t'], format: string): string {
  const key = `downloads.format.${format}`;
  return hasConsoleText(key) ? t(key) : format;
}

/** What somebody takes out of the console is what a search found; a download of a program is just that. */
function extentOf(t: AccountVisit['t'], { action, surface }: Access & { kind: 'noted' }): string {
  const extent = surface === 'console' && action === 'list.downloaded' ? 'search' : notedExtents[action];
  return extent === undefined ? '' : t(`downloads.extent.${extent}`);
}

/** What of the history is called what. */
const notedExtents: Readonly<Record<string, string>> = {
  'list.export-started': 'export',
  'list.searched': 'search',
  'list.scrubbed': 'scrub',
};

function outcomeOf(
  { status, finishedAt, at }: Access & { kind: 'mailer' },
  now: number,
): AccessShown['outcome'] {
  if (status === 304) return 'unchanged';
  if (finishedAt !== null) return 'whole';
  return now - at < longestDownloadMs ? 'going' : 'cut';
}

function readPage({ deps, query }: AccountVisit, scope: AccessScope): Promise<AccessPage> {
  const place = timePlaceIn(query.get('before'));
  const kind = place?.kind === 'noted' ? 'noted' : 'mailer';
  return readAccessLog(deps.db, scope, {
    ...{ before: place === null ? null : { ...place, kind }, limit: rowsAPage },
  });
}

async function pageData(
  visit: AccountVisit,
  { entries, next, isCut }: AccessPage,
  path: string,
  chosen: { mailer?: string | null },
) {
  const before = next === null ? null : `${next.at}.${next.kind}.${next.id}`;
  return {
    rows: await accessShown(visit, entries),
    ...{ isCut, chosen: chosen.mailer ?? '', isFirst: !visit.query.has('before') },
    action: path,
    nextHref: before === null ? null : withQuery(path, { ...chosen, before }),
    newestHref: withQuery(path, chosen),
    csvHref: withQuery(`${path}.csv`, chosen),
  };
}

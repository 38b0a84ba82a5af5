import { accessKeysOf } from '../core/access-keys.js';
import { lastDownloadAt } from '../core/access-log.js';
import { overviewOf, waitingOf } from '../core/compliance-overviews.js';
import { listTitlesOf } from '../core/list-titles.js';
import { grantedLists, type Mailer } from '../core/mailers.js';
import { mailerFor } from '../core/user-rights.js';
import { idOf } from './door.js';
import { view, type AccountVisit, type Screen } from './screen.js';
import { explainNetworks } from './whitelist-explained.js';

const page = view('console/mailer.ejs');

const listsShown = 200;

/** All about one mailer, with links to where it is changed. A user of the mailer sees it without its settings. */
export const mailer: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, account, formats, now } = visit;
    const one = await mailerOf(visit);
    const granted = await grantedLists(deps.db, one);
    const titles = await listTitlesOf(deps.db, account.id, granted.slice(0, listsShown));
    const waiting = await waitingOf(deps.db, account, { mailerIds: [one.id] }, now);
    const clockOf = (those: typeof waiting) => overviewOf(those, { zone: formats.zone, now });
    return page(one.name, {
      mailer: one,
      mailerBase: baseOf(one),
      keys: await accessKeysOf(deps.db, one),
      lists: [...titles.values()].map((list) => ({
        ...list,
        clock: clockOf(waiting.filter(({ listId }) => listId === list.id)),
      })),
      clock: clockOf(waiting),
      listsBeyond: Math.max(0, granted.length - listsShown),
      networks: explainNetworks(visit, one.ipWhitelist),
      lastDownloadAt: await lastDownloadAt(deps.db, one.id),
    });
  },
};

/** The mailer that the path names. @throws NotFound where it is out of the user's reach. */
export function mailerOf({ deps, user, account, params }: AccountVisit): Promise<Mailer> {
  return mailerFor(deps.db, user, account, idOf(params.mailer));
}

export function baseOf({ accountId, id }: Mailer): string {
  return `/console/accounts/${accountId}/mailers/${id}`;
}

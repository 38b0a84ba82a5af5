import { listTitles } from '../core/list-titles.js';
import { changeGrants, editMailer, grantedLists } from '../core/mailers.js';
import { changing } from './changing.js';
import { baseOf, mailerOf } from './mailer-page.js';
import { beyondIn, pageOf, withQuery } from './paging.js';
import { view, type AccountVisit, type Screen } from './screen.js';
import { confirmedIn } from './whitelist-confirmed.js';
import { explainWhitelist } from './whitelist-explained.js';

const editPage = view('console/mailer-edit.ejs');
const listsPage = view('console/mailer-lists.ejs');

const listsAPage = 200;

/** A mailer's name, whether it gets addresses, and its own networks. */
export const editedMailer: Screen<AccountVisit> = {
  async show(visit) {
    const { t, form } = visit;
    const mailer = await mailerOf(visit);
    const stored = mailer.ipWhitelist.map(({ text }) => text).join('\n');
    const text = form?.get('ipWhitelist') ?? stored;
    const confirmed = confirmedIn(form, text, mailer.ipWhitelist);
    return editPage(t('mailers.editTitle', { name: mailer.name }), {
      ...{ mailer, mailerBase: baseOf(mailer), stored, confirmed },
      whitelist: explainWhitelist(visit, text, confirmed),
    });
  },
  async act(visit) {
    const { deps, form, actor } = visit;
    const mailer = await mailerOf(visit);
    const ipWhitelist = form?.get('ipWhitelist') ?? '';
    const settings = {
      name: form?.get('name') ?? '',
      plainAllowed: form?.has('plainAllowed') === true,
      ipWhitelist,
    };
    const { confirmWide, confirmPrivate } = confirmedIn(form, ipWhitelist, mailer.ipWhitelist);
    await changing(deps, (db) => editMailer(db, mailer, settings, { actor, confirmWide, confirmPrivate }));
    return { redirect: baseOf(mailer), done: 'saved' };
  },
};

/** Which lists a mailer may notify and download: boxes to tick, a page of them at a time. */
export const grantedToMailer: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, account, query } = visit;
    const mailer = await mailerOf(visit);
    const found = await listTitles(deps.db, account.id, {
      ...{ beyond: beyondIn(query), limit: listsAPage + 1 },
    });
    const { shown, next } = pageOf(found, listsAPage);
    return listsPage(t('mailers.listsTitle', { name: mailer.name }), {
      ...{ mailer, mailerBase: baseOf(mailer), lists: shown, next, beyond: beyondIn(query) },
      granted: new Set(await grantedLists(deps.db, mailer)),
    });
  },
  async act(visit) {
    const { deps, account, form, query, actor } = visit;
    const mailer = await mailerOf(visit);
    const beyond = beyondIn(query);
    const found = await listTitles(deps.db, account.id, { beyond, limit: listsAPage });
    // Those that the form has shown: what was added since is nobody's to take away.
    const last = Number(form?.get('last') ?? 0);
    const chosen = new Set(form?.getAll('list'));
    const lists = found.filter(({ id }) => id <= last);
    const isChosen = (id: number) => chosen.has(String(id));
    await changing(deps, (db) => changeGrants(db, mailer, lists, isChosen, { actor }));
    const isMore = found.length === listsAPage;
    const redirect = isMore ? withQuery(`${baseOf(mailer)}/lists`, { beyond }) : baseOf(mailer);
    return { redirect, done: 'saved' };
  },
};

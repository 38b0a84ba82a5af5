import { overviewOf, waitingOf } from '../core/compliance-overviews.js';
import { mailerOverviews } from '../core/mailer-overviews.js';
import { createMailer, mailersOfAccount } from '../core/mailers.js';
import { changing } from './changing.js';
import { beyondIn, pageOf } from './paging.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/mailers.ejs');
const newPage = view('console/mailer-new.ejs');

const mailersAPage = 50;

/** The mailers of an account, a row each; a user of a mailer is led to its own. */
export const mailers: Screen<AccountVisit> = {
  async show({ deps, t, user, account, query, formats, now }) {
    if (user.mailerId !== null)
      return { redirect: `/console/accounts/${account.id}/mailers/${user.mailerId}` };
    const found = await mailersOfAccount(deps.db, account.id, {
      ...{ beyond: beyondIn(query), limit: mailersAPage + 1 },
    });
    const { shown, next } = pageOf(found, mailersAPage);
    const overviews = await mailerOverviews(deps.db, shown);
    const waiting = await waitingOf(deps.db, account, { mailerIds: shown.map(({ id }) => id) }, now);
    const clockOf = (id: number) =>
      overviewOf(
        waiting.filter(({ mailerId }) => mailerId === id),
        { zone: formats.zone, now },
      );
    return page(t('mailers.title'), {
      rows: overviews.map((one) => ({ ...one, clock: clockOf(one.mailer.id) })),
      next,
    });
  },
};

/** A new mailer: its name, and whether it gets addresses; then it is granted lists, and gets its key. */
export const newMailer: Screen<AccountVisit> = {
  show: ({ t }) => Promise.resolve(newPage(t('mailers.newTitle'))),
  async act({ deps, form, account, actor }) {
    const settings = { name: form?.get('name') ?? '', plainAllowed: form?.has('plainAllowed') === true };
    const { id } = await changing(deps, (db) => createMailer(db, account.id, settings, { actor }));
    return { redirect: `/console/accounts/${account.id}/mailers/${id}/lists`, done: 'mailer-created' };
  },
};

import { createLink } from '../core/one-time-links.js';
import { canSendMail } from '../core/mails.js';
import { countTry } from '../core/sign-in-limit.js';
import { checkEmail, findUserByEmail } from '../core/users.js';
import { brake } from './brake.js';
import { changing } from './changing.js';
import { view, type AnyVisit, type Screen } from './screen.js';
import { queueLink } from './user-mails.js';

const page = view('console/forgotten.ejs');

/** What there is to do for somebody that there is takes less: the answer is the same, and comes after the same time. */
const answerMs = 500;

/** A link for a new password, by mail: to whoever signs in with that address, and nobody is told whether there is one. */
export const forgotten: Screen<AnyVisit> = {
  show: ({ t, deps, query }) =>
    Promise.resolve(
      page(t('forgotten.title'), { canSendMail: canSendMail(deps.config), isSent: query.has('sent') }),
    ),
  async act(visit) {
    const { deps, form, ip } = visit;
    brake(visit);
    // The page says whom to ask.
    if (!canSendMail(deps.config)) return { redirect: '/console/forgotten' };
    const email = checkEmail('email', form?.get('email') ?? '');
    await countTry(deps.db, 'mail', email, ip);
    await Promise.all([sendLink(visit, email), new Promise((resolve) => setTimeout(resolve, answerMs))]);
    return { redirect: '/console/forgotten?sent=yes' };
  },
};

/** Whoever has not taken up an invitation yet may do so by this link: it goes to the same mailbox. */
async function sendLink({ deps, language }: AnyVisit, email: string): Promise<void> {
  const user = await findUserByEmail(deps.db, email);
  if (user === null || user.endedAt !== null) return;
  await changing(deps, async (trx) => {
    const token = await createLink(trx, 'password', user);
    await queueLink(trx, deps, user, { purpose: 'password', token }, { language });
  });
}

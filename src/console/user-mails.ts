import { linkLifetimes } from '../core/one-time-links.js';
import { canSendMail, queueMail } from '../core/mails.js';
import type { ConsoleLanguage, User } from '../core/users.js';
import type { Db } from '../db/connect.js';
import type { Deps } from '../deps.js';
import { consoleTexts } from './texts.js';

/** What the mails tell the life of their links in. */
const units = { invitation: 24 * 3_600_000, password: 3_600_000 };

/** Where a link that is good for once leads. */
export function linkTo(deps: Deps, purpose: 'invitation' | 'password', token: string): string {
  return `${deps.baseUrl}/console/${purpose}/${token}`;
}

/**
 * Queues a mail with a link, where mails are sent at all. No name stands in it: whoever invites could have any
 * text sent to anybody.
 *
 * @param language of whoever asked, where the user has none yet.
 * @returns whether it is on its way.
 */
export function queueLink(
  trx: Db,
  deps: Deps,
  user: User,
  { purpose, token }: { purpose: 'invitation' | 'password'; token: string },
  { language, forMs = linkLifetimes[purpose] }: { language: ConsoleLanguage; forMs?: number },
): Promise<boolean> {
  const t = consoleTexts(user.language ?? language);
  const subject = t(`mails.${purpose}.subject`);
  const link = linkTo(deps, purpose, token);
  const text = t(`mails.${purpose}.text`, {
    link,
    baseUrl: deps.baseUrl,
    count: Math.round(forMs / units[purpose]),
  });
  return queue(trx, deps, { to: user.email, subject, text }, forMs);
}

/** Tells the address of before that another one has taken its place. */
export function queueEmailChanged(
  trx: Db,
  deps: Deps,
  before: User,
  language: ConsoleLanguage,
): Promise<boolean> {
  const t = consoleTexts(before.language ?? language);
  const text = t('mails.email-changed.text', { baseUrl: deps.baseUrl });
  return queue(trx, deps, { to: before.email, subject: t('mails.email-changed.subject'), text });
}

/** Tells somebody that the password was changed: whoever did not do it has to act. */
export function queuePasswordChanged(
  trx: Db,
  deps: Deps,
  user: User,
  language: ConsoleLanguage,
): Promise<boolean> {
  const t = consoleTexts(user.language ?? language);
  const text = t('mails.password-changed.text', { baseUrl: deps.baseUrl });
  return queue(trx, deps, { to: user.email, subject: t('mails.password-changed.subject'), text });
}

async function queue(
  trx: Db,
  { config, secret, log }: Deps,
  mail: { to: string; subject: string; text: string },
  forMs?: number,
): Promise<boolean> {
  if (!canSendMail(config)) return false;
  const isQueued = await queueMail(trx, secret, mail, forMs === undefined ? {} : { forMs });
  if (!isQueued) log.warn('a mail was not queued: too many wait already');
  return isQueued;
}

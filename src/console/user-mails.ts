import { emailLinkMs } from '../core/email-changes.js';
import { linkLifetimes } from '../core/one-time-links.js';
import { canSendMail, queueMail } from '../core/mails.js';
import { consoleLanguages, type ConsoleLanguage, type User } from '../core/users.js';
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
 * @param options.language of whoever asked, where the user has none yet.
 * @param options.mail where it tells more than what the link is for.
 * @returns whether it is on its way.
 */
export function queueLink(
  trx: Db,
  deps: Deps,
  user: User,
  { purpose, token }: { purpose: 'invitation' | 'password'; token: string },
  {
    language,
    forMs = linkLifetimes[purpose],
    mail = purpose,
  }: { language: ConsoleLanguage; forMs?: number; mail?: 'invitation' | 'password' | 'revived' },
): Promise<boolean> {
  const t = consoleTexts(user.language ?? language);
  const subject = t(`mails.${mail}.subject`);
  const link = linkTo(deps, purpose, token);
  const text = t(`mails.${mail}.text`, {
    link,
    baseUrl: deps.baseUrl,
    count: Math.round(forMs / units[purpose]),
  });
  return queue(trx, deps, { to: user.email, subject, text }, forMs);
}

/** The link that confirms another address, mailed there: to whomever that is, if it was mistyped. */
export function queueEmailLink(
  trx: Db,
  deps: Deps,
  user: User,
  { email, token }: { email: string; token: string },
  language: ConsoleLanguage,
): Promise<boolean> {
  const t = consoleTexts(user.language ?? language);
  const link = `${deps.baseUrl}/console/profile/email/${token}`;
  const text = t('mails.email-link.text', { link, baseUrl: deps.baseUrl });
  return queue(trx, deps, { to: email, subject: t('mails.email-link.subject'), text }, emailLinkMs);
}

/** What was done with somebody's access, each with its text: whoever knows nothing of it has to act. */
export type Notice = 'email-asked' | 'email-changed' | 'password-changed' | 'ended' | 'codes-off';

/** Tells the address that the user has, or had until now. */
export function queueNotice(
  trx: Db,
  deps: Deps,
  user: User,
  notice: Notice,
  language: ConsoleLanguage,
): Promise<boolean> {
  const t = consoleTexts(user.language ?? language);
  const text = t(`mails.${notice}.text`, { baseUrl: deps.baseUrl });
  return queue(trx, deps, { to: user.email, subject: t(`mails.${notice}.subject`), text });
}

/**
 * Tells a user that somebody else may have the password. In all languages where none is chosen: whoever types the
 * codes does not choose it.
 */
export function queueWrongCodes(trx: Db, deps: Deps, user: User): Promise<boolean> {
  const texts = (user.language === null ? consoleLanguages : [user.language]).map(consoleTexts);
  const subject = texts.map((t) => t('mails.wrong-codes.subject')).join(' / ');
  const text = texts.map((t) => t('mails.wrong-codes.text', { baseUrl: deps.baseUrl })).join('\n\n---\n\n');
  return queue(trx, deps, { to: user.email, subject, text });
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

import { createLink, linkLifetimes } from '../core/one-time-links.js';
import { takeCodesOff } from '../core/one-time-codes.js';
import { countTry } from '../core/sign-in-limit.js';
import { endUser, reviveUser } from '../core/user-ends.js';
import { noteOfUser, type User } from '../core/users.js';
import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { changing } from './changing.js';
import { ofAccount, ofInstallation, type People } from './people.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type Screen, type UserVisit } from './screen.js';
import { queueLink, queueNotice } from './user-mails.js';
import { linkShown } from './users.js';

const page = view('console/user-change.ejs');

/** What is done with somebody: each a page of its own, which asks for the password. */
type Change = 'link' | 'codes-off' | 'end' | 'revive';

/**
 * A new link, for somebody whose invitation has run out, or who has forgotten the password where no mail is sent.
 * Whoever hands it on could use it: it is for those alone who may end the user as well, and the history says so.
 */
export const userLink = linkScreen(ofAccount);
export const adminLink = linkScreen(ofInstallation);

/** For somebody whose telephone is lost: those alone may do so who may end and revive the user as well. */
export const userCodesOff = codesOffScreen(ofAccount);
export const adminCodesOff = codesOffScreen(ofInstallation);

export const userEnd = endScreen(ofAccount);
export const adminEnd = endScreen(ofInstallation);

/** By an invitation: the password of before is gone. */
export const userRevive = reviveScreen(ofAccount);
export const adminRevive = reviveScreen(ofInstallation);

function changeScreen<V extends UserVisit>(
  people: People<V>,
  change: Change,
  act: NonNullable<Screen<V>['act']>,
): Screen<V> {
  return {
    async show(visit) {
      const whom = await people.named(visit);
      const purpose = whom.hasPassword ? 'password' : 'invitation';
      const text = change === 'link' ? `${change}.${purpose}.lead` : `${change}.lead`;
      return page(visit.t(`users.${change}.title`), { change, base: people.base(visit), whom, text });
    },
    act,
  };
}

function linkScreen<V extends UserVisit>(people: People<V>): Screen<V> {
  return changeScreen(people, 'link', async (visit) => {
    const { deps } = visit;
    const whom = await people.named(visit);
    await checkReEnteredPassword(visit);
    if (whom.endedAt !== null) throw new Refused('is-ended', 'This user was ended: revive it first.');
    await countTry(deps.db, 'invitation', visit.user.email, visit.ip);
    return linkShown(visit, people, whom, await changing(deps, (trx) => newLink(visit, trx, whom)));
  });
}

function codesOffScreen<V extends UserVisit>(people: People<V>): Screen<V> {
  return changeScreen(people, 'codes-off', async (visit) => {
    const { deps, actor, language } = visit;
    const whom = await people.named(visit);
    await checkReEnteredPassword(visit);
    await changing(deps, async (trx) => {
      const changed = await takeCodesOff(trx, whom, { actor, by: visit.user });
      await queueNotice(trx, deps, changed, 'codes-off', language);
    });
    return { redirect: people.base(visit), done: 'user-codes-off' };
  });
}

function endScreen<V extends UserVisit>(people: People<V>): Screen<V> {
  return changeScreen(people, 'end', async (visit) => {
    const { deps, actor, language } = visit;
    const whom = await people.named(visit);
    await checkReEnteredPassword(visit);
    await changing(deps, async (trx) => {
      const isNew = await endUser(trx, whom, { actor, by: visit.user });
      if (isNew) await queueNotice(trx, deps, whom, 'ended', language);
    });
    return { redirect: people.base(visit), done: 'user-ended' };
  });
}

function reviveScreen<V extends UserVisit>(people: People<V>): Screen<V> {
  return changeScreen(people, 'revive', async (visit) => {
    const { deps, actor } = visit;
    const whom = await people.named(visit);
    await checkReEnteredPassword(visit);
    const { revived, link } = await changing(deps, async (trx) => {
      const user = await reviveUser(trx, whom, { actor });
      return { revived: user, link: await newLink(visit, trx, user, 'revived') };
    });
    return linkShown(visit, people, revived, link);
  });
}

/** @param more what the mail tells beside the link. */
async function newLink({ deps, language, actor }: UserVisit, trx: Db, whom: User, more?: 'revived') {
  const purpose = whom.hasPassword ? ('password' as const) : ('invitation' as const);
  const kept = whom.hasPassword ? 'handed-on' : 'invitation';
  const forMs = linkLifetimes[kept];
  const token = await createLink(trx, kept, whom);
  await noteOfUser(trx, whom, actor, 'user.link-made', { purpose });
  const options = { language, forMs, mail: more ?? purpose };
  const isSent = await queueLink(trx, deps, whom, { purpose, token }, options);
  return { purpose, token, isSent };
}

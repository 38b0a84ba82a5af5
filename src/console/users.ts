import { mailersOfAccount } from '../core/mailers.js';
import { createLink, usersWithLinks } from '../core/one-time-links.js';
import { countTry } from '../core/sign-in-limit.js';
import { mailerFor } from '../core/user-rights.js';
import { createUser, type User, type UserPlace } from '../core/users.js';
import { Invalid } from '../errors.js';
import { changing } from './changing.js';
import { idOf } from './door.js';
import { ofAccount, ofInstallation, type People } from './people.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type AccountVisit, type Screen, type UserVisit } from './screen.js';
import { linkTo, queueLink } from './user-mails.js';

const page = view('console/users.ejs');
const newPage = view('console/user-new.ejs');
const linkPage = view('console/user-link.ejs');

/** Who signs in for an account: owners, and the users of its mailers. */
export const users = listOf(ofAccount, async ({ deps, account }) => {
  const mailers = await mailersOfAccount(deps.db, account.id);
  return new Map(mailers.map(({ id, name }) => [id, name]));
});

/** Who runs the installation. */
export const admins = listOf(ofInstallation, () => Promise.resolve(new Map()));

function listOf<V extends UserVisit>(
  people: People<V>,
  mailerNames: (visit: V) => Promise<ReadonlyMap<number, string>>,
): Screen<V> {
  return {
    async show(visit) {
      const { deps, t } = visit;
      const all = await people.all(visit);
      const waiting = all.filter((one) => !one.hasPassword && one.endedAt === null);
      const linked = await usersWithLinks(deps.db, waiting);
      const names = await mailerNames(visit);
      const rows = all.map((one) => ({
        user: one,
        state: stateOf(one, linked),
        mailerName: one.mailerId === null ? null : (names.get(one.mailerId) ?? ''),
      }));
      return page(t(`${people.key}.title`), { key: people.key, base: people.base(visit), rows });
    },
  };
}

export type UserState = 'active' | 'invited' | 'expired' | 'ended';

function stateOf({ id, endedAt, hasPassword }: User, linked: ReadonlySet<number>): UserState {
  if (endedAt !== null) return 'ended';
  if (hasPassword) return 'active';
  return linked.has(id) ? 'invited' : 'expired';
}

/** Invites an owner, or somebody of a mailer, by a link. */
export const newUser: Screen<AccountVisit> = {
  async show({ deps, t, account }) {
    const mailers = await mailersOfAccount(deps.db, account.id);
    const choices = [
      ['owner', t('users.asOwner')],
      ...mailers.map(({ id, name }) => [`mailer-${id}`, t('users.asMailer', { name })]),
    ];
    return newPage(t('users.newTitle'), {
      key: 'users',
      base: ofAccount.base({ account } as AccountVisit),
      choices,
    });
  },
  act: (visit) => invite(visit, ofAccount, () => placeOf(visit)),
};

/** The same for one more admin. */
export const newAdmin: Screen<UserVisit> = {
  show: (visit) =>
    Promise.resolve(
      newPage(visit.t('admins.newTitle'), { key: 'admins', base: ofInstallation.base(visit), choices: null }),
    ),
  act: (visit) => invite(visit, ofInstallation, () => Promise.resolve({ role: 'admin' })),
};

async function placeOf({ deps, user, account, form }: AccountVisit): Promise<UserPlace> {
  const [role, id] = (form?.get('role') ?? '').split('-');
  if (role === 'owner' && id === undefined) return { role, account };
  if (role !== 'mailer') throw new Invalid('role', 'unknown', 'role must be one of those offered');
  return { role, mailer: await mailerFor(deps.db, user, account, idOf(id)) };
}

async function invite<V extends UserVisit>(visit: V, people: People<V>, place: () => Promise<UserPlace>) {
  const { deps, form, actor, language, user: by, ip } = visit;
  await checkReEnteredPassword(visit);
  const chosen = await place();
  const settings = { email: form?.get('email') ?? '', name: form?.get('name') ?? '' };
  await countTry(deps.db, 'invitation', by.email, ip);
  const { invited, token, isSent } = await changing(deps, async (trx) => {
    const made = await createUser(trx, chosen, settings, { actor });
    const link = await createLink(trx, 'invitation', made);
    const sent = await queueLink(trx, deps, made, { purpose: 'invitation', token: link }, { language });
    return { invited: made, token: link, isSent: sent };
  });
  return linkShown(visit, people, invited, { purpose: 'invitation', token, isSent });
}

/** A link that nobody can be shown again. */
export function linkShown<V extends UserVisit>(
  visit: V,
  people: People<V>,
  to: User,
  { purpose, token, isSent }: { purpose: 'invitation' | 'password'; token: string; isSent: boolean },
) {
  return linkPage(visit.t(`users.link.${purpose}.title`), {
    purpose,
    base: people.base(visit),
    to,
    link: linkTo(visit.deps, purpose, token),
    isSent,
  });
}

import { rotateCredential } from '../core/credential-rotation.js';
import { endCredential, getCredential, hasEnded, type Credential } from '../core/credentials.js';
import { NotFound, Refused } from '../errors.js';
import { changing } from './changing.js';
import { keyShown } from './credential-new.js';
import { credentialsShown } from './credentials.js';
import { idOf } from './door.js';
import { overlapChoices, overlapIn, usualOverlap } from './overlaps.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type AccountVisit, type Screen } from './screen.js';
import { explainNetworks } from './whitelist-explained.js';

const page = view('console/credential.ejs');
const rotatePage = view('console/credential-rotate.ejs');
const endPage = view('console/credential-end.ejs');

/** All about one API key. */
export const credential: Screen<AccountVisit> = {
  async show(visit) {
    const one = await credentialOf(visit);
    const [shown] = await credentialsShown(visit, [one]);
    return page(one.name, {
      ...{ shown, credential: one, credentialBase: baseOf(one), isOver: hasEnded(one, visit.now) },
      networks: explainNetworks(visit, one.networks),
    });
  },
};

/** A new key in the place of one that programs hold: the same in all else. */
export const rotatedCredential: Screen<AccountVisit> = {
  async show(visit) {
    const one = await standing(visit);
    return rotatePage(visit.t('credentials.rotateTitle', { name: one.name }), {
      ...{ credential: one, credentialBase: baseOf(one) },
      ...{ overlaps: overlapChoices(visit), usualOverlap },
    });
  },
  async act(visit) {
    const { deps, form, actor, now } = visit;
    const one = await standing(visit);
    const overlapMs = overlapIn(form);
    await checkReEnteredPassword(visit);
    const made = await changing(deps, (db) => rotateCredential(db, one, { actor, overlapMs }));
    return keyShown(visit, made, Math.min(now + overlapMs, one.expiresAt ?? Infinity));
  },
};

/** Ends a key, at once or after a while. */
export const endedCredential: Screen<AccountVisit> = {
  async show(visit) {
    const one = await standing(visit);
    return endPage(visit.t('credentials.endTitle', { name: one.name }), {
      ...{ credential: one, credentialBase: baseOf(one) },
      overlaps: overlapChoices(visit),
    });
  },
  async act(visit) {
    const { deps, form, actor } = visit;
    const one = await standing(visit);
    const afterMs = overlapIn(form);
    await checkReEnteredPassword(visit);
    await changing(deps, (db) => endCredential(db, one, { actor, afterMs }));
    return { redirect: baseOf(one), done: afterMs === 0 ? 'credential-ended' : 'credential-ends' };
  },
};

/** @throws NotFound as well for another account's. */
async function credentialOf({ deps, account, params }: AccountVisit): Promise<Credential> {
  const one = await getCredential(deps.db, idOf(params.credential));
  if (one.accountId !== account.id) throw new NotFound('There is no such credential.');
  return one;
}

/** @throws Refused for one that has ended. */
async function standing(visit: AccountVisit): Promise<Credential> {
  const one = await credentialOf(visit);
  if (hasEnded(one, visit.now)) throw new Refused('ended', 'This credential has ended already.');
  return one;
}

function baseOf({ accountId, id }: Credential): string {
  return `/console/accounts/${accountId}/credentials/${id}`;
}

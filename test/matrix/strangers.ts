import { revokeAccessKeys } from '../../src/core/access-keys.js';
import { endCredential, rights, type NewCredential } from '../../src/core/credentials.js';
import { revokeList } from '../../src/core/mailers.js';
import { signInAs } from '../support/console.js';
import { makeMailer } from '../support/service.js';
import { credentialFor, surfaces, type Place } from './place.js';
import type { KeyRow } from './rows.js';

export interface Stranger {
  readonly who: string;
  readonly key: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Where strangers are at home. */
export interface Elsewhere {
  /** Another list of the account. */
  readonly list: Place;
  /** A list of another account. */
  readonly account: Place;
}

/** Everybody who has something, and not what a row wants. */
export async function strangersAt(
  place: Place,
  row: KeyRow,
  accountId: number,
  elsewhere: Elsewhere,
): Promise<Stranger[]> {
  const { service, list, accessKey } = place;
  const keys = new Map<string, string | null>([
    ['nobody', null],
    ['a made-up key', `so_${'A'.repeat(43)}`],
  ]);
  for (const surface of surfaces.filter((one) => one !== row.may)) {
    keys.set(`a key for ${surface}`, (await credentialFor(place, surface, accountId)).key);
  }
  if (row.may === 'mailer') {
    const { db } = service.deps;
    const ours = { ...service, accountId };
    const [withdrawn, revoked] = [await makeMailer(ours, list), await makeMailer(ours, list)];
    await revokeList(db, withdrawn.mailer, list, { actor: 'test' });
    await revokeAccessKeys(db, revoked.mailer, { actor: 'test' });
    keys.set('a mailer that the list was taken from', withdrawn.key);
    keys.set('a mailer whose key was revoked', revoked.key);
    keys.set('a mailer without the list', elsewhere.list.accessKey);
    keys.set('a mailer of another account', elsewhere.account.accessKey);
  } else {
    keys.set("a mailer's access key", accessKey);
    for (const [who, key] of await credentialsAt(place, row, accountId, elsewhere)) keys.set(who, key);
  }
  const strangers: Stranger[] = [...keys].map(([who, key]) => ({ who, key }));
  for (const who of ['admin', 'owner'] as const) {
    const { cookie } = await signInAs(service, who);
    strangers.push({ who: `the ${who} of the console`, key: null, headers: { Cookie: cookie } });
  }
  return strangers;
}

async function credentialsAt(
  place: Place,
  { may, right, namesNoList }: KeyRow,
  accountId: number,
  elsewhere: Elsewhere,
): Promise<[string, string][]> {
  if (may === 'mailer') return [];
  const { db } = place.service.deps;
  const make = (more: Partial<NewCredential> = {}, of = accountId) => credentialFor(place, may, of, more);
  const ended = await make();
  await endCredential(db, ended.credential, { actor: 'test' });
  const expired = await make();
  await db('credentials')
    .where({ id: expired.credential.id })
    .update({ expires_at: Date.now() - 1 });
  const without = rights.filter((one) => one !== right);
  const found: [string, string][] = [
    ['an ended key', ended.key],
    ['a key that has run out', expired.key],
    ['a key of elsewhere', (await make({ ipWhitelist: '203.0.113.0/24' })).key],
    ['a key without the right', (await make({ rights: without })).key],
  ];
  if (namesNoList === true) return found;
  return [
    ...found,
    ["another account's key", (await make({}, elsewhere.account.list.accountId)).key],
    ['a key for another list', (await make({ lists: [elsewhere.list.list] })).key],
  ];
}

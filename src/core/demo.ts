import type { Db } from '../db/connect.js';
import { rotateAccessKey } from './access-keys.js';
import { createAccount } from './accounts.js';
import { createList, type List } from './lists.js';
import { createMailer, grantList } from './mailers.js';

export interface Demo {
  readonly list: List;
  readonly accessKey: string;
}

/**
 * An account, a list and a mailer to try everything with at once, from this machine.
 *
 * @returns null where there is an account already: then nothing is made.
 */
export function createDemo(db: Db): Promise<Demo | null> {
  return db.transaction(async (trx) => {
    // Of several processes that start on an empty database at once, one comes first.
    await trx('feed').where({ id: 1 }).forUpdate().first('id');
    const standing: unknown = await trx('accounts').first('id');
    return standing === undefined ? makeDemo(trx) : null;
  });
}

async function makeDemo(db: Db): Promise<Demo> {
  const actor = 'demo';
  const account = await createAccount(db, 'Demo account', { actor });
  const list = await createList(
    db,
    account.id,
    {
      internalName: 'demo',
      name: 'The Demo Gazette',
      ipWhitelist: '127.0.0.1, ::1',
      operatorName: 'Demo Gazette Ltd',
      postalAddress: '1 Example Street\nExample Town EX1 2MP',
      contact: 'privacy@example.com',
      privacyUrl: 'https://example.com/privacy',
    },
    { actor, confirmPrivate: true },
  );
  const mailer = await createMailer(db, account.id, { name: 'Demo mailer', plainAllowed: true }, { actor });
  await grantList(db, mailer, list, { actor });
  return { list, accessKey: await rotateAccessKey(db, mailer, { actor, overlapMs: 0 }) };
}

import { forgiveCode, countCode, isToBeTold } from '../core/wrong-codes.js';
import { noteOfUser, type User } from '../core/users.js';
import { Invalid } from '../errors.js';
import { changing } from './changing.js';
import type { AnyVisit } from './screen.js';
import { queueWrongCodes } from './user-mails.js';

/**
 * Lets something be done with a one-time code, or a recovery code, of somebody who has given the password: within
 * the limits of both. Where many of them are wrong, the user is told.
 *
 * @param work takes the code (core/one-time-codes.ts).
 * @throws TooMany; and what `work` throws.
 */
export async function withCode<T>(visit: AnyVisit, user: User, work: () => Promise<T>): Promise<T> {
  const { deps, ip } = visit;
  await countCode(deps.db, user, ip);
  let done: T;
  try {
    done = await work();
  } catch (error) {
    if (error instanceof Invalid && error.field === 'code') await tellOfWrongCodes(visit, user);
    throw error;
  }
  await forgiveCode(deps.db, user, ip);
  return done;
}

/** By mail, where any is sent; in the history as well, where others see it. */
async function tellOfWrongCodes({ deps }: AnyVisit, user: User): Promise<void> {
  await changing(deps, async (trx) => {
    if (!(await isToBeTold(trx, user))) return;
    await noteOfUser(trx, user, 'system', 'user.wrong-codes');
    await queueWrongCodes(trx, deps, user);
  });
}

import { retrying, type Db } from '../db/connect.js';
import { TooMany } from '../errors.js';
import { countTry, forgiveTry, retryMs, subjectOf } from './sign-in-limit.js';
import type { User } from './users.js';

/**
 * Of one user and day (UTC), one-time codes and recovery codes together, wherever they were typed. Three codes of a
 * million count at a time: with twenty tries a day it takes some forty years to find one.
 */
export const mostWrongADay = 20;

/** From so many on, it may be somebody else who has found the password. */
const toldFrom = 5;

const dayMs = 24 * 3_600_000;

type Whom = Pick<User, 'id'>;

/**
 * Counts a code before it is looked at, by both of its limits, in the database: a quarter of an hour's
 * (sign-in-limit.ts), and the day's, which a right one in between does not begin anew. Only whoever has given the
 * password gets as far as this.
 *
 * @throws TooMany
 */
export async function countCode(db: Db, user: User, ip: string | null, now = Date.now()): Promise<void> {
  const row = { ...wrongOn(user, now), tries: 1 };
  await retrying(db, retryMs, () =>
    db('sign_in_tries')
      .insert(row)
      .onConflict(['subject', 'since'])
      .merge({ tries: db.raw('sign_in_tries.tries + 1') }),
  );
  try {
    if ((await wrongToday(db, user, now)) > mostWrongADay) {
      throw new TooMany(
        'too-many-codes-today',
        'There were too many wrong codes today. Wait until tomorrow.',
      );
    }
    await countTry(db, 'code', user.email, ip, now);
  } catch (error) {
    // What is refused does not count.
    await takeBack(db, user, now);
    throw error;
  }
}

/** The code was right. Those that were wrong today stay counted: somebody else may have typed them. */
export async function forgiveCode(db: Db, user: User, ip: string | null, now = Date.now()): Promise<void> {
  await takeBack(db, user, now);
  await forgiveTry(db, 'code', user.email, ip, now);
}

/**
 * Whether the user is to be told of wrong codes now: of several that are found wrong at once, one says so, and once
 * a day. Part of the transaction in which the user is told.
 */
export async function isToBeTold(trx: Db, user: Whom, now = Date.now()): Promise<boolean> {
  if ((await wrongToday(trx, user, now)) < toldFrom) return false;
  const told = { subject: subjectOf(`told of codes\n${user.id}`), since: endOfDay(now) };
  await trx('sign_in_tries')
    .insert({ ...told, tries: 0 })
    .onConflict(['subject', 'since'])
    .merge({ tries: trx.raw('sign_in_tries.tries') });
  const first = await trx('sign_in_tries')
    .where({ ...told, tries: 0 })
    .update({ tries: 1 });
  return first > 0;
}

/** For whoever is let in by somebody else: the codes that were tried are of no use any more. */
export async function forgetWrongCodes(trx: Db, user: Whom, now = Date.now()): Promise<void> {
  await trx('sign_in_tries').where(wrongOn(user, now)).delete();
}

async function wrongToday(db: Db, user: Whom, now: number): Promise<number> {
  const row = await db<{ tries: number }>('sign_in_tries').where(wrongOn(user, now)).first('tries');
  return row?.tries ?? 0;
}

async function takeBack(db: Db, user: Whom, now: number): Promise<void> {
  await retrying(db, retryMs, () =>
    db('sign_in_tries').where(wrongOn(user, now)).where('tries', '>', 0).decrement('tries', 1),
  );
}

/** By the id: another address is no new beginning. */
function wrongOn({ id }: Whom, now: number): { subject: Buffer; since: number } {
  return { subject: subjectOf(`wrong codes\n${id}`), since: endOfDay(now) };
}

/** Where all other rows have the beginning of their window: so that they are swept soon, and these not before time. */
function endOfDay(now: number): number {
  return now - (now % dayMs) + dayMs;
}

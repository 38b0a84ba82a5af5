import { isPassword } from '../core/passwords.js';
import { countTry, forgiveTry } from '../core/sign-in-limit.js';
import { passwordHashOf } from '../core/user-passwords.js';
import { Invalid } from '../errors.js';
import type { UserVisit } from './screen.js';

/**
 * Holds the password that a form asks for once more (field `password`) against the user's own: for what cannot
 * be undone, and what an unlocked screen must not be enough for.
 *
 * @param field where a form has another one of that name.
 * @throws Invalid `missing` or `wrong`, for the field `password`.
 * @throws TooMany with limits of its own: nobody who is not signed in counts to them.
 */
export async function checkReEnteredPassword(
  { deps, user, actor, form, ip }: UserVisit,
  field = 'password',
): Promise<void> {
  const password = form?.get(field) ?? '';
  if (password === '') throw new Invalid(field, 'missing', `${field} must not be empty`);
  await countTry(deps.db, 'own-password', actor, ip);
  const isRight = await isPassword(await passwordHashOf(deps.db, user.id), password);
  if (!isRight) throw new Invalid(field, 'wrong', `${field} is not yours`);
  await forgiveTry(deps.db, 'own-password', actor, ip);
}

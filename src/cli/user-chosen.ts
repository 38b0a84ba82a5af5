import type { Command } from 'commander';
import { findUserByEmail, getUser, type User } from '../core/users.js';
import type { Db } from '../db/connect.js';
import { NotFound } from '../errors.js';

const userArgument = 'the id of the user, or the address that it signs in with';

/** A command about one user. @param more what its examples name behind the user. */
export function onUser(user: Command, name: string, summary: string, more = ''): Command {
  return user
    .command(name)
    .summary(summary)
    .argument('<user>', userArgument)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nExamples:\n  $ signoff user ${name} 3${more}\n  $ signoff user ${name} olive@example.com${more}`,
    );
}

/** @throws NotFound */
export async function chosenUser(db: Db, text: string): Promise<User> {
  if (/^[1-9]\d{0,8}$/.test(text)) return getUser(db, Number(text));
  const found = await findUserByEmail(db, text);
  if (found === null) throw new NotFound('There is no such user (signoff user list).');
  return found;
}

import type { Command } from 'commander';
import { takeCodesOff } from '../core/one-time-codes.js';
import { signOutEverywhere } from '../core/user-passwords.js';
import { editUser } from '../core/users.js';
import { print, printJson } from './output.js';
import { actor, changing, withSession } from './session.js';
import { chosenUser, onUser } from './user-chosen.js';
import { shown } from './user-shown.js';

/** What somebody signs in with, changed by whoever runs the installation. */

export function addEmail(user: Command): void {
  onUser(user, 'email', 'give somebody another address to sign in with', ' olive@example.org')
    .argument('<address>', 'what it signs in with from now on')
    .description(
      'Changes the address that a user signs in with, at once: no mail asks there first, and none is sent. The ' +
        'user is signed out everywhere, and links that were sent do not open any more. Be sure who asks.',
    )
    .action((text: string, address: string, options: { json?: true }) =>
      withSession(async (session) => {
        const changed = await changing(session, async (db) => {
          const one = await chosenUser(db, text);
          const edited = await editUser(db, one, { email: address }, { actor });
          if (edited.email !== one.email) await signOutEverywhere(db, one);
          return edited;
        });
        if (options.json) printJson(shown(changed));
        else print(`User ${changed.id}, ${changed.name}, signs in with ${changed.email} from now on.`);
      }),
    );
}

export function addCodesOff(user: Command): void {
  onUser(user, 'codes-off', 'ask somebody for one-time codes no more')
    .description(
      'Switches the one-time codes of a user off, for whoever has lost both the telephone and the recovery ' +
        'codes; it is signed out everywhere. Be sure who asks.',
    )
    .action((text: string, options: { json?: true }) =>
      withSession(async (session) => {
        const changed = await changing(session, async (db) =>
          takeCodesOff(db, await chosenUser(db, text), { actor }),
        );
        if (options.json) printJson(shown(changed));
        else print(`User ${changed.id}, ${changed.name}, is asked for no codes any more.`);
      }),
    );
}

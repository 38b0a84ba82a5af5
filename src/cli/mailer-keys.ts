import type { Command } from 'commander';
import { revokeAccessKeys, rotateAccessKey } from '../core/access-keys.js';
import { chosenMailer, duration, mailerArgument } from './arguments.js';
import { counted, print, printJson, timeOf } from './output.js';
import { actor, changing, withSession } from './session.js';

const oneDay = 24 * 60 * 60_000;

export function addKeyCommands(mailer: Command): void {
  mailer
    .command('rotate-key')
    .summary('give a mailer a new access key')
    .description(
      'Gives a mailer a new access key, or its first, and prints it: this once, since only its hash is kept. ' +
        'Older keys go on for a while, so that nothing stops while the mailer changes over.',
    )
    .argument('<mailer>', mailerArgument)
    .option('--overlap <time>', 'how long older keys go on: 0, or such as 30m, 24h, 7d', duration, oneDay)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff mailer rotate-key "Mail House"
  $ signoff mailer rotate-key "Mail House" --overlap 7d
  $ signoff mailer rotate-key "Mail House" --overlap 0      the old key has leaked`,
    )
    .action((text: string, options: { overlap: number; json?: true }) =>
      withSession(async (session) => {
        const { id, name, key } = await changing(session, async (db) => {
          const chosen = await chosenMailer(db, text);
          return { ...chosen, key: await rotateAccessKey(db, chosen, { actor, overlapMs: options.overlap }) };
        });
        const olderUntil = timeOf(Date.now() + options.overlap);
        if (options.json) return printJson({ mailer_id: id, access_key: key, older_keys_until: olderUntil });
        print(`The new access key of mailer ${id}, ${name}, shown only this once:\n\n  ${key}\n`);
        print(options.overlap === 0 ? 'Older keys have ended.' : `Older keys go on until ${olderUntil}.`);
      }),
    );

  mailer
    .command('revoke-keys')
    .summary('end all access keys of a mailer')
    .description('Ends all access keys of a mailer at once: it can download nothing until it gets a new one.')
    .argument('<mailer>', mailerArgument)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff mailer revoke-keys "Mail House"')
    .action((text: string, options: { json?: true }) =>
      withSession(async (session) => {
        const { id, name, ended } = await changing(session, async (db) => {
          const chosen = await chosenMailer(db, text);
          return { ...chosen, ended: await revokeAccessKeys(db, chosen, { actor }) };
        });
        if (options.json) printJson({ mailer_id: id, revoked: ended });
        else print(`Mailer ${id}, ${name}: ${counted(ended, 'access key', 'access keys')} ended.`);
      }),
    );
}

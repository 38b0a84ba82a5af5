import { readFileSync } from 'node:fs';
import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { addAccountCommands } from './cli/account.js';
import { addAuditCommand } from './cli/audit.js';
import { addBackupCommand } from './cli/backup.js';
import { addBlocksCommands } from './cli/blocks.js';
import { addBurstsCommands } from './cli/bursts.js';
import { addCredentialCommands } from './cli/credential.js';
import { addExportCommand } from './cli/export.js';
import { addImportCommand } from './cli/import.js';
import { addLinksCommands } from './cli/links.js';
import { addListCommands } from './cli/list.js';
import { addMailerCommands } from './cli/mailer.js';
import { addMigrateCommand } from './cli/migrate.js';
import { addOptOutCommands } from './cli/opt-out.js';
import { addPersonCommands } from './cli/person.js';
import { sentenceOf } from './cli/problems.js';
import { addRestoreCommand } from './cli/restore.js';
import { projectPath } from './paths.js';

// What is made here holds addresses, keys or the secret: nobody else's business on a shared machine.
process.umask(0o077);

/** The `signoff` command. It ends with 0, with 1 where what was asked for failed, with 2 for wrong usage. */
const program = new Command('signoff')
  .description('Runs the lists of a Signoff installation: who may mail them, and who has opted out.')
  .version(versionOfPackage(), '-V, --version', 'print the version')
  .helpOption('-h, --help', 'explain the command')
  .helpCommand('help [command]', 'explain a command')
  .configureHelp({ showGlobalOptions: false })
  .showHelpAfterError('(add --help for an explanation)')
  .exitOverride();

addMigrateCommand(program);
addAccountCommands(program);
addListCommands(program);
addMailerCommands(program);
addOptOutCommands(program);
addPersonCommands(program);
addCredentialCommands(program);
addLinksCommands(program);
addImportCommand(program);
addExportCommand(program);
addBlocksCommands(program);
addBurstsCommands(program);
addAuditCommand(program);
addBackupCommand(program);
addRestoreCommand(program);

program.addHelpText(
  'after',
  `
Getting started:
  $ signoff migrate
  $ signoff account create --name "Acme"
  $ signoff list create --name "Acme News" --ip-whitelist 203.0.113.7
  $ signoff list links "Acme News"            the links to put into mails and pages
  $ signoff mailer create --name "Mail House"
  $ signoff mailer grant "Mail House" "Acme News"
  $ signoff mailer rotate-key "Mail House"    the key it downloads the list with
  $ signoff opt-out add "Acme News" ann@example.com

Each command explains itself: signoff list create --help
The database is the service's: DATABASE_URL of the environment, or of .env in the working folder.
Commands that print data take --json. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`,
);

// A reader that has seen enough (signoff … | head) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has said what is wrong already, and has one code for all of it.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(`${sentenceOf(error)}\n`);
    process.exitCode = 1;
  }
}

function versionOfPackage(): string {
  return (JSON.parse(readFileSync(projectPath('package.json'), 'utf8')) as { version: string }).version;
}

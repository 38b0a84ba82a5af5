import { readFileSync } from 'node:fs';
import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { projectPath } from '../paths.js';
import { sentenceOf } from './problems.js';

type AddTo = (program: Command) => void | Promise<void>;

/** Only the command that is called is loaded, since all of them take longer to load than most take to run. */
const commands: Readonly<Record<string, () => Promise<AddTo>>> = {
  migrate: async () => (await import('./migrate.js')).addMigrateCommand,
  account: async () => (await import('./account.js')).addAccountCommands,
  list: async () => (await import('./list.js')).addListCommands,
  mailer: async () => (await import('./mailer.js')).addMailerCommands,
  'opt-out': async () => (await import('./opt-out.js')).addOptOutCommands,
  person: async () => (await import('./person.js')).addPersonCommands,
  credential: async () => (await import('./credential.js')).addCredentialCommands,
  user: async () => (await import('./user.js')).addUserCommands,
  links: async () => (await import('./links.js')).addLinksCommands,
  import: async () => (await import('./import.js')).addImportCommand,
  'import-job': async () => (await import('./import-job.js')).addImportJobCommands,
  removals: async () => (await import('./removals.js')).addRemovalsCommands,
  export: async () => (await import('./export.js')).addExportCommand,
  blocks: async () => (await import('./blocks.js')).addBlocksCommands,
  bursts: async () => (await import('./bursts.js')).addBurstsCommands,
  audit: async () => (await import('./audit.js')).addAuditCommand,
  backup: async () => (await import('./backup.js')).addBackupCommand,
  restore: async () => (await import('./restore.js')).addRestoreCommand,
};

const gettingStarted = `
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
Commands that print data take --json. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`;

/**
 * The `signoff` command, as process.argv has it. Its exit code is 0, 1 where what was asked for failed, 2 for
 * wrong usage.
 */
export async function run(): Promise<void> {
  // What is made here holds addresses, keys or the secret: nobody else's business on a shared machine.
  process.umask(0o077);
  const program = new Command('signoff')
    .description('Runs the lists of a Signoff installation: who may mail them, and who has opted out.')
    .version(versionOfPackage(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain the command')
    .helpCommand('help [command]', 'explain a command')
    .configureHelp({ showGlobalOptions: false })
    .showHelpAfterError('(add --help for an explanation)')
    .exitOverride();

  const all = Object.entries(commands);
  const called = all.filter(([name]) => name === process.argv[2]);
  for (const [, load] of called.length > 0 ? called : all) await (await load())(program);
  program.addHelpText('after', gettingStarted);
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
}

function versionOfPackage(): string {
  return (JSON.parse(readFileSync(projectPath('package.json'), 'utf8')) as { version: string }).version;
}

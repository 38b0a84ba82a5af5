import type { Command } from 'commander';
import { refuseHalfRestored } from '../core/half-restored.js';
import { migrate } from '../db/migrate.js';
import { counted, print, printJson } from './output.js';
import { withNewDatabase } from './session.js';

export function addMigrateCommand(program: Command): void {
  program
    .command('migrate')
    .summary('make or update the tables of the database')
    .description(
      'Makes the tables of the database, or brings them up to date. The service does the same whenever it ' +
        'starts. It can be interrupted and run again, and does nothing where there is nothing to do.',
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff migrate
  $ DATABASE_URL=mysql://signoff:secret@127.0.0.1/signoff signoff migrate`,
    )
    .action((options: { json?: true }) =>
      withNewDatabase(async ({ db }) => {
        await refuseHalfRestored(db);
        const migrations = await migrate(db);
        if (options.json) printJson({ migrations });
        else if (migrations.length === 0) print('The database is up to date.');
        else print(`${counted(migrations.length, 'migration', 'migrations')}: ${migrations.join(', ')}`);
      }),
    );
}

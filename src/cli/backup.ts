import { once } from 'node:events';
import process from 'node:process';
import type { Command } from 'commander';
import { backUp } from '../core/backup.js';
import { findFingerprint } from '../core/secret.js';
import { Refused } from '../errors.js';
import { knownSecret } from './links-session.js';
import { counted, facts, print, printJson, warn } from './output.js';
import { createProgress } from './progress.js';
import { reading, withSession, type Session } from './session.js';
import { writeWhole } from './whole-file.js';

interface BackupCommandOptions {
  readonly withoutSecret?: true;
  readonly force?: true;
  readonly json?: true;
}

/** Its slices take milliseconds; to open the snapshot of a busy server may take longer than a request may. */
const timeoutMs = 60_000;

export function addBackupCommand(program: Command): void {
  program
    .command('backup')
    .summary('write all that the database holds into one file')
    .description(
      'Writes the whole database, as it is when the command begins, into one file, while the service goes on. ' +
        'signoff restore puts it into an empty database, of either kind. The file holds addresses of people and ' +
        "the installation's secret: keep it as safe as the database, and encrypt it before it leaves the machine. " +
        'It appears when it is whole.',
    )
    .argument('<file>', 'the file to write; - for standard output')
    .option(
      '--without-secret',
      'leave the secret out: then it has to be kept elsewhere, or no link opens again',
    )
    .option('--force', 'replace a file of that name')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff backup /var/backups/signoff-$(date +%F).backup
  $ signoff backup - | age -r age1… > signoff.backup.age`,
    )
    .action((file: string, options: BackupCommandOptions, command: Command) => {
      if (file === '-' && options.json) {
        command.error('error: --json goes with a file: standard output is the backup');
      }
      return withSession((session) => backUpInto(file, session, program.version() ?? '', options), {
        timeoutMs,
      });
    });
}

async function backUpInto(
  file: string,
  session: Session,
  version: string,
  { withoutSecret, force, json }: BackupCommandOptions,
): Promise<void> {
  if (file === '-' && process.stdout.isTTY) {
    throw new Refused('terminal', 'A backup is nothing for a terminal: send it into a file or a pipe.');
  }
  const secret = withoutSecret ? null : await secretOf(session);
  const progress = createProgress(process.stderr, Date.now, 'rows');
  let tables: Readonly<Record<string, number>> = {};
  const chunks = backUp(session.db, {
    signoff: version,
    secret,
    onRows: (rows, counts) => {
      tables = counts;
      progress.show(rows, null);
    },
  });
  let octets: number;
  try {
    octets =
      file === '-'
        ? await writeOut(chunks)
        : await writeWhole(file, chunks, { mode: 0o600, replaces: force ?? false });
  } finally {
    progress.clear();
  }
  if (json) return printJson({ file, octets, has_secret: secret !== null, tables });
  const rows = Object.values(tables).reduce((sum, count) => sum + count, 0);
  const tell = file === '-' ? warn : print;
  tell(facts(Object.entries(tables).map(([table, count]) => [table, count.toLocaleString('en-US')])));
  tell(
    `${counted(rows, 'row', 'rows')} in ${counted(octets, 'octet', 'octets')}. The backup holds addresses of people` +
      (secret === null ? '' : " and the installation's secret") +
      ': keep it as safe as the database.' +
      (secret === null ? ' The secret is not in it: keep that as well, elsewhere.' : ''),
  );
}

/** Null where nothing was made with one yet: the service has never been started on this database. */
async function secretOf(session: Session): Promise<string | null> {
  if ((await reading(session, findFingerprint)) === null) return null;
  try {
    return await knownSecret(session);
  } catch (error) {
    if (!(error instanceof Refused) || error.reason !== 'no-secret') throw error;
    throw new Refused(
      'no-secret',
      `The installation's secret is not in SIGNOFF_SECRET, nor in ${session.config.dataDir}. A backup without it opens no link that was sent: set it, or leave it out (--without-secret) and keep it elsewhere.`,
    );
  }
}

/** A reader that ends too early has no backup. */
async function writeOut(chunks: AsyncIterable<Buffer>): Promise<number> {
  process.stdout.prependListener('error', () => {
    warn('The backup is not whole: standard output was closed.');
    process.exit(1);
  });
  let octets = 0;
  for await (const chunk of chunks) {
    octets += chunk.length;
    if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
  }
  return octets;
}

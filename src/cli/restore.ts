import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import type { Command } from 'commander';
import { loadEnvFile, type Config } from '../config.js';
import { openBackup, type Backup } from '../core/backup-file.js';
import { restoreBackup } from '../core/restore.js';
import { fingerprintOf, secretOfDataFolder } from '../core/secret.js';
import { checkDurability } from '../db/connect.js';
import { Refused } from '../errors.js';
import { counted, facts, print, printJson, warn } from './output.js';
import { createProgress, type Progress } from './progress.js';
import { reading, withNewDatabase, type Session } from './session.js';
import { notWritten } from './whole-file.js';

interface RestoreCommandOptions {
  readonly secretFile?: string;
  readonly json?: true;
}

/** To clear a table of millions is one statement. */
const timeoutMs = 10 * 60_000;

export function addRestoreCommand(program: Command): void {
  program
    .command('restore')
    .summary('put a backup into an empty database')
    .description(
      'Puts a backup into the database of DATABASE_URL, which has to be empty; its tables are made where it has ' +
        'none. The file is read to its end before anything is written. It can be broken off and run again; in ' +
        'between, the service does not start. Afterwards every mailer has to take its whole lists: cursors from ' +
        'before are answered with 410. Where SIGNOFF_SECRET is not set, and this is not production, the secret ' +
        'goes into the data folder.',
    )
    .argument('<file>', 'the file that signoff backup has written')
    .option(
      '--secret-file <path>',
      'only write the secret that the backup holds into this new file, for SIGNOFF_SECRET; nothing is restored',
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ DATABASE_URL=mysql://signoff:pass@127.0.0.1/signoff signoff restore signoff.backup
  $ signoff restore signoff.backup --secret-file secret.txt
  $ SIGNOFF_SECRET=$(cat secret.txt) signoff restore signoff.backup`,
    )
    .action(async (file: string, options: RestoreCommandOptions) => {
      const reading = createProgress(process.stderr, Date.now, 'octets read');
      const backup = await readWhole(file, reading);
      if (options.secretFile !== undefined) return writeSecret(backup, options.secretFile);
      await restoreFrom(file, backup, options);
    });
}

async function readWhole(file: string, progress: Progress): Promise<Backup> {
  if (file === '-') {
    throw new Refused('file', 'A backup is read twice, so it cannot come from standard input: name a file.');
  }
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  try {
    return await openBackup(file, (octets) => progress.show(octets, size === 0 ? null : octets / size));
  } finally {
    progress.clear();
  }
}

async function restoreFrom(file: string, backup: Backup, { json }: RestoreCommandOptions): Promise<void> {
  loadEnvFile();
  if (process.env.NODE_ENV === 'production' && !process.env.SIGNOFF_SECRET) throw noSecret(file, backup);
  const foreign = await withNewDatabase((session) => restoreInto(session, file, backup), { timeoutMs });

  const tables = Object.fromEntries(
    backup.tables
      .filter(({ table }) => !foreign.includes(table.table))
      .map(({ table, rows }) => [table.table, rows]),
  );
  for (const table of foreign) warn(`Passed over: the table ${table}, which this Signoff does not know.`);
  if (json) return printJson({ file, made_at: backup.header.created_at, tables, passed_over: foreign });
  print(facts(Object.entries(tables).map(([table, rows]) => [table, rows.toLocaleString('en-US')])));
  const rows = Object.values(tables).reduce((sum, count) => sum + count, 0);
  print(
    `${counted(rows, 'row', 'rows')} restored, as of ${backup.header.created_at}. What was recorded later is not ` +
      'in it. Start the service; every mailer will be told to take its whole lists.',
  );
}

async function restoreInto(session: Session, file: string, backup: Backup): Promise<string[]> {
  const { config, db } = session;
  // Before anything is written.
  const keepSecret = secretKeeper(config, file, backup);
  await reading(session, () => checkDurability(db, config.acceptLosingOptOuts));
  const progress = createProgress(process.stderr, Date.now, 'rows');
  try {
    return await restoreBackup(db, backup, {
      holder: `${hostname().slice(0, 30)}-${process.pid}-${randomBytes(4).toString('hex')}`,
      timeoutMs: config.databaseTimeoutMs,
      beforeRows: keepSecret,
      onRows: (rows) => progress.show(rows, backup.rows === 0 ? null : rows / backup.rows),
    });
  } finally {
    progress.clear();
  }
}

/**
 * What is to be done with the backup's secret, once it is sure that the database takes the backup.
 *
 * @throws Refused where the secret that there is here is another one, or where there is none.
 */
function secretKeeper({ secret: given, dataDir }: Config, file: string, backup: Backup): () => void {
  const { secret, fingerprint } = backup.header;
  const nothing = () => undefined;
  if (fingerprint === null) return nothing;
  const inFolder = path.join(dataDir, 'secret');
  if (given === null && !existsSync(inFolder)) {
    if (secret === null) throw noSecret(file, backup);
    return () => {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 });
      writeNew(inFolder, secret);
    };
  }
  if (fingerprintOf(given ?? secretOfDataFolder(dataDir)) === fingerprint) return nothing;
  const which = given === null ? `The secret in ${inFolder}` : 'SIGNOFF_SECRET';
  throw new Refused(
    'other-secret',
    `${which} is not the secret of the installation that this backup was made of. ${whereToFind(file, backup)}`,
  );
}

function noSecret(file: string, backup: Backup): Refused {
  return new Refused(
    'no-secret',
    `SIGNOFF_SECRET has to be set to the secret of the installation that this backup was made of. ${whereToFind(file, backup)}`,
  );
}

function whereToFind(file: string, { header }: Backup): string {
  return header.secret === null
    ? 'The backup does not hold it: take the one that was kept elsewhere.'
    : `The backup holds it: signoff restore ${file} --secret-file PATH writes it into a file.`;
}

function writeSecret({ header }: Backup, file: string): void {
  if (header.secret === null) throw new Refused('no-secret', 'This backup holds no secret.');
  writeNew(file, header.secret);
  print(`The secret is in ${file}: set SIGNOFF_SECRET to it, and delete the file. Nothing was restored.`);
}

function writeNew(file: string, secret: string): void {
  try {
    writeFileSync(file, `${secret}\n`, { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    throw notWritten(file, error);
  }
}

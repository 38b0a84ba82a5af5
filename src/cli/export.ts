import { once } from 'node:events';
import process from 'node:process';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { Option, type Command } from 'commander';
import { exportFormats, exportOptOuts, type ExportFormat } from '../core/export.js';
import { getCounts } from '../core/feed.js';
import { isDatabaseUnavailable } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { chosenList, listArgument } from './arguments.js';
import { counted, print, printJson, warn } from './output.js';
import { createProgress } from './progress.js';
import { noteOfList, reading, withSession, type Session } from './session.js';
import { writeWhole } from './whole-file.js';

interface ExportCommandOptions {
  readonly format: ExportFormat;
  readonly output?: string;
  readonly gzip?: true;
  readonly force?: true;
  readonly json?: true;
}

export function addExportCommand(program: Command): void {
  program
    .command('export')
    .summary('write what a list suppresses into a file')
    .description(
      'Writes all that a list suppresses: as CSV, which signoff import takes back with tags, dates, reasons and ' +
        'hashes; or as addresses, MD5 or SHA-256 hashes, a line each. The history notes it. Mailers take their ' +
        'lists by the download, which asks for their key: this is for whoever runs the installation.',
    )
    .argument('<list>', listArgument)
    .addOption(new Option('--format <format>', 'what is written').choices(exportFormats).default('csv'))
    .option(
      '--output <file>',
      'where to write; the file appears when it is whole (otherwise: standard output)',
    )
    .option('--gzip', 'pack it; so it is where the name of the file ends in .gz')
    .option('--force', 'replace a file of that name')
    .option('--json', 'with --output: print the counts as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff export "Acme News" --output acme-news.csv.gz
  $ signoff export "Acme News" --format md5 > hashes.txt`,
    )
    .action((listText: string, options: ExportCommandOptions, command: Command) => {
      if (options.json && options.output === undefined) {
        command.error('error: --json goes with --output: standard output is the export');
      }
      return withSession((session) => exportList(session, listText, options));
    });
}

async function exportList(
  session: Session,
  listText: string,
  { format, output, gzip, force, json }: ExportCommandOptions,
): Promise<void> {
  const list = await reading(session, (db) => chosenList(db, listText));
  const { addresses, md5_only, sha256_only, erased } = await reading(session, (db) => getCounts(db, list.id));
  const expected = addresses + md5_only + sha256_only + erased;
  // Before the first octet: whoever breaks it off has what was written until then.
  await noteOfList(session, list, 'list.export-started', { format });
  const progress = createProgress(process.stderr, Date.now, 'opt-outs');
  let entries = 0;
  let leftOut = 0;

  async function* octets(): AsyncGenerator<Buffer> {
    for await (const slice of available(session, exportOptOuts(session.db, list.id, format))) {
      entries += slice.entries;
      leftOut += slice.leftOut;
      progress.show(entries, expected === 0 ? null : entries / expected);
      yield slice.octets;
    }
  }

  const isPacked = gzip === true || output?.endsWith('.gz') === true;
  const chunks = isPacked ? packed(octets()) : octets();
  try {
    if (output === undefined) await writeOut(chunks);
    else await writeWhole(output, chunks, { mode: 0o600, replaces: force === true });
  } finally {
    progress.clear();
  }
  await noteOfList(session, list, 'list.exported', { format, entries });
  if (leftOut > 0) {
    warn(`${counted(leftOut, 'opt-out is', 'opt-outs are')} not in it: this format cannot express them.`);
  }
  if (json) return printJson({ list: list.publicId, format, output, entries, left_out: leftOut });
  const what = format === 'csv' ? counted(entries, 'opt-out', 'opt-outs') : counted(entries, 'line', 'lines');
  if (output !== undefined) print(`${what} of ${list.name} exported.`);
}

async function* packed(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gzip = createGzip();
  const source = Readable.from(chunks);
  source.on('error', (error) => gzip.destroy(error));
  yield* source.pipe(gzip) as AsyncIterable<Buffer>;
}

async function* available<T>({ db }: Session, slices: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* slices;
  } catch (error) {
    if (!isDatabaseUnavailable(db, error)) throw error;
    throw new Unavailable('the database does not answer', { cause: error });
  }
}

/** A reader that ends too early has no export. */
async function writeOut(chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of chunks) {
    if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
  }
}

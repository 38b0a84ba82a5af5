import process from 'node:process';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { formatOf, importFormats, type ImportFormat } from '../core/import-layout.js';
import type { List } from '../core/lists.js';
import { checkDurability } from '../db/connect.js';
import { chosenList, listArgument } from './arguments.js';
import { importFile, type FileOutcome } from './import-file.js';
import { problemOf, recorderOf, stopsOnSignal, tagFor } from './import-run.js';
import { layoutText } from './import-told.js';
import { importManifest } from './manifest-run.js';
import { counted, print, printJson, warn } from './output.js';
import { createProgress } from './progress.js';
import { prepareRefusedFile } from './refused-file.js';
import { reading, withSession, type Session } from './session.js';

interface ImportCommandOptions {
  readonly list?: string;
  readonly manifest?: string;
  readonly format?: ImportFormat;
  readonly column?: string;
  readonly tag?: string;
  readonly tagColumn?: string;
  readonly dateColumn?: string;
  readonly reasonColumn?: string;
  readonly addTags?: true;
  readonly fromLine?: number;
  readonly refused?: string;
  readonly force?: true;
  readonly again?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

export function addImportCommand(program: Command): void {
  program
    .command('import')
    .summary('record the opt-outs of a file, or of many files')
    .description(
      'Records what a file holds as opt-outs of a list: addresses, MD5 or SHA-256 hashes, a line each, or a CSV ' +
        '(comma, semicolon or tab; the columns are found by their names or by what stands in them). UTF-8, or ' +
        'UTF-16 with a byte order mark; gzip is unpacked. A row that cannot be taken is told by its line and ' +
        'reason, and stands in FILE.refused.csv; all others are recorded, and the command ends with 1. Importing ' +
        'a file again is harmless. The service may be running meanwhile.',
    )
    .argument('[file]', 'the file; - for standard input')
    .option('--list <list>', listArgument)
    .option(
      '--manifest <file>',
      'a CSV that names many files and their lists; goes on where it was broken off',
    )
    .addOption(
      new Option('--format <format>', 'what the file is (otherwise: found out)').choices(importFormats),
    )
    .option('--column <column>', 'the column that says who has left: its name, or its number from 1')
    .option('--tag <tag>', 'the opt-outs are from this tag of the list; without it, from all of its mail')
    .option('--tag-column <column>', 'the column that holds the tag (otherwise: tag); an empty one is --tag')
    .option('--date-column <column>', 'the column that says when they left (otherwise: created_at, date, …)')
    .option('--reason-column <column>', 'the column that says why (otherwise: reason)')
    .option(
      '--add-tags',
      'add tags that the list does not know; without it, these rows leave all of its mail',
    )
    .option('--from-line <number>', 'go on with this line: those before it were dealt with', lineNumber)
    .option('--refused <file>', 'where refused rows are written (otherwise: FILE.refused.csv)')
    .option('--force', 'replace a file of that name, whatever it holds')
    .option('--again', 'with --manifest: begin all of its files anew')
    .option('--dry-run', 'read and tell, and record nothing')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff import unsubscribed.csv --list "Acme News"
  $ signoff import export.csv.gz --list offers --column "Email Address" --tag sale
  $ signoff import hashes.txt --list "Acme News" --format md5 --dry-run
  $ signoff import --manifest all.csv            columns file, list; and format, column, tag, …`,
    )
    .action((file: string | undefined, options: ImportCommandOptions, command: Command) => {
      checkUsage(file, options, command);
      const { manifest } = options;
      return withSession(async (session) => {
        // As the service does before it starts: what is reported as recorded has to outlast a power cut.
        await reading(session, () => checkDurability(session.db, session.config.acceptLosingOptOuts));
        if (manifest !== undefined) await importManifest(session, manifest, options);
        else if (file !== undefined) await importOne(session, file, options);
      });
    });
}

/** With a manifest, what concerns a single file stands in its columns. */
const ofOneFile = [
  ...(['list', 'format', 'column', 'tag', 'tagColumn', 'dateColumn', 'reasonColumn', 'addTags'] as const),
  ...(['fromLine', 'refused'] as const),
];

function checkUsage(file: string | undefined, options: ImportCommandOptions, command: Command): void {
  if ((file === undefined) === (options.manifest === undefined)) {
    command.error('error: name a file and its --list, or a --manifest');
  }
  if (options.manifest === undefined) {
    if (options.list === undefined) command.error("error: required option '--list <list>' not specified");
    if (options.again) command.error('error: --again goes with --manifest');
    return;
  }
  for (const name of ofOneFile) {
    if (options[name] === undefined) continue;
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    command.error(`error: ${flag} does not go with --manifest: it has columns for that`);
  }
}

function lineNumber(text: string): number {
  if (/^[1-9]\d{0,11}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Lines count from 1.');
}

async function importOne(session: Session, file: string, options: ImportCommandOptions): Promise<void> {
  const list = await reading(session, (db) => chosenList(db, options.list ?? ''));
  const isDry = options.dryRun === true;
  const tag = await tagFor(session, list, options.tag, options.addTags === true, isDry);
  const from = { line: (options.fromLine ?? 1) - 1, taken: 0, refused: 0, refusedOctets: 0 };
  const refused = await prepareRefusedFile(
    options.refused ?? `${file === '-' ? 'stdin' : file}.refused.csv`,
    // Whoever goes on has the first part of it already.
    { keeps: from.line > 0 ? 'all' : 0, force: options.force === true },
  );
  const recorder = isDry ? null : recorderOf(session);
  const stopping = stopsOnSignal();
  const outcome = await importFile(session, {
    file,
    list,
    options: layoutOptions(options, tag),
    refused,
    from,
    recorder,
    progress: createProgress(process.stderr),
    label: '',
    isStopping: stopping,
  });
  await recorder?.drain();
  report(file, list, outcome, refused.path, options);
}

function layoutOptions(options: ImportCommandOptions, tag: string) {
  const {
    format = 'auto',
    column = null,
    tagColumn = null,
    dateColumn = null,
    reasonColumn = null,
  } = options;
  return { format, column, tagColumn, dateColumn, reasonColumn, tag, addsTags: options.addTags === true };
}

function report(
  file: string,
  list: List,
  outcome: FileOutcome,
  refusedPath: string,
  options: ImportCommandOptions,
): void {
  const problem = problemOf(file, outcome) ?? beyondEnd(file, outcome, options.fromLine);
  const isWhole = problem === null;
  if (!isWhole || outcome.refused > 0) process.exitCode = outcome.isStopped ? 130 : 1;
  if (options.json) {
    printJson({
      list: list.publicId,
      format: outcome.layout === null ? null : formatOf(outcome.layout),
      lines: outcome.lines,
      recorded: outcome.taken,
      refused: outcome.refused,
      warnings: outcome.warned,
      refused_file: outcome.refused > 0 ? refusedPath : null,
      is_whole: isWhole,
      done_to_line: outcome.line,
      dry_run: options.dryRun === true,
    });
  } else if (outcome.layout !== null || outcome.taken + outcome.refused > 0) {
    if (outcome.layout !== null) print(`Read as ${layoutText(outcome.layout)}.`);
    print(summaryOf(list, outcome, refusedPath, options.dryRun === true));
  }
  if (problem !== null) warn(problem);
}

/** To go on right behind the last line is no mistake: a run that was broken off may have come that far. */
function beyondEnd(file: string, { lines }: FileOutcome, fromLine = 1): string | null {
  if (fromLine <= lines + 1) return null;
  const name = file === '-' ? 'Standard input' : file;
  return `${name} has only ${counted(lines, 'line', 'lines')}: there is none to go on with from line ${fromLine}.`;
}

function summaryOf(list: List, outcome: FileOutcome, refusedPath: string, isDry: boolean): string {
  const taken = counted(outcome.taken, 'opt-out', 'opt-outs');
  const did = isDry ? `${taken} would be recorded in ${list.name}` : `${taken} of ${list.name} recorded`;
  if (outcome.refused === 0) return `${did}.`;
  return `${did}; ${counted(outcome.refused, 'row', 'rows')} refused: see ${refusedPath}.`;
}

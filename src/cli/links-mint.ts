import { createReadStream, statSync } from 'node:fs';
import { once } from 'node:events';
import process from 'node:process';
import { Option, type Command } from 'commander';
import { linksFor } from '../core/link-minting.js';
import { withLinks, type LinkResult, type Rows } from '../core/link-rows.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { DomainError, Refused } from '../errors.js';
import { listArgument } from './arguments.js';
import { mintingOf, type Minting } from './links-session.js';
import { baseUrlOf } from './list-links.js';
import { knownTag } from './opt-out.js';
import { counted, print, printJson, warn } from './output.js';
import { createProgress } from './progress.js';
import { withSession } from './session.js';
import { codeOf, writeWhole } from './whole-file.js';

interface MintOptions {
  readonly list: string;
  readonly column?: string;
  readonly tag?: string;
  readonly tagColumn?: string;
  readonly output?: string;
  readonly json?: true;
}

/** Where so many are wrong, it is the file that is wrong. */
const mostTold = 20;

export function addMintCommand(links: Command): void {
  links
    .command('mint')
    .summary('give each address of a file its signed link')
    .description(
      'Reads a CSV file with a first line of column names (comma, semicolon or tab; quoted fields), or a text ' +
        'file with an address a line, and writes it again with a column link, ready to be merged into mails. All ' +
        'else in it stays as it is. A line without a usable address gets no link and is told by its number; the ' +
        'command ends with 1 then, and the others have theirs. The same address gets the same link each time, ' +
        'until the key is rotated.',
    )
    .argument('<file>', 'the file, in UTF-8; - for standard input')
    .requiredOption('--list <list>', listArgument)
    .option('--column <name>', 'the column that holds the addresses (otherwise: email)')
    .addOption(
      new Option(
        '--tag <tag>',
        'the links leave this tag of the list; without it, all of its mail',
      ).conflicts('tagColumn'),
    )
    .option('--tag-column <name>', 'the column that holds the tag of each link; empty: all of the mail')
    .option(
      '--output <file>',
      'where to write; the file appears when it is whole (otherwise: standard output)',
    )
    .option('--json', 'with --output: print the counts as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff links mint subscribers.csv --list "Acme News" --output with-links.csv
  $ signoff links mint export.csv --list offers --column "Email Address" --tag-column part > with-links.csv
  $ cut -f1 people.txt | signoff links mint - --list "Acme News" --tag sale`,
    )
    .action(async (file: string, options: MintOptions, command: Command) => {
      if (options.json && options.output === undefined) {
        command.error('error: --json goes with --output: standard output is the CSV');
      }
      const minting = await withSession(async (session) => {
        const { list, key } = await mintingOf(session, options.list);
        const tag = options.tag === undefined ? EVERYTHING : knownTag(list, options.tag);
        return { list, key, tag, baseUrl: baseUrlOf(session.config) };
      });
      // The database is closed: minting needs none, and may take its time.
      await mint(file, minting, options);
    });
}

async function mint(
  file: string,
  { list, key, tag, baseUrl }: Minting & { tag: string; baseUrl: string },
  options: MintOptions,
): Promise<void> {
  const progress = createProgress(process.stderr);
  const source = sourceOf(file);
  let minted = 0;
  let refused = 0;

  const make = linksFor(baseUrl, list, key, tag);

  function linkOf(address: string, tagCell: string | null): LinkResult {
    const result = make(address, tagCell);
    if (result.ok) minted++;
    return result;
  }

  function onRefused(line: number, reason: string): void {
    if (++refused > mostTold) return;
    progress.clear();
    warn(`line ${line}: ${reason}`);
  }

  async function* told(): AsyncGenerator<Buffer> {
    const { column = null, tagColumn = null } = options;
    let lines = 0;
    const all = withLinks(source.octets(), { column, tagColumn, linkOf, onRefused });
    for await (const { octets, rows } of readable(all)) {
      yield octets;
      lines += rows;
      progress.show(lines, source.shareRead());
    }
  }

  try {
    if (options.output === undefined) await writeOut(told());
    else await writeWhole(options.output, told());
  } finally {
    progress.clear();
  }
  if (refused > mostTold) warn(`… and ${counted(refused - mostTold, 'line', 'lines')} more.`);
  if (refused > 0) process.exitCode = 1;
  const { output } = options;
  if (options.json) {
    return printJson({ list: list.publicId, key: key.number, output, links: minted, refused });
  }
  const rest = refused === 0 ? '.' : `; ${counted(refused, 'line', 'lines')} without one.`;
  const summary = `${counted(minted, 'link', 'links')} of ${list.name} minted${rest}`;
  if (output !== undefined) print(summary);
  else if (refused > 0 || process.stderr.isTTY) warn(summary);
}

/** A file, or standard input; of a file it is known how much has been read. */
function sourceOf(file: string): { octets(): AsyncIterable<Buffer>; shareRead(): number | null } {
  let size = 0;
  let read = 0;
  const stream = () => {
    if (file === '-') return process.stdin;
    size = statSync(file).size;
    return createReadStream(file, { highWaterMark: 128 * 1024 });
  };
  return {
    async *octets() {
      for await (const chunk of stream() as AsyncIterable<Buffer>) {
        read += chunk.length;
        yield chunk;
      }
    },
    shareRead: () => (size === 0 ? null : read / size),
  };
}

/** What is wrong with a file is told in a sentence. */
async function* readable(rows: AsyncIterable<Rows>): AsyncGenerator<Rows> {
  try {
    yield* rows;
  } catch (error) {
    if (error instanceof DomainError) throw error;
    if (error instanceof RangeError) {
      throw new Refused('too-long', `The file is no text of lines: ${error.message}.`);
    }
    throw new Refused('file', `The file cannot be read (${codeOf(error)}).`);
  }
}

async function writeOut(chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of chunks) {
    if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
  }
}

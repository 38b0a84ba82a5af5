import { InvalidArgumentError, type Command } from 'commander';
import { endImportJob, restartImportJob } from '../core/import-job-changes.js';
import { findImportJob, importJobsOfAccount, importJobsOfList, type ImportJob } from '../core/import-jobs.js';
import { refusalsOf } from '../core/import-refusals.js';
import { getListById } from '../core/lists.js';
import { reasonOf } from '../core/row-faults.js';
import type { Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import { chosenAccount } from './account.js';
import { accountId, chosenList, listArgument } from './arguments.js';
import { counted, facts, print, printJson, table, timeOf } from './output.js';
import { prepareRefusedFile } from './refused-file.js';
import { actor, changing, reading, withSession, type Session } from './session.js';

interface ListOptions {
  readonly account?: number;
  readonly limit: number;
  readonly json?: true;
}

interface ShowOptions {
  readonly refused?: string;
  readonly force?: true;
  readonly json?: true;
}

export function addImportJobCommands(program: Command): void {
  const job = program
    .command('import-job')
    .summary('imports of uploaded files: list, show, end, restart')
    .description(
      'Import jobs: files that came through one of the APIs, which the service carries out by and by. What is ' +
        'imported here, by signoff import, is done when the command ends, and is none of them.',
    );
  addList(job);
  addShow(job);
  addChange(job, {
    ...{ name: 'end', summary: 'end an import job', change: endImportJob },
    description:
      'Ends an import job that waits, is held or runs. What was recorded of it stays; the rest is not recorded, and its ' +
      'file is deleted. Of the step that is under way, some hundred rows more may be recorded than are counted.',
    told: 'is ended: what was recorded of it stays, the rest is not recorded.',
  });
  addChange(job, {
    ...{ name: 'restart', summary: 'start an import job again that was given up', change: restartImportJob },
    description:
      'Lets an import job that was given up wait for its turn again. It goes on behind its last step. Its file is ' +
      'kept for 30 days.',
    told: 'waits for its turn again.',
  });
}

function addList(job: Command): void {
  job
    .command('list')
    .summary('show the import jobs')
    .description('Shows the import jobs of a list, or of an account; the newest first.')
    .argument('[list]', listArgument)
    .option('--account <id>', 'the account, where there are several', accountId)
    .option('--limit <number>', 'how many; at most 1000', jobLimit, 100)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff import-job list\n  $ signoff import-job list "Acme News" --json',
    )
    .action((listText: string | undefined, { account, limit, json }: ListOptions) =>
      withSession(async (session) => {
        const jobs = await reading(session, async (db) =>
          listText === undefined
            ? importJobsOfAccount(db, (await chosenAccount(db, account)).id, { limit })
            : importJobsOfList(db, await chosenList(db, listText), { limit }),
        );
        const names = await namesOfLists(session, jobs);
        if (json) return printJson(jobs.map((one) => shown(one, names)));
        const number = (value: number) => value.toLocaleString('en-US');
        print(
          table(
            ['ID', 'LIST', 'FILE', 'MADE', 'STATE', 'TAKEN', 'REFUSED'],
            jobs.map((one) => [
              ...[one.publicId, names.get(one.listId)?.internalName ?? '', one.fileName ?? ''],
              ...[timeOf(one.createdAt) ?? '', one.state, number(one.taken), number(one.refused)],
            ]),
            'There is no import job.',
          ),
        );
      }),
    );
}

function addShow(job: Command): void {
  job
    .command('show')
    .summary('show what became of an import job')
    .description(
      'Shows how far an import job has come, and what became of its rows. The rows that were refused are kept by ' +
        'line and reason, the first 10,000 of them, and their texts for 30 days.',
    )
    .argument('<id>', 'the id of the job (signoff import-job list)')
    .option('--refused <file>', 'write the refused rows into a file')
    .option('--force', 'replace a file of that name, whatever it holds')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff import-job show abcdefghjkmnpqrstuvw --refused refused.csv',
    )
    .action((id: string, { refused, force, json }: ShowOptions) =>
      withSession(async (session) => {
        const found = await reading(session, (db) => chosenJob(db, id));
        const names = await namesOfLists(session, [found]);
        const written = refused === undefined ? null : await writeRefused(session, found, refused, force);
        if (json) {
          return printJson({
            ...shown(found, names),
            ...(written === null ? {} : { refused_file: refused }),
          });
        }
        print(facts(factsOf(found, names)));
        if (written === null) return;
        const rows = counted(written, 'refused row', 'refused rows');
        print(written === 0 ? 'No refused row is kept.' : `${rows} written to ${refused}.`);
      }),
    );
}

interface ChangeCommand {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly change: (trx: Db, id: number, actor: string) => Promise<void>;
  /** Follows the id. */
  readonly told: string;
}

function addChange(job: Command, { name, summary, description, change, told }: ChangeCommand): void {
  job
    .command(name)
    .summary(summary)
    .description(description)
    .argument('<id>', 'the id of the job (signoff import-job list)')
    .option('--json', 'print JSON')
    .addHelpText('after', `\nExamples:\n  $ signoff import-job ${name} abcdefghjkmnpqrstuvw`)
    .action((id: string, { json }: { json?: true }) =>
      withSession(async (session) => {
        const found = await changing(session, async (db) => {
          const one = await chosenJob(db, id);
          await change(db, one.id, actor);
          return (await findImportJob(db, one.publicId)) ?? { ...one, ...neverBegun };
        });
        if (json) return printJson(shown(found, await namesOfLists(session, [found])));
        print(`Import job ${found.publicId} ${told}`);
      }),
    );
}

/** Of a held job that is ended nothing is left. */
const neverBegun = {
  state: 'failed',
  heldUntil: null,
  failure: { code: 'ended', message: 'It was never begun, and its file is deleted.' },
} as const;

/** @throws NotFound */
async function chosenJob(db: Db, id: string): Promise<ImportJob> {
  const found = await findImportJob(db, id.trim());
  if (found !== null) return found;
  throw new NotFound(`There is no import job ${JSON.stringify(id)} (signoff import-job list).`);
}

type Names = ReadonlyMap<number, { readonly publicId: string; readonly internalName: string }>;

async function namesOfLists(session: Session, jobs: readonly ImportJob[]): Promise<Names> {
  const names = new Map<number, { publicId: string; internalName: string }>();
  for (const { listId } of jobs) {
    if (!names.has(listId)) names.set(listId, await reading(session, (db) => getListById(db, listId)));
  }
  return names;
}

/** @returns how many rows are kept. */
async function writeRefused(
  session: Session,
  job: ImportJob,
  path: string,
  force: true | undefined,
): Promise<number> {
  const file = await prepareRefusedFile(path, { keeps: 0, force: force === true });
  let written = 0;
  try {
    for await (const rows of refusalsOf(session.db, job)) {
      await file.add(
        rows.map(({ line, problem, text }) => ({ line, reason: reasonOf(problem), raw: text ?? '' })),
      );
      written += rows.length;
    }
  } finally {
    await file.close();
  }
  return written;
}

function factsOf(job: ImportJob, names: Names): (readonly [string, string])[] {
  const list = names.get(job.listId);
  const warnings = Object.entries(job.warnings).map(([problem, rows]) => `${rows} for the ${problem}`);
  return [
    ['Id', job.publicId],
    ['List', `${list?.internalName} (${list?.publicId})`],
    ['File', `${job.fileName ?? 'without a name'}, ${counted(job.octets, 'octet', 'octets')}`],
    ['Read as', job.format ?? 'not known yet'],
    ['State', job.failure === null ? job.state : `${job.state}: ${job.failure.message}`],
    ['Lines', job.lines.toLocaleString('en-US')],
    ['Taken', job.taken.toLocaleString('en-US')],
    ['Known before', job.known?.toLocaleString('en-US') ?? 'not counted'],
    ['Refused', job.refused.toLocaleString('en-US')],
    ['Warnings', warnings.length === 0 ? 'none' : warnings.join(', ')],
    ['Made', timeOf(job.createdAt) ?? ''],
    ['Begun', timeOf(job.begunAt) ?? 'not yet'],
    ['Over', timeOf(job.finishedAt) ?? 'not yet'],
    ...(job.heldUntil === null ? [] : [['Held until', timeOf(job.heldUntil) ?? ''] as const]),
  ];
}

function shown(job: ImportJob, names: Names): Record<string, unknown> {
  return {
    id: job.publicId,
    list: names.get(job.listId)?.publicId ?? null,
    account: job.accountId,
    credential: job.credentialId,
    file_name: job.fileName,
    octets: job.octets,
    format: job.format,
    state: job.state,
    failure: job.failure,
    lines: job.lines,
    taken: job.taken,
    known: job.known,
    refused: job.refused,
    warnings: job.warnings,
    created_at: timeOf(job.createdAt),
    begun_at: timeOf(job.begunAt),
    finished_at: timeOf(job.finishedAt),
  };
}

function jobLimit(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text) && Number(text) <= 1000) return Number(text);
  throw new InvalidArgumentError('From 1 to 1000.');
}

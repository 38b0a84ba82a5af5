import { statSync } from 'node:fs';
import process from 'node:process';
import { findImport, saveImport, type ImportState } from '../core/imports.js';
import type { Recorder } from '../core/recorder.js';
import { DomainError, Refused, Unavailable } from '../errors.js';
import { importFile, unreadable, type FileOutcome } from './import-file.js';
import { problemOf, recorderOf, stopsOnSignal, tagFor } from './import-run.js';
import { readManifest, type ManifestEntry, type ManifestFault } from './manifest.js';
import { counted, print, printJson, table, warn } from './output.js';
import { sentenceOf } from './problems.js';
import { createProgress } from './progress.js';
import { prepareRefusedFile } from './refused-file.js';
import { reading, type Session } from './session.js';
import { codeOf } from './whole-file.js';

export interface ManifestOptions {
  readonly again?: true;
  readonly force?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

/** What became of a file. `done before`: an earlier run has imported it, and it is the same still. */
type Became = 'done' | 'done before' | 'failed' | 'stopped' | 'not begun';

interface Result {
  readonly entry: ManifestEntry;
  readonly became: Became;
  readonly state: ImportState;
}

const nothing: ImportState = { line: 0, taken: 0, refused: 0, refusedOctets: 0 };

/** How often it is kept how far a file has come: what is recorded twice after a kill is no more than that. */
const savedEachMs = 250;

/** Where so much is wrong, more of it tells nothing new. */
const mostFaults = 100;

/** Imports the files of a manifest one after the other, each from where an earlier run was broken off. */
export async function importManifest(
  session: Session,
  manifest: string,
  options: ManifestOptions,
): Promise<void> {
  const { entries, faults } = await readManifest(session, manifest, options.force === true);
  if (faults.length > 0) throw refusalOf(manifest, faults);
  const recorder = options.dryRun ? null : recorderOf(session);
  const isStopping = stopsOnSignal();
  const results: Result[] = [];
  let isEnding = false;
  for (const entry of entries) {
    if (isEnding) {
      results.push({ entry, became: 'not begun', state: nothing });
      continue;
    }
    const result = await importEntry(session, entry, recorder, isStopping, options).catch(
      (error: unknown) => {
        if (!(error instanceof DomainError)) throw error;
        warn(`${entry.file}: ${sentenceOf(error)}`);
        // Without a database there is nothing to be done for the others either.
        isEnding = error instanceof Unavailable;
        return { entry, became: 'failed' as const, state: nothing };
      },
    );
    results.push(result);
    isEnding ||= isStopping();
  }
  await recorder?.drain();
  report(results, options);
  if (isStopping()) process.exitCode = 130;
}

function refusalOf(manifest: string, faults: readonly ManifestFault[]): Refused {
  const lines = faults
    .toSorted((a, b) => a.line - b.line)
    .slice(0, mostFaults)
    .map(({ line, what }) => `${manifest}, line ${line}: ${what}.`);
  if (faults.length > mostFaults) lines.push(`… and ${faults.length - mostFaults} more.`);
  return new Refused('manifest', [...lines, 'Nothing was imported.'].join('\n'));
}

async function importEntry(
  session: Session,
  entry: ManifestEntry,
  recorder: Recorder | null,
  isStopping: () => boolean,
  options: ManifestOptions,
): Promise<Result> {
  const { file, list, key, refusedPath } = entry;
  const version = versionOf(entry.path);
  const isDry = recorder === null;
  const before = isDry || options.again ? null : await reading(session, (db) => findImport(db, key));
  const isSame = before?.version === version;
  if (before !== null && isSame && before.isFinished) return { entry, became: 'done before', state: before };
  if (before !== null && !isSame) warn(`${file}: it has changed since it was imported, and begins anew.`);
  else if (before !== null) warn(`${file}: goes on behind line ${before.line}.`);

  const from = before !== null && isSame ? before : nothing;
  const force = options.force === true;
  const tag = await tagFor(session, list, entry.tag ?? undefined, entry.addsTags, isDry);
  const refused = await prepareRefusedFile(refusedPath, { keeps: from.refusedOctets, force });
  const save = (state: ImportState, isFinished: boolean) =>
    reading(session, (db) => saveImport(db, key, list, version, state, { isFinished }));
  let savedAt = Date.now();
  const outcome = await importFile(session, {
    file: entry.path,
    list,
    options: { ...entry.layout, tag, addsTags: entry.addsTags },
    refused,
    from,
    recorder,
    progress: createProgress(process.stderr),
    label: `${file}: `,
    isStopping,
    onState: async (state) => {
      if (isDry || Date.now() - savedAt < savedEachMs) return;
      await save(state, false);
      savedAt = Date.now();
    },
  });
  return { entry, became: await ended(outcome), state: outcome };

  async function ended(outcome: FileOutcome): Promise<Became> {
    const problem = problemOf(file, outcome, 'The same command goes on there.');
    if (problem !== null) warn(problem);
    if (outcome.failure?.error instanceof Unavailable) throw outcome.failure.error;
    const isWhole = problem === null && versionOf(entry.path) === version;
    if (problem === null && !isWhole) warn(`${file}: it was changed while it was read: import it once more.`);
    if (!isDry) await save(outcome, isWhole);
    return isWhole ? 'done' : outcome.isStopped ? 'stopped' : 'failed';
  }
}

/** Whoever changes a file changes its size, or at least its time. */
function versionOf(file: string): string {
  try {
    const { size, mtimeNs, ino } = statSync(file, { bigint: true });
    return `${size}-${mtimeNs}-${ino}`;
  } catch (error) {
    throw unreadable(file, codeOf(error));
  }
}

function report(results: readonly Result[], { json, dryRun }: ManifestOptions): void {
  const isBad = ({ became, state }: Result) =>
    became !== 'done before' && (became !== 'done' || state.refused > 0);
  if (results.some(isBad)) process.exitCode = 1;
  if (json) {
    return printJson({
      dry_run: dryRun === true,
      files: results.map(({ entry, became, state }) => ({
        file: entry.file,
        list: entry.list.publicId,
        became,
        recorded: state.taken,
        refused: state.refused,
        refused_file: state.refused > 0 ? entry.refusedPath : null,
        done_to_line: state.line,
      })),
    });
  }
  const number = (value: number) => value.toLocaleString('en-US');
  const rows = results.map(({ entry, became, state }) => [
    ...[entry.file, entry.list.internalName, number(state.taken), number(state.refused)],
    became,
  ]);
  print(table(['FILE', 'LIST', dryRun ? 'TO RECORD' : 'RECORDED', 'REFUSED', 'BECAME'], rows, ''));
  for (const { entry, state } of results) {
    if (state.refused > 0)
      print(`${counted(state.refused, 'row', 'rows')} refused: see ${entry.refusedPath}.`);
  }
}

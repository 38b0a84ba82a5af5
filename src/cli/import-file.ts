import { createReadStream, statSync } from 'node:fs';
import process from 'node:process';
import type { ImportOptions } from '../core/import-batch.js';
import { formatOf, type Layout, type LayoutOptions } from '../core/import-layout.js';
import { textOctets } from '../core/import-octets.js';
import { readRows } from '../core/import-rows.js';
import { importOptOuts } from '../core/import.js';
import type { ImportState } from '../core/imports.js';
import type { List } from '../core/lists.js';
import type { Recorder } from '../core/recorder.js';
import { Refused } from '../errors.js';
import { createTeller, refusedRowOf } from './import-told.js';
import type { Progress } from './progress.js';
import type { RefusedFile } from './refused-file.js';
import { actor, noteOfList, type Session } from './session.js';
import { codeOf } from './whole-file.js';

export interface FileImport {
  /** `-` is standard input. */
  readonly file: string;
  readonly list: List;
  readonly options: Omit<ImportOptions, 'fromLine' | 'patienceMs' | 'actor'>;
  readonly refused: RefusedFile;
  /** Where it goes on, and what it had come to by then. */
  readonly from: ImportState;
  /** Null: nothing is recorded. */
  readonly recorder: Recorder | null;
  readonly progress: Progress;
  /** Stands before each line that is told. */
  readonly label: string;
  readonly isStopping: () => boolean;
  readonly onState?: (state: ImportState) => Promise<void>;
}

export interface FileOutcome extends ImportState {
  readonly lines: number;
  readonly warned: number;
  readonly layout: Layout | null;
  /** What ended it before the end of the file; null for nothing. */
  readonly failure: { readonly error: unknown } | null;
  /** Why the file could not be read to its end; null for it was. */
  readonly cutOff: string | null;
  readonly isStopped: boolean;
}

/** Imports one file, tells what is refused, and notes in the history that it was done. */
export async function importFile(session: Session, job: FileImport): Promise<FileOutcome> {
  const { list, refused, recorder, progress } = job;
  const source = sourceOf(job.file);
  const teller = createTeller(job.label, () => progress.clear());
  let state = job.from;
  const outcome = { lines: 0, layout: null as Layout | null, cutOff: null as string | null };
  let failure: FileOutcome['failure'] = null;
  let isStopped = false;
  if (recorder !== null) await noteOfList(session, list, 'list.import-started', {});

  const options: ImportOptions = {
    ...job.options,
    fromLine: job.from.line + 1,
    patienceMs: session.config.databaseTimeoutMs,
    actor,
  };
  const record = recorder === null ? null : recorder.record.bind(recorder);
  const steps = importOptOuts(session.db, list, source.octets(), options, record);
  try {
    for (let step = await steps.next(); ; step = await steps.next()) {
      if (step.done) {
        Object.assign(outcome, step.value);
        break;
      }
      const { line, taken, refusals, warnings } = step.value;
      const rows = refusals.map(refusedRowOf);
      await refused.add(rows);
      teller.refusals(rows);
      teller.warnings(warnings);
      state = {
        line,
        taken: state.taken + taken,
        refused: state.refused + rows.length,
        refusedOctets: refused.octets(),
      };
      await job.onState?.(state);
      progress.show(line, source.shareRead());
      isStopped = job.isStopping();
      if (isStopped) break;
    }
  } catch (error) {
    failure = { error };
  } finally {
    await steps.return({ layout: null, lines: 0, cutOff: null }).catch(() => undefined);
    await refused.close();
    progress.clear();
    teller.rest();
  }
  if (recorder !== null) {
    const { layout } = outcome;
    const details = {
      format: layout === null ? null : formatOf(layout),
      recorded: state.taken - job.from.taken,
      refused: state.refused - job.from.refused,
      is_whole: failure === null && outcome.cutOff === null && !isStopped,
    };
    // What was recorded is recorded, whether the database is still there to note it or not.
    await noteOfList(session, list, 'list.imported', details).catch(
      (error: unknown) => (failure ??= { error }),
    );
  }
  return { ...state, ...outcome, warned: teller.warned(), failure, isStopped };
}

/** @throws Refused for a file that is not there, is none, or cannot be read by its columns. */
export async function checkFile(file: string, options: LayoutOptions): Promise<void> {
  try {
    for await (const chunk of readRows(textOctets(sourceOf(file).octets()), options)) return void chunk;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw unreadable(file, codeOf(error));
    throw error;
  }
}

export function unreadable(file: string, code: string): Refused {
  const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : code;
  return new Refused('file', `${file} cannot be read: ${why}.`);
}

/** A file, or standard input; of a file it is known how much has been read. */
function sourceOf(file: string): { octets(): AsyncIterable<Buffer>; shareRead(): number | null } {
  let size = 0;
  let read = 0;
  return {
    async *octets() {
      if (file !== '-') size = statSync(file).size;
      const stream = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 128 * 1024 });
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        read += chunk.length;
        yield chunk;
      }
    },
    shareRead: () => (size === 0 ? null : read / size),
  };
}

import type { Db } from '../db/connect.js';
import type { ImportJob } from './import-jobs.js';
import { decoded } from './import-layout.js';
import { refusalsOf } from './import-refusals.js';
import type { RowProblem } from './import-rows.js';
import { reasonOf } from './row-faults.js';
import { spreadsheetLine, spreadsheetStart } from './spreadsheet.js';

/**
 * The rows that an import could not take, as a CSV for people and their spreadsheets, in slices.
 *
 * @param heading what its columns are called.
 * @param told what each problem is called.
 */
export async function* refusalsAsCsv(
  db: Db,
  job: Pick<ImportJob, 'id'>,
  heading: readonly [line: string, problem: string, text: string] = ['line', 'problem', 'text'],
  told: (problem: RowProblem) => string = reasonOf,
): AsyncGenerator<string> {
  yield spreadsheetStart + spreadsheetLine(heading);
  for await (const rows of refusalsOf(db, job)) {
    const lines = rows.map(({ line, problem, text }) =>
      spreadsheetLine([String(line), told(problem), text === null ? '' : decoded(text)]),
    );
    yield lines.join('');
  }
}

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { refusalsAsCsv } from '../core/import-refusals-csv.js';
import { cutOff, cutOffWhenStalled } from '../http/cut-off.js';
import { NOT_KEPT } from '../http/respond.js';
import { importOf } from './import.js';
import type { ListVisit, Screen } from './screen.js';

/** The rows that an import could not take, as a file for spreadsheets. */
export const importRefused: Screen<ListVisit> = {
  async show(visit) {
    const { deps, req, res, t } = visit;
    const job = await importOf(visit);
    res.writeHead(200, {
      ...NOT_KEPT,
      'Content-Type': 'text/csv; charset=utf-8',
      'Content-Disposition': `attachment; filename="refused-${job.publicId}.csv"`,
    });
    if (req.method === 'HEAD') {
      res.end();
      return null;
    }
    cutOffWhenStalled(res);
    const heading = [t('imports.csv.line'), t('imports.csv.problem'), t('imports.csv.text')] as const;
    const csv = Readable.from(refusalsAsCsv(deps.db, job, heading, (problem) => t(`imports.row.${problem}`)));
    // Before the pipeline ends the answer: broken off, it must not look whole.
    csv.on('error', () => cutOff(res));
    await pipeline(csv, res);
    return null;
  },
};

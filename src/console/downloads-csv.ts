import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readAccessLog, type AccessPlace, type AccessScope } from '../core/access-log.js';
import { spreadsheetLine, spreadsheetStart } from '../core/spreadsheet.js';
import { createLocalClock } from '../core/time-zone.js';
import { cutOff, cutOffWhenStalled } from '../http/cut-off.js';
import { NOT_KEPT } from '../http/respond.js';
import { accessShown, listScope, mailerScope } from './downloads.js';
import { mailerOf } from './mailer-page.js';
import type { AccountVisit, ListVisit, Screen } from './screen.js';

const rowsAtOnce = 500;

/** The access log as a file for a spreadsheet, all of it, newest first. */
export const listDownloadsCsv: Screen<ListVisit> = {
  async show(visit) {
    await send(visit, await listScope(visit), `access-log-${visit.list.publicId}.csv`);
    return null;
  },
};

export const mailerDownloadsCsv: Screen<AccountVisit> = {
  async show(visit) {
    const mailer = await mailerOf(visit);
    await send(visit, mailerScope(mailer), `access-log-mailer-${mailer.id}.csv`);
    return null;
  },
};

async function send(visit: AccountVisit, scope: AccessScope, fileName: string): Promise<void> {
  const { req, res } = visit;
  const lines = linesOf(visit, scope);
  // What fails at once is told with a page.
  const first = await lines.next();
  res.writeHead(200, {
    ...NOT_KEPT,
    'Content-Type': 'text/csv; charset=utf-8',
    'Content-Disposition': `attachment; filename="${fileName}"`,
  });
  if (req.method === 'HEAD') return void res.end();
  cutOffWhenStalled(res);
  const file = Readable.from(rest(first, lines));
  // Before the pipeline ends the answer: broken off, it must not look whole.
  file.on('error', () => cutOff(res));
  await pipeline(file, res);
}

async function* rest(first: IteratorResult<string>, lines: AsyncIterable<string>): AsyncGenerator<string> {
  if (first.done !== true) yield first.value;
  yield* lines;
}

async function* linesOf(visit: AccountVisit, scope: AccessScope): AsyncGenerator<string> {
  const { deps, t, formats } = visit;
  const clock = createLocalClock(formats.zone);
  const columns = ['time', 'list', 'who', 'key', 'ip', 'extentName', 'formatName', 'entries', 'outcomeName'];
  let text =
    spreadsheetStart + spreadsheetLine(columns.map((name) => t(`downloads.${name}`, { zone: formats.zone })));
  for (let before: AccessPlace | null = null; ;) {
    const { entries, next } = await readAccessLog(deps.db, scope, { before, limit: rowsAtOnce });
    for (const row of await accessShown(visit, entries)) {
      text += spreadsheetLine([
        ...[clock.text(row.at), row.list, row.who, row.isByConsole ? t('downloads.byConsole') : row.ending],
        ...[row.ip, row.extent, row.format],
        ...[row.entries === null ? '' : String(row.entries), t(`downloads.outcome.${row.outcome}`)],
      ]);
    }
    yield text;
    text = '';
    if (next === null) return;
    before = next;
  }
}

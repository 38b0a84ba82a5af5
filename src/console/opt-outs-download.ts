import { pipeline } from 'node:stream/promises';
import { checkZipPassword } from '../core/account-settings.js';
import { notExpressed } from '../core/entry-texts.js';
import { getCounts } from '../core/feed.js';
import { withoutAddress } from '../core/found-removals.js';
import { noteChange } from '../core/history.js';
import type { OptOutFilter } from '../core/opt-out-filter.js';
import { countFound, untilTakenUp } from '../core/opt-out-find.js';
import type { FoundOptOut } from '../core/opt-out-walks.js';
import { sortLines, type Line } from '../core/sorted-lines.js';
import { createLocalClock } from '../core/time-zone.js';
import { retrying } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { cutOff, cutOffWhenStalled } from '../http/cut-off.js';
import { NOT_KEPT } from '../http/respond.js';
import { zipStream } from '../http/zip.js';
import { fileColumns, fileHeader, fileLines, hasAddress, type FileColumns } from './opt-outs-file.js';
import { emptySearch, filterOf, firstPage, searchIn, searchToken } from './opt-out-search.js';
import { view, type ListVisit, type Screen } from './screen.js';
import { untilGone } from './until-gone.js';

const page = view('console/opt-outs-download.ejs');

/** Whose downloads are under way, one a user: the places are the mailers', and most of them stay theirs. */
const downloading = new Set<number>();
const mostAtOnce = 2;

/** What is compressed and encrypted at once: little enough for everyone else. */
const chunkOctets = 32 * 1024;

/**
 * What a search finds, as a CSV for spreadsheets in an encrypted ZIP file. All of it is read and sorted before the
 * first octet goes out (sorted-lines.ts): what fails until then is told as a page; afterwards, the file is cut off.
 */
export const downloadOptOuts: Screen<ListVisit> = {
  async show(visit) {
    const { t, list, deps, formats } = visit;
    const form = searchedIn(visit);
    const base = `/console/lists/${list.publicId}/opt-outs`;
    const token = searchToken(deps, list, firstPage(form));
    const isWhole = JSON.stringify(form) === JSON.stringify(emptySearch);
    return page(t('opt-outs-download.title'), {
      ...{ base, token, back: `${base}?search=${token}`, isWhole },
      hasRemoved: form.state !== 'standing',
      columns: fileColumns,
      withoutAddress: await countWithoutAddress(visit, filterOf(form, formats.zone), isWhole),
    });
  },

  async act(visit) {
    const { deps, form, formats, res, user } = visit;
    const password = checkZipPassword(form?.get('zipPassword') ?? '');
    const filter = filterOf(searchedIn(visit), formats.zone);
    const columns = fileColumns.find((one) => one === form?.get('columns')) ?? 'plain';
    const isFull = deps.state.downloads.size >= deps.config.downloadsAtOnce;
    if (isFull || downloading.has(user.id) || downloading.size >= mostAtOnce) {
      throw new Unavailable('too many downloads are under way');
    }
    downloading.add(user.id);
    deps.state.downloads.add(res);
    try {
      await send(visit, { filter, columns }, password);
    } finally {
      downloading.delete(user.id);
      deps.state.downloads.delete(res);
    }
    return null;
  },
};

function searchedIn({ deps, list, form, query }: ListVisit) {
  const token = (form ?? query).get('search');
  return token === null ? emptySearch : searchIn(deps, list, token).form;
}

/** For so long somebody waits for the count of what would be left out: milliseconds. */
const countMs = 300;

/** How many opt-outs of what is searched for have no address, and whether these are all of them. */
async function countWithoutAddress(
  { deps, list, now }: ListVisit,
  filter: OptOutFilter,
  isWhole: boolean,
): Promise<{ optOuts: number; isAll: boolean }> {
  // By a part of an address, none is found that has no address.
  if (['beginning', 'domain', 'part'].includes(filter.address?.kind ?? ''))
    return { optOuts: 0, isAll: true };
  if (isWhole) return { optOuts: notExpressed(await getCounts(deps.db, list.id), 'plain'), isAll: true };
  const isNone = (row: FoundOptOut) => !hasAddress(row);
  const found = await countFound(deps.db, list.id, filter, { at: now, ms: countMs, accepts: isNone });
  return { optOuts: found.count, isAll: found.place === null };
}

async function send(
  visit: ListVisit,
  { filter, columns }: { filter: OptOutFilter; columns: FileColumns },
  password: string,
): Promise<void> {
  const { deps, list, formats, actor, res, t, now } = visit;
  const { db, config } = deps;
  if (!(await untilTakenUp(db, list.id, 3000))) {
    throw new Unavailable('the newest changes of the list are still to be taken up');
  }
  const clock = createLocalClock(formats.zone);
  const header = fileHeader({ filter, columns });
  let leftOut = 0;
  const sorted = await untilGone(res, (signal) => {
    const asked = { filter, columns, zone: formats.zone, at: now, signal };
    return sortLines(fileLines(db, list.id, asked, (optOuts) => void (leftOut += optOuts)));
  });
  try {
    // Before the first octet: whoever breaks it off has what came until then.
    const details = {
      surface: 'console',
      format: 'csv',
      rows: sorted.lines,
      ...(leftOut === 0 ? {} : { not_expressed: leftOut }),
      ...(columns === 'plain' ? {} : { columns }),
      encrypted: true,
      found_by: withoutAddress(filter),
    };
    const change = { accountId: list.accountId, listId: list.id, actor, action: 'list.downloaded', details };
    await retrying(db, config.databaseTimeoutMs, () => noteChange(db, change));
    const name = `opt-outs-${clock.text(now).replace(/[-:]/g, '').replace(' ', '_')}`;
    res.writeHead(200, {
      ...NOT_KEPT,
      'Content-Type': 'application/zip',
      'Content-Disposition': `attachment; filename="${name}.zip"`,
      'Signoff-Entries-Not-Expressed': String(leftOut),
    });
    cutOffWhenStalled(res);
    const octets = Buffer.byteLength(header) + sorted.octets;
    const encryption = { password, cipher: 'aes-256' } as const;
    // In the file itself, where it would be a row, it has no place.
    const text = `${t('opt-outs-download.note', { count: leftOut, number: formats.number(leftOut) })}\r\n`;
    const note = leftOut === 0 ? null : { name: `${name}-left-out.txt`, text };
    const zip = zipStream(`${name}.csv`, chunksOf(header, sorted.read()), { encryption, octets, note });
    // Before the pipeline ends the answer: broken off, it must not look whole.
    zip.on('error', () => cutOff(res));
    await pipeline(zip, res);
  } finally {
    await sorted.close();
  }
}

async function* chunksOf(header: string, slices: AsyncIterable<readonly Line[]>): AsyncGenerator<Buffer> {
  let text = header;
  for await (const lines of slices) {
    for (const line of lines) text += line.text;
    if (text.length < chunkOctets) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}

import { pipeline } from 'node:stream/promises';
import { checkZipPassword } from '../core/account-settings.js';
import { withoutAddress } from '../core/found-removals.js';
import { noteChange } from '../core/history.js';
import type { OptOutFilter } from '../core/opt-out-filter.js';
import { findAll, untilTakenUp } from '../core/opt-out-find.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { sortLines, type Line } from '../core/sorted-lines.js';
import { spreadsheetLine, spreadsheetStart } from '../core/spreadsheet.js';
import { createLocalClock } from '../core/time-zone.js';
import { retrying } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { cutOff, cutOffWhenStalled } from '../http/cut-off.js';
import { NOT_KEPT } from '../http/respond.js';
import { zipStream } from '../http/zip.js';
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
  show(visit) {
    const { t, list, deps } = visit;
    const form = searchedIn(visit);
    const base = `/console/lists/${list.publicId}/opt-outs`;
    const token = searchToken(deps, list, firstPage(form));
    return Promise.resolve(
      page(t('opt-outs-download.title'), {
        ...{ base, token, back: `${base}?search=${token}` },
        isWhole: JSON.stringify(form) === JSON.stringify(emptySearch),
        hasRemoved: form.state !== 'standing',
      }),
    );
  },

  async act(visit) {
    const { deps, form, formats, res, user } = visit;
    const password = checkZipPassword(form?.get('zipPassword') ?? '');
    const filter = filterOf(searchedIn(visit), formats.zone);
    const isFull = deps.state.downloads.size >= deps.config.downloadsAtOnce;
    if (isFull || downloading.has(user.id) || downloading.size >= mostAtOnce) {
      throw new Unavailable('too many downloads are under way');
    }
    downloading.add(user.id);
    deps.state.downloads.add(res);
    try {
      await send(visit, filter, password);
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

async function send(visit: ListVisit, filter: OptOutFilter, password: string): Promise<void> {
  const { deps, list, formats, actor, res, now } = visit;
  const { db, config } = deps;
  if (!(await untilTakenUp(db, list.id, 3000))) {
    throw new Unavailable('the newest changes of the list are still to be taken up');
  }
  const clock = createLocalClock(formats.zone);
  const hasRemoved = filter.state !== 'standing';
  const header = `${spreadsheetStart}${spreadsheetLine(['created', 'email', 'filtername', ...(hasRemoved ? ['removed'] : [])])}`;
  const sorted = await untilGone(res, (signal) =>
    sortLines(linesOf(visit, filter, { clock, hasRemoved, signal })),
  );
  try {
    // Before the first octet: whoever breaks it off has what came until then.
    const details = {
      surface: 'console',
      format: 'csv',
      rows: sorted.lines,
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
    });
    cutOffWhenStalled(res);
    const octets = Buffer.byteLength(header) + sorted.octets;
    const encryption = { password, cipher: 'aes-256' } as const;
    const zip = zipStream(`${name}.csv`, chunksOf(header, sorted.read()), { encryption, octets });
    // Before the pipeline ends the answer: broken off, it must not look whole.
    zip.on('error', () => cutOff(res));
    await pipeline(zip, res);
  } finally {
    await sorted.close();
  }
}

/** Entries of which only a hash is known have no place in the file. */
async function* linesOf(
  { deps, list, now }: ListVisit,
  filter: OptOutFilter,
  {
    clock,
    hasRemoved,
    signal,
  }: { clock: ReturnType<typeof createLocalClock>; hasRemoved: boolean; signal: AbortSignal },
): AsyncGenerator<Line[]> {
  for await (const rows of findAll(deps.db, list.id, filter, { at: now, signal })) {
    yield rows.flatMap(({ address, tag, created_at, removed_at }) => {
      if (address === null) return [];
      const left = tag.toString() === EVERYTHING ? '' : tag.toString();
      const removed = hasRemoved ? [removed_at === null ? '' : clock.text(removed_at)] : [];
      const cells = [clock.text(created_at), address.toString(), left, ...removed];
      return [{ at: created_at, text: spreadsheetLine(cells) }];
    });
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

import { pipeline } from 'node:stream/promises';
import { getAccountSettings, getZipEncryption } from '../../core/account-settings.js';
import { addressForms } from '../../core/address.js';
import { getCounts } from '../../core/feed.js';
import { listsThatCount } from '../../core/global-list.js';
import { noteChange } from '../../core/history.js';
import type { List } from '../../core/lists.js';
import { datedOptOuts, type DatedOptions, type DatedOptOut } from '../../core/opt-outs-dated.js';
import { sortLines, type Line } from '../../core/sorted-lines.js';
import { createLocalClock, type LocalClock } from '../../core/time-zone.js';
import { retrying, type Db } from '../../db/connect.js';
import { Unavailable } from '../../errors.js';
import { cutOff, cutOffWhenStalled } from '../../http/cut-off.js';
import { HttpError } from '../../http/http-error.js';
import { NOT_KEPT } from '../../http/respond.js';
import { zipStream } from '../../http/zip.js';
import { listIn, surfaceName, textIn, type Body, type Faults } from './call.js';
import { Failure, fault } from './errors.js';
import type { Call } from './index.js';

/** What its users take for granted, being in Japan. */
const defaultTimeZone = 'Asia/Tokyo';

const header = '"created","email","filtername"\n';

/** What is compressed and encrypted at once: little enough for everyone else. */
const chunkOctets = 32 * 1024;

/**
 * A list as a CSV in a ZIP file, oldest first. No index has that order, since the recorder would pay for it
 * with each opt-out, and the feed's is another one where opt-outs were imported. So all of it is read and sorted
 * (sorted-lines.ts) before the first octet goes out: some seconds a million rows. What fails until then is told
 * with a status; afterwards, the file is cut off.
 */
export async function download(call: Call): Promise<void> {
  const { deps, credential, body, res } = call;
  const { state, config } = deps;
  const faults: Faults = [];
  const list = await listIn(deps, credential, body, faults);
  const { timeZone } = await getAccountSettings(deps.db, credential.accountId);
  const clock = createLocalClock(timeZone ?? defaultTimeZone);
  const options = optionsIn(body, clock, call.now, faults);
  if (list === null || faults.length > 0) throw new Failure(400, faults);
  if (state.downloads.size >= config.downloadsAtOnce)
    throw new Unavailable('too many downloads are under way');
  state.downloads.add(res);
  try {
    await send(call, list, clock, options);
  } finally {
    state.downloads.delete(res);
  }
}

function optionsIn(body: Body, clock: LocalClock, at: number, faults: Faults): DatedOptions {
  const part = textIn(body, 'email', faults)?.normalize('NFC').toLowerCase() ?? null;
  const day = (name: 'start_date' | 'end_date', more: number) => {
    const text = textIn(body, name, faults);
    const start = text === null ? null : clock.dayStart(text, more);
    if (text !== null && start === null) faults.push(fault('00-400', name, name, 'yyyy-mm-dd'));
    return start;
  };
  const from = day('start_date', 0);
  // That day is in it, to its end.
  const to = day('end_date', 1);
  if (from !== null && to !== null && from >= to) faults.push(fault('10-003', 'start_date'));
  const tag = textIn(body, 'filter_name', faults)?.normalize('NFC') ?? null;
  const accepts = (address: string) =>
    part === null || addressForms(address).some((form) => form.includes(part));
  return { from, to, tag, accepts, at };
}

async function send(call: Call, list: List, clock: LocalClock, options: DatedOptions): Promise<void> {
  const { deps, credential, res, now } = call;
  const { db, secret, config } = deps;
  // First of all: without its password, nothing is to be read.
  const encryption = await getZipEncryption(db, secret, credential.accountId);
  const listIds = await listsThatCount(db, list.id);
  const notExpressed = await countHashes(db, listIds);
  const sorted = await sortLines(linesOf(datedOptOuts(db, listIds, options), clock, call));
  try {
    // Before the first octet: whoever breaks it off has what came until then.
    const details = { surface: surfaceName, rows: sorted.lines, encrypted: encryption !== null };
    const actor = `credential ${credential.id}`;
    const change = { accountId: list.accountId, listId: list.id, actor, action: 'list.downloaded', details };
    await retrying(db, config.databaseTimeoutMs, () => noteChange(db, change));

    const name = `unsubscribes-${clock.text(now).replace(/[-:]/g, '').replace(' ', '_')}`;
    res.writeHead(200, {
      ...NOT_KEPT,
      'Content-Type': 'application/octet-stream',
      'Content-Disposition': `attachment; filename="${name}.zip"`,
      'Signoff-Entries-Not-Expressed': String(notExpressed),
    });
    cutOffWhenStalled(res);
    const octets = header.length + sorted.octets;
    const zip = zipStream(`${name}.csv`, chunksOf(sorted.read()), { encryption, octets });
    // Before the pipeline ends the answer: broken off, it must not look whole.
    zip.on('error', () => cutOff(res));
    await pipeline(zip, res);
  } finally {
    await sorted.close();
  }
}

/** Entries of which only a hash is known have no place in the file. */
async function countHashes(db: Db, listIds: readonly number[]): Promise<number> {
  let count = 0;
  for (const id of listIds) {
    const { md5_only, sha256_only, erased } = await getCounts(db, id);
    count += md5_only + sha256_only + erased;
  }
  return count;
}

async function* linesOf(
  slices: AsyncIterable<readonly DatedOptOut[]>,
  clock: LocalClock,
  { res }: Call,
): AsyncGenerator<Line[]> {
  for await (const slice of slices) {
    if (res.destroyed) throw new HttpError(400, 'incomplete', 'The client has gone.');
    yield slice.map(({ createdAt, address, tag }) => ({
      at: createdAt,
      text: `${quoted(clock.text(createdAt))},${quoted(address)},${quoted(tag)}\n`,
    }));
  }
}

/**
 * Exact, also where an address begins with `=` or `+`: this is read by programs, and what they write back, to
 * cancel it, has to be the address. People who open it in a spreadsheet are told so in the documentation.
 */
function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

async function* chunksOf(slices: AsyncIterable<readonly Line[]>): AsyncGenerator<Buffer> {
  let text = header;
  for await (const lines of slices) {
    for (const line of lines) text += line.text;
    if (text.length < chunkOctets) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}

import { pipeline } from 'node:stream/promises';
import { setImmediate as everyoneElse } from 'node:timers/promises';
import { noteChange } from '../core/history.js';
import { linksFor } from '../core/link-minting.js';
import { withLinks, type LinkResult } from '../core/link-rows.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { newestLinkKey, type LinkKey } from '../core/signed-links.js';
import { retrying } from '../db/connect.js';
import { Refused } from '../errors.js';
import { cutOff, cutOffWhenStalled } from '../http/cut-off.js';
import { closeUnread, problemOf } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import { NOT_KEPT } from '../http/respond.js';
import { openSpool, type Spool } from '../http/spool.js';
import { readUpload } from '../http/upload.js';
import { checkUploadToken } from './door.js';
import { view, type ListVisit, type PageAnswer, type Screen } from './screen.js';
import { hasConsoleText } from './texts.js';

const page = view('console/links.ejs');

/** Of a file: 50 MB, about a million addresses. */
export const mostOctets = 50 * 1024 ** 2;

/** What is read at once, in some milliseconds: an address takes some microseconds to encrypt. */
const sliceOctets = 8 * 1024;

/** The signed links of a list: a file of addresses comes back with a link for each. */
export const links: Screen<ListVisit> = {
  takesUpload: true,
  show: (visit) => linksPage(visit),
  async act(visit) {
    try {
      await minted(visit);
      return null;
    } catch (error) {
      const { req, res } = visit;
      const fault = res.headersSent ? null : faultOf(visit, error);
      if (fault === null) throw error;
      const { status } = problemOf(visit.deps, error);
      closeUnread(req, res, status);
      return { ...(await linksPage(visit, { fault })), status: error instanceof HttpError ? status : 422 };
    }
  },
};

export async function linksPage(
  { deps, t, list, query }: ListVisit,
  data: Record<string, unknown> = {},
): Promise<PageAnswer> {
  const { number } = await newestLinkKey(deps.db, deps.secret, list);
  const tag = query.get('tag') ?? '';
  return page(t('links.title'), {
    ...{ fault: null, verified: null, keyNumber: number },
    tag: list.tags.has(tag) ? tag : '',
    tags: [...list.tags].sort((a, b) => a.localeCompare(b)).map((known) => [known, known]),
    // As people count them.
    most: (mostOctets / 1024 ** 2) * 1e6,
    ...data,
  });
}

/** All of it is made before the first octet goes out: a browser reads nothing while it sends. */
async function minted(visit: ListVisit): Promise<void> {
  const { deps, req, res, list, actor } = visit;
  // Files that are taken and given back share their places.
  const underWay = deps.state.scrubs;
  if (underWay.size >= deps.config.scrubsAtOnce || [...underWay.values()].includes(actor)) throw busy;
  underWay.set(res, actor);
  try {
    const spool = await openSpool(deps.config.spoolDir);
    try {
      const key = await newestLinkKey(deps.db, deps.secret, list);
      const counts = await readUpload(req, { limit: mostOctets }, (octets, { fields }) => {
        checkUploadToken(visit, fields);
        return mintInto(spool, octets, visit, key, fields);
      });
      const details = { key: key.number, ...counts };
      const change = { accountId: list.accountId, listId: list.id, actor, action: 'links.minted', details };
      await retrying(deps.db, deps.config.databaseTimeoutMs, () => noteChange(deps.db, change));
      await send(visit, spool);
    } finally {
      await spool.close();
    }
  } finally {
    underWay.delete(res);
  }
}

const busy = new HttpError(503, 'busy', 'Other files are under way: send it again later.', undefined, 10);

async function mintInto(
  spool: Spool,
  octets: AsyncIterable<Buffer>,
  { deps, list }: ListVisit,
  key: LinkKey,
  fields: URLSearchParams,
): Promise<{ links: number; refused: number }> {
  const tag = fields.get('tag') ?? '';
  const make = linksFor(deps.baseUrl, list, key, list.tags.has(tag) ? tag : EVERYTHING);
  const counts = { links: 0, refused: 0 };
  const linkOf = (address: string, tagCell: string | null): LinkResult => {
    const result = make(address, tagCell);
    if (result.ok) counts.links++;
    return result;
  };
  const options = {
    column: filledIn(fields, 'column'),
    tagColumn: filledIn(fields, 'tagColumn'),
    withProblems: true as const,
    linkOf,
    onRefused: () => counts.refused++,
  };
  try {
    for await (const { octets: made } of withLinks(inSlices(octets), options)) await spool.write(made);
  } catch (error) {
    if (error instanceof RangeError) throw new Refused('not-text', 'The file is no text of lines.');
    throw error;
  }
  return counts;
}

function filledIn(fields: URLSearchParams, name: string): string | null {
  const text = (fields.get(name) ?? '').trim().slice(0, 200);
  return text === '' ? null : text;
}

async function* inSlices(octets: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of octets) {
    for (let i = 0; i < chunk.length; i += sliceOctets) {
      yield chunk.subarray(i, i + sliceOctets);
      await everyoneElse();
    }
  }
}

async function send({ deps, list, res }: ListVisit, spool: Spool): Promise<void> {
  res.writeHead(200, {
    ...NOT_KEPT,
    'Content-Type': 'text/csv; charset=utf-8',
    'Content-Disposition': `attachment; filename="${list.publicId}-links.csv"`,
    'Content-Length': spool.octets,
  });
  cutOffWhenStalled(res);
  try {
    await pipeline(spool.read(), res);
  } catch (error) {
    cutOff(res);
    throw error;
  } finally {
    // Whoever has the answer may send the next file at once.
    deps.state.scrubs.delete(res);
  }
}

/** What is wrong with a file that was uploaded, and what to do; null for what is not the file's doing. */
function faultOf({ t }: ListVisit, error: unknown): string | null {
  const code = error instanceof HttpError ? error.code : error instanceof Refused ? error.reason : '';
  const key = [`links.fault.${code}`, `imports.fault.${code}`].find(hasConsoleText);
  return key === undefined ? null : t(key);
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { logDownload, logDownloadEnd } from '../core/downloads.js';
import { noteScrub } from '../core/fetches.js';
import { listsThatCount } from '../core/global-list.js';
import { CutOff } from '../core/import-octets.js';
import type { List } from '../core/lists.js';
import { scrub as scrubFile, type Scrubbed } from '../core/scrub.js';
import type { Deps } from '../deps.js';
import { NotFound, Refused } from '../errors.js';
import { longestUploadMs } from '../http/body-time.js';
import { cutOffWhenStalled } from '../http/cut-off.js';
import { scrubHeaders } from '../http/door-answers.js';
import { sendProblemJson } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import type { CountedDoor } from '../http/metrics.js';
import { queryOf } from '../http/request.js';
import { NOT_KEPT, sendNothing } from '../http/respond.js';
import { readUpload } from '../http/upload.js';
import { authoriseDownload, type Downloader } from './access.js';
import { readScrubRequest, tagThatCounts, type ScrubRequest } from './request.js';
import { openSpool, type Spool } from './spool.js';

const allow = 'POST, OPTIONS';

/**
 * `POST /l/:list/scrub`: a mailer's file, held against the list; back comes what must not be mailed (the
 * black list), or what may be (the white list). Nothing of it is kept.
 *
 * Who may download the list may do it, also with plain addresses where only hashes may be downloaded: what
 * comes back is the mailer's own, and which of it is suppressed is what the hashes of the download tell too.
 */
export function scrub(deps: Deps) {
  const underWay = deps.state.scrubs;

  return async (req: IncomingMessage, res: ServerResponse, listId: string): Promise<CountedDoor> => {
    try {
      if (req.method === 'OPTIONS') sendNothing(res, { Allow: allow });
      else if (req.method !== 'POST')
        throw new HttpError(405, 'method', 'A file is scrubbed by POST.', allow);
      else {
        const list = await deps.findList(listId);
        if (list === null) throw new NotFound('There is no such list.');
        const mailer = await authoriseDownload(deps, req, list);
        const request = readScrubRequest(queryOf(req));
        const tag = await tagThatCounts(deps.db, list, await listsThatCount(deps.db, list.id), request.tag);
        // However slowly one mailer sends its files, it leaves room for the others.
        if ([...underWay.values()].includes(mailer.mailer.id)) throw busyWithYours;
        if (underWay.size >= deps.config.scrubsAtOnce) throw busy;
        underWay.set(res, mailer.mailer.id);
        try {
          await answer(deps, req, res, list, mailer, { ...request, tag });
        } finally {
          underWay.delete(res);
        }
      }
    } catch (error) {
      if (res.destroyed || res.headersSent) {
        deps.log.warn({ err: error }, 'a scrub was cut off');
        res.destroy();
      } else {
        if (error instanceof HttpError && error.cause !== undefined) {
          deps.log.warn({ err: error.cause }, 'a scrub has found no room');
        }
        sendProblemJson(deps, req, res, translated(error));
      }
    }
    return 'scrub';
  };
}

const busyBecause = (why: string) =>
  new HttpError(503, 'busy', `${why} under way: send the file again later.`, undefined, 10);
const busy = busyBecause('Other scrubs are');
const busyWithYours = busyBecause('Another scrub of yours is');
const tooLong = new HttpError(503, 'too-long', 'The scrub has taken too long: send the file in parts.');

type Asked = Omit<ScrubRequest, 'tag'> & { readonly tag: string | undefined };

async function answer(
  deps: Deps,
  req: IncomingMessage,
  res: ServerResponse,
  list: List,
  mailer: Downloader,
  asked: Asked,
): Promise<void> {
  const spool = await openSpool(deps.config.spoolDir);
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  const timer = setTimeout(() => gone.abort(tooLong), longestUploadMs);
  try {
    const scrubbed: Scrubbed = { items: 0, suppressed: 0, refused: 0, refusedLines: [] };
    await readUpload(req, { limit: null }, async (octets) => {
      const options = { ...asked, at: Date.now(), signal: gone.signal };
      const chunks = scrubFile(deps.db, list.id, octets, options, scrubbed);
      for await (const chunk of chunks) await spool.write(chunk);
    });
    if (scrubbed.items === 0) throw nothingIn(scrubbed);
    gone.signal.throwIfAborted();
    await send(deps, req, res, list, mailer, asked, scrubbed, spool);
  } finally {
    clearTimeout(timer);
    await spool.close();
  }
}

async function send(
  deps: Deps,
  { socket }: IncomingMessage,
  res: ServerResponse,
  list: List,
  { mailer, accessKeyId, ip }: Downloader,
  { returns }: Asked,
  scrubbed: Scrubbed,
  spool: Spool,
): Promise<void> {
  const { items, suppressed } = scrubbed;
  const entries = returns === 'black' ? suppressed : items - suppressed;
  const logged = { extent: 'scrub', format: returns, status: 200, entries } as const;
  const downloadId = await logDownload(deps.db, {
    ...{ listId: list.id, mailerId: mailer.id, accessKeyId, ip },
    ...logged,
  });
  cutOffWhenStalled(res);
  const octetsBefore = socket.bytesWritten;
  res.writeHead(200, {
    ...NOT_KEPT,
    ...scrubHeaders(list, returns, scrubbed),
    'Content-Length': spool.octets,
  });
  let isWhole = false;
  try {
    await pipeline(spool.read(), res);
    isWhole = true;
  } finally {
    // Whoever has the answer may send the next file at once.
    deps.state.scrubs.delete(res);
    const octets = socket.bytesWritten - octetsBefore;
    deps.metrics.download({ ...logged, isWhole, octets });
  }
  try {
    await logDownloadEnd(deps.db, downloadId, entries);
    await noteScrub(deps.db, { listId: list.id, mailerId: mailer.id });
  } catch (error) {
    deps.log.warn({ err: error }, 'the end of a scrub could not be logged');
  }
}

function nothingIn({ refused }: Scrubbed): HttpError {
  return refused === 0
    ? new HttpError(400, 'empty', 'The file is empty.')
    : new HttpError(
        400,
        'no-items',
        `None of the ${refused} lines is an address, an MD5 or a SHA-256: send one a line.`,
      );
}

/** What the reader of texts says of a file: it is no matter of rights here. */
function translated(error: unknown): unknown {
  if (error instanceof CutOff)
    return new HttpError(400, error.reason, `The upload cannot be read: ${error.message}.`);
  return error instanceof Refused && (error.reason === 'archive' || error.reason === 'encoding')
    ? new HttpError(415, error.reason, error.message)
    : error;
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { tagThatCounts } from '../core/asked-tag.js';
import { logDownload, logDownloadEnd } from '../core/downloads.js';
import { readEntriesSince } from '../core/entries-since.js';
import { readChanges } from '../core/entries.js';
import { notExpressed } from '../core/entry-texts.js';
import { cursorText, getFeed, readCursor } from '../core/feed.js';
import type { Fetch } from '../core/fetches.js';
import { getGlobalMark, withGlobal } from '../core/global-list.js';
import { checkFormat } from '../core/list-doors.js';
import type { List } from '../core/lists.js';
import { refuseWhileRestoring } from '../core/removals-under-way.js';
import type { Deps } from '../deps.js';
import { NotFound, Unavailable } from '../errors.js';
import { downloadHeaders } from '../http/door-answers.js';
import { sendProblemJson } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import { sendListFile, wholeList } from '../http/list-file.js';
import type { CountedDoor } from '../http/metrics.js';
import { queryOf } from '../http/request.js';
import { sendNothing } from '../http/respond.js';
import { authoriseDownload } from './access.js';
import { readDownloadRequest, type DownloadRequest } from './request.js';
import { countsOfAll, etagOf, isAnyPending, matches } from './unchanged.js';

const allow = 'GET, HEAD, OPTIONS';

/** `GET /l/:list/download`: the suppression list, to those who may have it. */
export function download(deps: Deps) {
  const underWay = deps.state.downloads;

  return async (req: IncomingMessage, res: ServerResponse, listId: string): Promise<CountedDoor> => {
    try {
      if (req.method === 'OPTIONS') sendNothing(res, { Allow: allow });
      else if (req.method !== 'GET' && req.method !== 'HEAD') {
        throw new HttpError(405, 'method', 'A list is downloaded by GET.', allow);
      } else {
        const list = await deps.findList(listId);
        if (list === null) throw new NotFound('There is no such list.');
        const downloader = await authoriseDownload(deps, req, list);
        const request = readDownloadRequest(queryOf(req));
        checkFormat(downloader.mailer, request.format);
        if (underWay.size >= deps.config.downloadsAtOnce)
          throw new Unavailable('too many downloads are under way');
        underWay.add(res);
        try {
          await answer(deps, req, res, list, downloader, request);
        } finally {
          underWay.delete(res);
        }
      }
    } catch (error) {
      if (!res.headersSent) sendProblemJson(deps, req, res, error);
      else if ((error as { code?: string }).code !== 'ERR_STREAM_PREMATURE_CLOSE') {
        deps.log.warn({ err: error }, 'a download was cut off');
      }
    }
    return 'download';
  };
}

async function answer(
  deps: Deps,
  req: IncomingMessage,
  res: ServerResponse,
  list: List,
  downloader: Awaited<ReturnType<typeof authoriseDownload>>,
  request: DownloadRequest,
): Promise<void> {
  const { db } = deps;
  const reachedAt = Date.now();
  // The feed's state is read before the rows are: what is newer than the cursor comes again with the next delta.
  const feed = await getFeed(db);
  // After the feed, and not from the list cache: no cursor from after a mark goes out with a body from before it.
  const mark = await getGlobalMark(db, list.accountId);
  const listIds = withGlobal(list.id, mark.listId);
  // Deltas go on: they carry who comes back as new.
  if (request.cursor === null) await refuseWhileRestoring(db, listIds);
  const tag = await tagThatCounts(db, list, listIds, request.tag);
  // Asked before the counts: what is numbered between the two has another ETag.
  const ifNoneMatch = req.headers['if-none-match'];
  const isSettled = ifNoneMatch !== undefined && !(await isAnyPending(db, listIds));
  const counts = await countsOfAll(db, listIds);
  const from = request.cursor === null ? null : readCursor(feed, request.cursor, mark.number);
  const isGzip = request.isGzipFile || acceptsGzip(req);
  const state = [list.publicId, feed.epoch, mark, counts.map(({ last_number }) => last_number)];
  const etag = etagOf([...state, request, isGzip]);
  const isUnchanged = isSettled && matches(ifNoneMatch, etag);

  const { mailer, accessKeyId, ip } = downloader;
  const status = isUnchanged ? 304 : 200;
  const extent = from !== null ? 'delta' : request.since !== null ? 'since' : 'all';
  const format = request.format;
  const downloadId = await logDownload(db, {
    listId: list.id,
    mailerId: mailer.id,
    accessKeyId,
    ip,
    extent,
    format,
    status,
  });

  res.writeHead(status, {
    'Cache-Control': 'no-store, no-transform',
    Vary: 'Accept-Encoding',
    'Accept-Ranges': 'none',
    ETag: etag,
    'Signoff-Cursor': cursorText(feed),
    'Signoff-Entries-Not-Expressed': String(sum(counts.map((held) => notExpressed(held, format)))),
    ...(isUnchanged ? {} : bodyHeaders(list, request, isGzip)),
  });
  if (isUnchanged || req.method === 'HEAD') {
    res.end();
    await logDownloadEnd(db, downloadId, 0);
    return;
  }

  const options = { tag, at: Date.now() };
  const slices =
    from !== null
      ? readChanges(
          db,
          listIds,
          { from, to: feed.lastNumber },
          { ...options, withoutSha256Only: format !== 'sha256' },
        )
      : request.since !== null
        ? readEntriesSince(db, listIds, request.since, options)
        : wholeList(deps, listIds, { ...options, format });
  const fetch: Fetch = {
    ...{ downloadId, listId: list.id, mailerId: mailer.id, listIds, markedAt: mark.number },
    ...{ extent, from: from ?? request.since, reached: feed.lastNumber, reachedAt },
  };
  const { fileType } = request;
  await sendListFile(deps, req, res, { slices, format, fileType, isGzip, isOfTag: tag !== undefined, fetch });
}

function bodyHeaders(list: List, request: DownloadRequest, isGzip: boolean): Record<string, string> {
  return {
    ...downloadHeaders(list, request),
    ...(isGzip && !request.isGzipFile ? { 'Content-Encoding': 'gzip' } : {}),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => one + other, 0);
}

function acceptsGzip(req: IncomingMessage): boolean {
  const header = String(req.headers['accept-encoding'] ?? '').toLowerCase();
  return header
    .split(',')
    .some((part) => /^\s*(gzip|x-gzip)\s*(;|$)/.test(part) && !/;\s*q\s*=\s*0(\.0*)?\s*$/.test(part));
}

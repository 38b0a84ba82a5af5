import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { logDownload, logDownloadEnd, type Download } from '../core/downloads.js';
import { noteScrub } from '../core/fetches.js';
import type { List } from '../core/lists.js';
import { scrub, type Returns, type Scrubbed } from '../core/scrub.js';
import type { Db } from '../db/connect.js';
import type { Deps } from '../deps.js';
import { longestUploadMs } from './body-time.js';
import { cutOffWhenStalled } from './cut-off.js';
import { scrubHeaders } from './door-answers.js';
import { HttpError } from './http-error.js';
import { NOT_KEPT } from './respond.js';
import { openSpool, type Spool } from './spool.js';
import { readUpload } from './upload.js';

/** What is asked of a scrub. */
export interface ScrubAsked {
  readonly returns: Returns;
  /** Undefined for all of the list. */
  readonly tag: string | undefined;
}

/** Who has a file scrubbed. */
export interface Scrubbing {
  readonly list: List;
  /** A mailer's id, or `user:<id>`: each has one at a time. */
  readonly who: number | string;
  /** @param fields those of a form that stand before the file. */
  asked(fields: URLSearchParams): ScrubAsked;
  /**
   * Notes who is given what, before the first octet of it.
   *
   * @returns what is to be noted once all of it has gone out.
   */
  log(given: { readonly returns: Returns; readonly entries: number }): Promise<() => Promise<void>>;
}

/**
 * Takes a file, and gives back what of it is suppressed, or is not. Nothing of it is kept.
 *
 * @throws HttpError 503 while too many are under way, or another one of the same.
 */
export async function scrubUpload(
  deps: Deps,
  req: IncomingMessage,
  res: ServerResponse,
  scrubbing: Scrubbing,
): Promise<void> {
  const underWay = deps.state.scrubs;
  // However slowly one mailer sends its files, it leaves room for the others.
  if ([...underWay.values()].includes(scrubbing.who)) throw busyWithYours;
  if (underWay.size >= deps.config.scrubsAtOnce) throw busy;
  underWay.set(res, scrubbing.who);
  try {
    await answer(deps, req, res, scrubbing);
  } finally {
    underWay.delete(res);
  }
}

/** A line of the access log for each scrub of a mailer's. */
export function loggedForMailer(
  db: Db,
  by: Pick<Download, 'listId' | 'mailerId' | 'accessKeyId' | 'ip'>,
): Scrubbing['log'] {
  return async ({ returns, entries }) => {
    const logged = { extent: 'scrub', format: returns, status: 200, entries } as const;
    const downloadId = await logDownload(db, { ...by, ...logged });
    return async () => {
      await logDownloadEnd(db, downloadId, entries);
      await noteScrub(db, by);
    };
  };
}

const busyBecause = (why: string) =>
  new HttpError(503, 'busy', `${why} under way: send the file again later.`, undefined, 10);
const busy = busyBecause('Other scrubs are');
const busyWithYours = busyBecause('Another scrub of yours is');
const tooLong = new HttpError(503, 'too-long', 'The scrub has taken too long: send the file in parts.');

async function answer(
  deps: Deps,
  req: IncomingMessage,
  res: ServerResponse,
  scrubbing: Scrubbing,
): Promise<void> {
  const spool = await openSpool(deps.config.spoolDir);
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  const timer = setTimeout(() => gone.abort(tooLong), longestUploadMs);
  try {
    const scrubbed: Scrubbed = { items: 0, suppressed: 0, refused: 0, refusedLines: [] };
    const { returns } = await readUpload(req, { limit: null }, async (octets, { fields }) => {
      const asked = scrubbing.asked(fields);
      const options = { ...asked, at: Date.now(), signal: gone.signal };
      const chunks = scrub(deps.db, scrubbing.list.id, octets, options, scrubbed);
      for await (const chunk of chunks) await spool.write(chunk);
      return asked;
    });
    if (scrubbed.items === 0) throw nothingIn(scrubbed);
    gone.signal.throwIfAborted();
    await send(deps, req, res, scrubbing, returns, scrubbed, spool);
  } finally {
    clearTimeout(timer);
    await spool.close();
  }
}

async function send(
  deps: Deps,
  { socket }: IncomingMessage,
  res: ServerResponse,
  scrubbing: Scrubbing,
  returns: Returns,
  scrubbed: Scrubbed,
  spool: Spool,
): Promise<void> {
  const { items, suppressed } = scrubbed;
  const entries = returns === 'black' ? suppressed : items - suppressed;
  const logEnd = await scrubbing.log({ returns, entries });
  cutOffWhenStalled(res);
  const octetsBefore = socket.bytesWritten;
  res.writeHead(200, {
    ...NOT_KEPT,
    ...scrubHeaders(scrubbing.list, returns, scrubbed),
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
    deps.metrics.download({ extent: 'scrub', format: returns, entries, isWhole, octets });
  }
  try {
    await logEnd();
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

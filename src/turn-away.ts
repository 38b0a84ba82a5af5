import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Deps } from './deps.js';
import { retryAfterSeconds, sendProblemJson, tooBusy } from './http/errors.js';
import { chooseLanguage } from './http/locale.js';
import type { CountedDoor } from './http/metrics.js';
import { queryOf } from './http/request.js';
import { sendHtml, sendText } from './http/respond.js';
import { pagePolicy } from './http/security-headers.js';
import { renderProblemPage } from './http/views.js';
import { whoAsks } from './opt-out/who-asks.js';
import { surfaces } from './surfaces.js';

const logEveryMs = 10_000;

/**
 * Answers those who cannot be served in time: 503 and `Retry-After`, in the form of the door that they came to. Nothing
 * has been read of them but their head, and nothing is looked up: this has to cost far less than any answer.
 */
export function turnAway(deps: Deps): RequestListener {
  const { log, metrics } = deps;
  const sendPage = pageSender();
  let loggedAt = -Infinity;
  let count = 0;
  return (req, res) => {
    closeIfLong(req, res);
    metrics.turnedAway(answer(req, res));
    count++;
    const now = performance.now();
    if (now - loggedAt < logEveryMs) return;
    log.warn(
      { turned_away: count },
      'more requests come than can be answered in time: some are answered 503',
    );
    loggedAt = now;
    count = 0;
  };

  function answer(req: IncomingMessage, res: ServerResponse): CountedDoor {
    const { url = '' } = req;
    const door = linkDoorOf(req);
    if (door !== null) {
      if (door === 'page' || recipientsForms.has(door)) sendPage(req, res);
      else sendProblemJson(deps, req, res, tooBusy);
      return door;
    }
    const surface = surfaces.find(({ pathsBegin }) => url.startsWith(pathsBegin));
    if (surface !== undefined) {
      surface.tell(deps, req, res, tooBusy);
      return 'api';
    }
    if (/^\/console\b/.test(url)) {
      // Its pages are made for somebody, and who that is would have to be looked up.
      sendText(res, 503, 'There is too much to do at the moment. Please try again in a few seconds.\n', {
        'Retry-After': String(retryAfterSeconds),
      });
      return 'console';
    }
    sendPage(req, res);
    return 'other';
  }
}

const recipientsForms: ReadonlySet<string> = new Set(['form', 'undo', 'reason'] satisfies CountedDoor[]);

/** What follows on a list's link, or on a signed one. */
const parts: Readonly<Record<string, CountedDoor>> = {
  'opt-out': 'form',
  undo: 'undo',
  reason: 'reason',
  'pixel.gif': 'pixel',
  notify: 'server',
  download: 'download',
  scrub: 'scrub',
};

/** The door that a request would have come to; null where it is for no list's link. */
function linkDoorOf(req: IncomingMessage): CountedDoor | null {
  const [link, part] = /^\/[lo]\/[^/?]+(?:\/([^/?]*))?/i.exec(req.url ?? '') ?? [];
  if (link === undefined) return null;
  if (part !== undefined && part !== '') return parts[part.toLowerCase()] ?? null;
  if (req.method === 'POST') return 'one-click';
  if (req.method !== 'GET') return 'page';
  const asker = whoAsks(req);
  return asker === 'image' ? 'pixel' : asker === 'program' ? 'server' : 'page';
}

/** The page is the same for all who read the language: it is rendered once. */
function pageSender(): RequestListener {
  const pages = new Map<string, Buffer>();
  return (req, res) => {
    const query = req.url?.includes('lang=') === true ? queryOf(req).get('lang') : null;
    const language = chooseLanguage({ query, acceptLanguage: req.headers['accept-language'] });
    const page =
      pages.get(language) ??
      Buffer.from(renderProblemPage({ problem: 'unavailable', language, baseUrl: '', retryAfterSeconds }));
    pages.set(language, page);
    res.setHeader('Content-Security-Policy', pagePolicy(null));
    sendHtml(req, res, 503, page, { 'Retry-After': String(retryAfterSeconds) });
  };
}

/** Octets of a body that is not worth a new connection: Node passes over it by itself. */
const shortBody = 64 * 1024;

/** Nobody is to send an upload to its end only to find that it was not wanted. */
function closeIfLong({ headers }: IncomingMessage, res: ServerResponse): void {
  const length = headers['content-length'] ?? (headers['transfer-encoding'] === undefined ? 0 : Infinity);
  if (Number(length) > shortBody) res.setHeader('Connection', 'close');
}

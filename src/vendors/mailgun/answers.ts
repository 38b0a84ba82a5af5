import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { EVERYTHING, type OptOutRecord } from '../../core/opt-outs.js';
import { HttpError } from '../../http/http-error.js';
import type { Problem } from '../../http/errors.js';
import type { Allowance } from '../../http/rate-limit.js';
import { sendJson, sendText } from '../../http/respond.js';

/** What a call comes to. */
export interface Answer {
  readonly status: 200 | 202;
  readonly body: unknown;
}

export function done(body: object): Answer {
  return { status: 200, body };
}

/** In Mailgun's words, where they are known. */
export const absent = 'Address not found in unsubscribers table';
export const tagAbsent = 'Unsubscribe event for this tag does not exist';

export function notFound(message: string): HttpError {
  return new HttpError(404, 'not-found', message);
}

export function invalid(message: string): HttpError {
  return new HttpError(400, 'invalid', message);
}

/** @param text as it came. */
export function invalidFormat(parameter: string, text: string, where = ''): HttpError {
  return invalid(`Invalid format for parameter ${parameter}: ${text.slice(0, 320)}${where}`);
}

export function send(
  req: IncomingMessage,
  res: ServerResponse,
  { status, body }: { status: number; body: unknown },
  headers: OutgoingHttpHeaders,
): void {
  closeUnread(req, res);
  sendJson(res, status, body, {
    ...{ 'Cache-Control': 'no-store', 'Content-Type': 'application/json; charset=utf-8' },
    ...headers,
  });
}

/** What goes wrong: `{"message": "…"}`, whatever it is. */
export function sendProblem(
  req: IncomingMessage,
  res: ServerResponse,
  { status, title, detail, headers: more }: Problem,
  headers: OutgoingHttpHeaders,
): void {
  if (res.headersSent) return void res.destroy();
  const retryAfter = status === 429 ? { 'Retry-After': headers['X-RateLimit-Reset'] } : {};
  const body = { message: detail ?? title };
  send(req, res, { status, body }, { ...headers, ...retryAfter, ...more });
}

/** Plain text, unlike all else: so the service has answered since its beginnings (its clients print it as it is). */
export function sendUnknownKey(
  req: IncomingMessage,
  res: ServerResponse,
  headers: OutgoingHttpHeaders,
): void {
  closeUnread(req, res);
  sendText(res, 401, 'Forbidden\n', {
    ...headers,
    ...{ 'Cache-Control': 'no-store', 'WWW-Authenticate': 'Basic realm="MG API"' },
  });
}

/** Octets of a body that nobody has read would be taken for the connection's next request. */
function closeUnread(req: IncomingMessage, res: ServerResponse): void {
  if (!req.complete) res.setHeader('Connection', 'close');
}

export function rateHeaders({ limit, remaining, resetSeconds }: Allowance): OutgoingHttpHeaders {
  return {
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(remaining),
    'X-RateLimit-Reset': String(resetSeconds),
  };
}

/** RFC 2822, with the zone's name as Mailgun writes it. */
export function timeText(ms: number): string {
  return new Date(ms).toUTCString().replace(/GMT$/, 'UTC');
}

/** An entry: all tags of one address, whichever list they stand on, and when the first of them was left. */
export function recordOf(address: string, optOuts: readonly OptOutRecord[]) {
  const tags = new Set(optOuts.map(({ tag }) => tag.toString()));
  const named = [...tags].filter((tag) => tag !== EVERYTHING).sort();
  return {
    address,
    tags: tags.has(EVERYTHING) ? [EVERYTHING, ...named] : named,
    created_at: timeText(Math.min(...optOuts.map(({ created_at }) => created_at))),
  };
}

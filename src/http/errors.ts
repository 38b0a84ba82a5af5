import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDatabaseUnavailable } from '../db/connect.js';
import type { Deps } from '../deps.js';
import { CursorGone, Invalid, NotFound, Refused, TooMany, Unavailable } from '../errors.js';
import { HttpError } from './http-error.js';
import { chooseLanguage } from './locale.js';
import { sendHtml, sendJson } from './respond.js';
import { queryOf } from './request.js';
import { renderProblemPage, type ProblemCode } from './views.js';

/** What is told of an error: RFC 9457's members, and what the pages need. */
export interface Problem {
  readonly status: number;
  /** A stable code, the same in every language. */
  readonly code: string;
  readonly title: string;
  readonly detail?: string;
  readonly field?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Under which it stands in the log. */
  readonly errorId?: string;
}

/** Seconds after which to try again when the database is away. */
export const retryAfterSeconds = 5;

/** The code, and what is said of it. */
const unavailable = {
  code: 'unavailable',
  title: 'This cannot be done at the moment. Nothing is lost: send the same request again.',
} as const;

/** For those who cannot be served in time; made once, since there are many of them then. */
export const tooBusy = new HttpError(503, unavailable.code, unavailable.title, undefined, retryAfterSeconds);

/**
 * Translates what a core function threw, once for all surfaces. What is unknown is logged with an id,
 * and told by that id alone.
 */
export function problemOf(deps: Deps, error: unknown): Problem {
  if (error instanceof HttpError) {
    const headers = {
      ...(error.allow === undefined ? {} : { Allow: error.allow }),
      ...(error.retryAfter === undefined ? {} : { 'Retry-After': String(error.retryAfter) }),
    };
    return { status: error.status, code: error.code, title: error.message, headers };
  }
  if (error instanceof Invalid) {
    return {
      status: 400,
      code: error.problem,
      title: `The parameter ${error.field} does not pass.`,
      detail: error.message,
      field: error.field,
    };
  }
  if (error instanceof NotFound) return { status: 404, code: 'not-found', title: error.message };
  if (error instanceof TooMany) {
    return { status: 429, code: error.reason, title: 'Too many of these at once.', detail: error.message };
  }
  if (error instanceof Refused) {
    return { status: 403, code: error.reason, title: 'This is not allowed.', detail: error.message };
  }
  if (error instanceof CursorGone) return { status: 410, code: 'cursor-gone', title: error.message };
  if (error instanceof Unavailable || isDatabaseUnavailable(deps.db, error)) {
    deps.log.warn({ err: causeOf(error) }, 'answered 503');
    return {
      status: 503,
      ...unavailable,
      headers: { 'Retry-After': String(retryAfterSeconds) },
    };
  }
  const errorId = randomBytes(6).toString('hex');
  deps.log.error({ err: error, error_id: errorId }, 'an unexpected error');
  return { status: 500, code: 'internal', title: `Something went wrong. Its number is ${errorId}.`, errorId };
}

/** Answers a program: a problem document (RFC 9457). */
export function sendProblemJson(deps: Deps, req: IncomingMessage, res: ServerResponse, error: unknown): void {
  const problem = problemOf(deps, error);
  if (res.headersSent) return void res.destroy();
  closeUnread(req, res, problem.status);
  const { status, headers, document } = problemDocumentOf(problem);
  sendJson(res, status, document, headers);
}

/** What a program is answered: a problem document (RFC 9457). */
export function problemDocumentOf({ status, code, title, detail, field, headers, errorId }: Problem): {
  status: number;
  headers: Record<string, string>;
  document: Readonly<Record<string, unknown>>;
} {
  return {
    status,
    headers: { ...headers, 'Content-Type': 'application/problem+json' },
    document: { type: 'about:blank', title, status, code, detail, field, error_id: errorId },
  };
}

const pageOf: Partial<Record<number, ProblemCode>> = {
  400: 'bad-request',
  404: 'not-found',
  413: 'too-large',
  415: 'unsupported-type',
  429: 'too-many-requests',
  503: 'unavailable',
};

/** Answers a person, in their language. */
export function sendProblemPage(deps: Deps, req: IncomingMessage, res: ServerResponse, error: unknown): void {
  const problem = problemOf(deps, error);
  if (res.headersSent) return void res.destroy();
  closeUnread(req, res, problem.status);
  const known = pageOf[problem.status] ?? (problem.status < 500 ? 'bad-request' : 'internal');
  const page = renderProblemPage({
    problem: problem.code === 'incomplete' ? 'incomplete' : known,
    language: chooseLanguage({
      query: queryOf(req).get('lang'),
      acceptLanguage: req.headers['accept-language'],
    }),
    baseUrl: '',
    retryAfterSeconds,
    ...(problem.errorId === undefined ? {} : { errorId: problem.errorId }),
  });
  sendHtml(req, res, problem.status, page, problem.headers);
}

/** A body that was refused unread would otherwise be read as the connection's next request. */
export function closeUnread(req: IncomingMessage, res: ServerResponse, status: number): void {
  if (!req.complete && (status === 413 || status === 415)) res.setHeader('Connection', 'close');
}

function causeOf(error: unknown): unknown {
  return error instanceof Unavailable && error.cause !== undefined ? error.cause : error;
}

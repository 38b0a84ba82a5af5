import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Right } from '../core/credentials.js';
import type { Deps } from '../deps.js';
import { closeUnread, problemOf, type Problem } from '../http/errors.js';
import { sendJson } from '../http/respond.js';
import { HttpError } from '../http/http-error.js';
import { DomainError, Unavailable } from '../errors.js';
import { problemTypes, type ProblemName } from './problem-types.js';

/** One thing in a request that does not pass. */
export interface Fault {
  /** Of the path or the query. */
  readonly parameter?: string;
  readonly header?: string;
  /** A place in the body: a JSON pointer as a fragment (RFC 6901, section 6). */
  readonly pointer?: string;
  readonly code: string;
  readonly detail: string;
}

/** A problem by its name; with `errors`, all that does not pass. */
export class ApiProblem extends Error {
  override name = 'ApiProblem';
  constructor(
    readonly type: ProblemName,
    detail: string,
    readonly more: {
      readonly errors?: readonly Fault[];
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(detail);
  }
}

/** More than these help nobody, and 10,000 addresses may each have a fault. */
const mostFaults = 1000;

export function invalid(faults: readonly Fault[]): ApiProblem {
  const count = faults.length === 1 ? '1 thing does' : `${faults.length} things do`;
  const cut = faults.length > mostFaults ? ` The first ${mostFaults} of them are named.` : '';
  return new ApiProblem('invalid-request', `${count} not pass; nothing was done.${cut}`, {
    errors: faults.slice(0, mostFaults),
  });
}

const challenge = 'Bearer realm="Signoff API"';

/** RFC 6750, section 3: with no key at all, no error code. */
export function unauthorized(hasKey: boolean): ApiProblem {
  return new ApiProblem(
    'unauthorized',
    hasKey
      ? 'The key is not one of this API, or has ended.'
      : 'Send the key as "Authorization: Bearer …"; signoff credential create makes one.',
    { headers: { 'WWW-Authenticate': hasKey ? `${challenge}, error="invalid_token"` : challenge } },
  );
}

export function missingRight(right: Right): ApiProblem {
  return new ApiProblem('missing-right', `The key lacks the right "${right}".`, {
    headers: { 'WWW-Authenticate': `${challenge}, error="insufficient_scope", scope="${right}"` },
  });
}

/** Whether an error says that nothing was done; of all else, nobody knows. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof ApiProblem) return problemTypes[error.type].status < 500;
  if (error instanceof HttpError) return error.status < 500;
  return error instanceof DomainError && !(error instanceof Unavailable);
}

/** What is sent for an error: a problem document (RFC 9457). */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ProblemName;
  readonly detail: string;
  readonly errors?: readonly Fault[] | undefined;
  readonly error_id?: string | undefined;
}

export function sendProblem(deps: Deps, req: IncomingMessage, res: ServerResponse, error: unknown): void {
  const { code, detail, errors, errorId, headers } =
    error instanceof ApiProblem ? told(error) : translated(problemOf(deps, error));
  if (res.headersSent) return void res.destroy();
  const { status, title } = problemTypes[code];
  closeUnread(req, res, status);
  const type = `${deps.baseUrl}/api/v1#${code}`;
  const document: ProblemDocument = { type, title, status, code, detail, errors, error_id: errorId };
  sendJson(res, status, document, { ...headers, 'Content-Type': 'application/problem+json' });
}

interface Told {
  readonly code: ProblemName;
  readonly detail: string;
  readonly errors?: readonly Fault[] | undefined;
  readonly errorId?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

function told({ type, message, more }: ApiProblem): Told {
  return { code: type, detail: message, ...more };
}

/** What the core or the shared parts of the doors have thrown. */
function translated(problem: Problem): Told {
  const { status, title, detail = title, field, errorId, headers = {} } = problem;
  const code = nameOf(problem);
  const patience = status === 429 ? { 'Retry-After': '60' } : {};
  const errors = field === undefined ? undefined : [{ parameter: field, code: problem.code, detail }];
  return { code, detail, errors, errorId, headers: { ...patience, ...headers } };
}

const names: Partial<Record<number, ProblemName>> = {
  400: 'malformed',
  401: 'unauthorized',
  403: 'not-allowed',
  404: 'not-found',
  405: 'method-not-allowed',
  406: 'not-acceptable',
  408: 'malformed',
  409: 'under-way',
  410: 'cursor-gone',
  413: 'too-large',
  415: 'unsupported-media-type',
  422: 'key-reused',
  429: 'too-many-requests',
  503: 'unavailable',
};

/** Refusals that have nothing to do with who asks. */
const conflicts = new Set(['taken-back', 'too-late', 'removal-under-way', 'cap']);

function nameOf({ status, code, field }: Problem): ProblemName {
  if (field !== undefined) return 'invalid-request';
  if (code === 'not-whitelisted') return 'wrong-network';
  if (status === 403 && conflicts.has(code)) return 'conflict';
  return names[status] ?? 'internal';
}

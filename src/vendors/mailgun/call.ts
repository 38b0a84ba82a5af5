import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestHandler } from 'express';
import { parseAddress, type Address } from '../../core/address.js';
import { allowsList, type Credential, type Right } from '../../core/credentials.js';
import { findNamedList } from '../../core/list-names.js';
import type { List } from '../../core/lists.js';
import type { Deps } from '../../deps.js';
import { Refused } from '../../errors.js';
import { createAuthentication } from '../../http/authentication.js';
import { addressOf } from '../../http/client-address-of.js';
import { problemOf } from '../../http/errors.js';
import { HttpError } from '../../http/http-error.js';
import { basicOf } from '../../http/key.js';
import { createRateLimit, type Allowance } from '../../http/rate-limit.js';
import { sendNothing } from '../../http/respond.js';
import {
  invalidFormat,
  notFound,
  rateHeaders,
  send,
  sendProblem,
  sendUnknownKey,
  type Answer,
} from './answers.js';

export const surfaceName = 'mailgun';

/** The name that goes with every key. */
const user = 'api';

/** What a handler is given: who asks for what, and of which list. */
export interface Call {
  readonly deps: Deps;
  readonly req: IncomingMessage;
  readonly credential: Credential;
  readonly list: List;
  /** The list's name, as the path has it. */
  readonly domain: string;
  /** What stands behind it in the path; '' for nothing. */
  readonly rest: string;
  readonly ip: string | null;
  readonly now: number;
}

/** One thing that can be asked for, by its methods. */
export type Resource = Readonly<
  Partial<Record<'GET' | 'POST' | 'DELETE', readonly [Right, (call: Call) => Promise<Answer>]>>
>;

/** @param resourceAt what a path asks for, by what stands behind `…/unsubscribes/`. */
export function createDoor(deps: Deps, resourceAt: (rest: string) => Resource): RequestHandler {
  const authenticate = createAuthentication(deps, surfaceName);
  const allow = createRateLimit(deps.config.apiRequestsPerMinute);

  return async (req, res) => {
    const startedAt = performance.now();
    const { domain, rest } = partsOf(req.path);
    const resource = resourceAt(rest);
    let allowance: Allowance = unused(deps);
    let isRecorded = false;
    try {
      if (req.method === 'OPTIONS') {
        sendNothing(res, { ...rateHeaders(allowance), Allow: methodsOf(resource) });
        return;
      }
      const shown = basicOf(req);
      const credential = shown?.login === user ? await authenticate(req, { key: shown.key }) : null;
      if (credential === null) return sendUnknownKey(req, res, rateHeaders(allowance));
      allowance = allow(credential);
      if (allowance.isOver) throw new HttpError(429, 'too-many-requests', 'Too many requests: wait a while.');
      const method = req.method === 'HEAD' ? 'GET' : req.method;
      const handler = Object.hasOwn(resource, method) ? resource[method as keyof Resource] : undefined;
      if (handler === undefined)
        throw new HttpError(405, 'method', 'Method not allowed', methodsOf(resource));
      const [right, carryOut] = handler;
      if (!credential.rights.has(right))
        throw new Refused('right', `This key has not the right to ${right}.`);
      const list = await findNamedList(deps.db, credential.accountId, surfaceName, domain);
      if (list === null || !allowsList(credential, list))
        throw notFound(`Domain not found: ${domain.slice(0, 255)}`);
      const { ip } = addressOf(deps, req);
      const answer = await carryOut({ deps, req, credential, list, domain, rest, ip, now: Date.now() });
      isRecorded = right === 'record' && answer.status === 200;
      send(req, res, answer, rateHeaders(allowance));
    } catch (error) {
      const problem = problemOf(deps, error);
      const left = problem.status === 429 ? { ...allowance, remaining: 0 } : allowance;
      sendProblem(req, res, problem, rateHeaders(left));
    } finally {
      deps.metrics.answered('api', res.statusCode, startedAt, isRecorded);
    }
  };
}

/** For all else below Mailgun's own beginning of paths. */
export function noSuchCall(deps: Deps): RequestHandler {
  return (req, res) => {
    const startedAt = performance.now();
    tellUnread(deps, req, res, notFound('Not Found'));
    deps.metrics.answered('api', res.statusCode, startedAt);
  };
}

/** What is wrong with a request whose key nobody has looked at. */
export function tellUnread(deps: Deps, req: IncomingMessage, res: ServerResponse, error: unknown): void {
  sendProblem(req, res, problemOf(deps, error), rateHeaders(unused(deps)));
}

/** Where no key says whose minute it is. */
function unused({ config }: Deps): Allowance {
  const limit = config.apiRequestsPerMinute;
  return { isOver: false, limit, remaining: limit, resetSeconds: 60 };
}

function methodsOf(resource: Resource): string {
  const methods = Object.keys(resource);
  return [...(methods.includes('GET') ? ['GET', 'HEAD'] : []), ...methods.filter((name) => name !== 'GET')]
    .concat('OPTIONS')
    .join(', ');
}

/** An address behind it may hold slashes: one client sends them as they are. */
function partsOf(path: string): { domain: string; rest: string } {
  const [, domain = '', rest = ''] = /^\/v3\/([^/]+)\/unsubscribes(?:\/(.*))?$/s.exec(path) ?? [];
  return { domain: decoded(domain), rest: decoded(rest) };
}

/** In a path, a plus is a plus. What is no escape of UTF-8 stands as it is: an address may hold a `%`. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @throws HttpError 400 */
export function addressIn({ rest }: Call): Address {
  const result = parseAddress(rest);
  if (!result.ok) throw invalidFormat('address', rest);
  return result.address;
}

/** As the history names who did something. */
export function actorOf({ credential }: Call): string {
  return `credential ${credential.id}`;
}

import type { Request, RequestHandler, Response } from 'express';
import Negotiator from 'negotiator';
import { allowsList, type Credential } from '../core/credentials.js';
import type { List } from '../core/lists.js';
import type { Deps } from '../deps.js';
import { NotFound } from '../errors.js';
import { createAuthentication } from '../http/authentication.js';
import { addressOf } from '../http/client-address-of.js';
import { createRateLimit, rateLimitHeaders } from '../http/rate-limit.js';
import { sendJson, sendNothing } from '../http/respond.js';
import { check, refuseKeyInQuery } from './checks.js';
import type { Answer, AnyOperation } from './operation.js';
import { ApiProblem, missingRight, sendProblem, unauthorized } from './problems.js';
import { onceAKey } from './repeats.js';
import { surfaceName } from './surface-name.js';

/** What every operation has in common: who asks, whether they may, what they ask, and the answer's form. */
export function doorOf(deps: Deps): (operation: AnyOperation) => RequestHandler {
  const authenticate = createAuthentication(deps, surfaceName);
  const allowanceOf = createRateLimit(deps.config.apiRequestsPerMinute);

  return (operation) => async (req, res) => {
    const startedAt = performance.now();
    let isRecorded = false;
    try {
      refuseKeyInQuery(req);
      const credential = await credentialOf(req, res);
      if (!credential.rights.has(operation.right)) throw missingRight(operation.right);
      checkAccept(req);
      const answer = await answerTo(deps, operation, credential, req);
      isRecorded = operation.records === true;
      send(res, answer);
    } catch (error) {
      sendProblem(deps, req, res, error);
    }
    deps.metrics.answered('api', res.statusCode, startedAt, isRecorded);
  };

  async function credentialOf(req: Request, res: Response): Promise<Credential> {
    const [, key] = /^Bearer +(\S+) *$/i.exec(req.headers.authorization ?? '') ?? [];
    const credential = await authenticate(req, key === undefined ? null : { key });
    if (credential === null) throw unauthorized(key !== undefined);
    const allowance = allowanceOf(credential);
    for (const [name, value] of Object.entries(rateLimitHeaders(allowance))) res.setHeader(name, value);
    if (allowance.isOver) {
      throw new ApiProblem('too-many-requests', `This key may send ${allowance.limit} requests a minute.`, {
        headers: { 'Retry-After': String(allowance.resetSeconds) },
      });
    }
    return credential;
  }
}

async function answerTo(
  deps: Deps,
  operation: AnyOperation,
  credential: Credential,
  req: Request,
): Promise<Answer> {
  const listIn = async ({ list: name }: Readonly<Record<string, unknown>>) =>
    typeof name === 'string' ? grantedList(deps, credential, name) : null;
  const { octets, ...checked } = await check(operation, req, req.params, async (parameters, body) => {
    if (operation.faultsInList === undefined) return [];
    const list = await listIn(parameters);
    return list === null ? [] : operation.faultsInList(deps, list, body);
  });
  const list = await listIn(checked.parameters);
  const now = Date.now();
  const call = { deps, credential, ...checked, list, req, ip: addressOf(deps, req).ip, now };
  const repeatable = { operation, credential, target: req.originalUrl, octets, now };
  // What `list` is, the operation's own types have settled.
  return onceAKey(deps, req, repeatable, (firstAt) =>
    operation.carryOut({ ...call, firstAt } as Parameters<typeof operation.carryOut>[0]),
  );
}

/** @throws NotFound as well for a list that there is, and that the credential is not granted. */
async function grantedList({ findList }: Deps, credential: Credential, publicId: string): Promise<List> {
  const list = await findList(publicId);
  if (list === null || !allowsList(credential, list)) throw new NotFound('There is no such list.');
  return list;
}

function checkAccept(req: Request): void {
  const accepted = new Negotiator(req).mediaType(['application/json', 'application/problem+json']);
  if (accepted === undefined) throw new ApiProblem('not-acceptable', 'Answers are application/json.');
}

function send(res: Response, { status, body, headers = {} }: Answer): void {
  if (body !== undefined) return sendJson(res, status, body, headers);
  if (status === 204) return sendNothing(res, headers);
  res.writeHead(status, headers).end();
}

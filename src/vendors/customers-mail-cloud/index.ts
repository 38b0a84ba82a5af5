import type { IncomingMessage, ServerResponse } from 'node:http';
import { Router, type RequestHandler } from 'express';
import type { Credential, Right } from '../../core/credentials.js';
import type { Deps } from '../../deps.js';
import { createAuthentication } from '../../http/authentication.js';
import { HttpError } from '../../http/http-error.js';
import { createRateLimit } from '../../http/rate-limit.js';
import type { Surface } from '../../http/surface.js';
import { failureOf, sendFailure, type Format } from './answers.js';
import { readCall, surfaceName, type Body } from './call.js';
import { cancel } from './cancel.js';
import { download } from './download.js';
import { Failure, fault } from './errors.js';

/**
 * Customers Mail Cloud v2's unsubscribe calls. Their quirks: POST alone, with the key in the body; all that is
 * wrong with a call is told at once, in English or Japanese; the ending of the path says what the answer is
 * written in, and a download's is a ZIP file whichever it is.
 */
export const customersMailCloud: Surface = {
  name: surfaceName,
  title: 'Customers Mail Cloud v2',
  listNoun: 'server composition',
  loginNoun: 'api_user',
  roles: [
    { name: 'API group administrator', rights: ['read', 'record', 'remove'] },
    { name: 'API user with download permission', rights: ['read', 'record'] },
    // It may send mail there; of these calls, none.
    { name: 'API user', rights: ['record'] },
  ],
  pathsBegin: '/transaction/v2',
  tell: (deps, req, res, error) => sendFailure(req, res, formatOf(req), failureOf(deps, error)),
  snippet: ({ baseUrl, key, login, listName }) => {
    const body = { api_user: login, api_key: key, server_composition: listName };
    // In a shell, a quote ends the text: then one by itself, and on it goes.
    const json = JSON.stringify(body).replaceAll("'", `'\\''`);
    return (
      `curl -OJ "${baseUrl}/transaction/v2/unsubscribes/download.json" \\\n` +
      `  -H "Content-Type: application/json" -d '${json}'`
    );
  },
  routes(deps) {
    const router = Router();
    const door = doorOf(deps);
    for (const format of ['json', 'xml'] as const) {
      router.all(`/transaction/v2/unsubscribes/download.${format}`, door(format, 'read', download));
      router.all(`/transaction/v2/unsubscribes/cancel.${format}`, door(format, 'remove', cancel));
    }
    router.all(/^\/transaction\/v2(?:\/.*)?$/, noSuchCall(deps));
    return router;
  },
};

function noSuchCall({ metrics }: Deps): RequestHandler {
  return (req, res) => {
    const startedAt = performance.now();
    sendFailure(req, res, formatOf(req), new Failure(404, [fault('00-404')]));
    metrics.answered('api', res.statusCode, startedAt);
  };
}

/** Of the answer, where no call is known by its path. */
function formatOf({ url = '' }: IncomingMessage): Format {
  return /\.xml(?:\?|$)/i.test(url) ? 'xml' : 'json';
}

export interface Call {
  readonly deps: Deps;
  readonly credential: Credential;
  readonly body: Body;
  readonly format: Format;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly now: number;
}

function doorOf(deps: Deps) {
  const authenticate = createAuthentication(deps, surfaceName);
  const limit = createRateLimit(deps.config.apiRequestsPerMinute);

  return (format: Format, right: Right, carryOut: (call: Call) => Promise<void>): RequestHandler =>
    async (req, res) => {
      const startedAt = performance.now();
      try {
        if (req.method !== 'POST') throw new HttpError(405, 'method', 'This is called by POST.', 'POST');
        const body = await readCall(req);
        const [login, key] = [body.get('api_user'), body.get('api_key')];
        const isShown = typeof login === 'string' && typeof key === 'string';
        const credential = await authenticate(req, isShown ? { login, key } : null);
        if (credential === null) throw new Failure(401, [fault('02-001')]);
        const { isOver, resetSeconds } = limit(credential);
        if (isOver) throw new Failure(429, [fault('00-429')], { 'Retry-After': String(resetSeconds) });
        if (!credential.rights.has(right)) throw new Failure(403, [fault('12-002')]);
        await carryOut({ deps, credential, body, format, req, res, now: Date.now() });
      } catch (error) {
        if (!res.headersSent) sendFailure(req, res, format, failureOf(deps, error));
        else if ((error as { code?: string }).code !== 'ERR_STREAM_PREMATURE_CLOSE') {
          deps.log.warn({ err: error }, 'a download was cut off');
        }
      }
      deps.metrics.answered('api', res.statusCode, startedAt);
    };
}

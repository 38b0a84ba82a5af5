import { Router, type ErrorRequestHandler, type RequestHandler } from 'express';
import type { Deps } from '../deps.js';
import { HttpError } from '../http/http-error.js';
import { sendNothing } from '../http/respond.js';
import { sendStylesheet } from '../http/static.js';
import type { Surface } from '../http/surface.js';
import { documentOf, sendDocument } from './document.js';
import { doorOf } from './door.js';
import type { AnyOperation } from './operation.js';
import { operations } from './operations.js';
import { pageStylesheet, sendPage } from './page.js';
import { ApiProblem, sendProblem } from './problems.js';
import { surfaceName } from './surface-name.js';

/** Our own REST API. Its words are those of the glossary. */
export const api: Surface = {
  name: surfaceName,
  title: 'Signoff API v1',
  listNoun: null,
  loginNoun: null,
  roles: [
    { name: 'reader', rights: ['read'] },
    { name: 'recorder', rights: ['read', 'record'] },
    { name: 'editor', rights: ['read', 'record', 'remove'] },
    { name: 'admin', rights: ['read', 'record', 'remove', 'admin'] },
  ],
  pathsBegin: '/api/v1',
  tell: sendProblem,
  snippet: ({ baseUrl, key }) => `curl "${baseUrl}/api/v1/lists" \\\n  -H "Authorization: Bearer ${key}"`,
  routes(deps) {
    // Strict: where a program leaves the address out of `…/opt-outs/{address}`, the list itself is not meant.
    const router = Router({ strict: true, caseSensitive: true });
    const document = documentOf(deps.baseUrl, operations);
    router.get('/', sendPage(deps, document, operations));
    router.get('/page.css', sendStylesheet(pageStylesheet));
    router.get('/openapi.json', sendDocument(deps, document));
    for (const [path, handlers] of routesOf(deps)) router.all(path, byMethod(deps, handlers));
    router.use(((_req, _res, next) => {
      next(new ApiProblem('not-found', 'There is no such path in this API.'));
    }) satisfies RequestHandler);
    router.use(((error: unknown, req, res, _next) => {
      const isPath = error instanceof URIError;
      sendProblem(deps, req, res, isPath ? new ApiProblem('malformed', 'The path is malformed.') : error);
      deps.metrics.answered('api', res.statusCode);
    }) satisfies ErrorRequestHandler);
    return Router().use('/api/v1', router);
  },
};

/** Express's path of each, with what each of its methods does. */
function routesOf(deps: Deps): Map<string, Map<string, RequestHandler>> {
  const door = doorOf(deps);
  const routes = new Map<string, Map<string, RequestHandler>>();
  for (const operation of operations) {
    const path = expressPath(operation);
    const handlers = routes.get(path) ?? new Map<string, RequestHandler>();
    const handler = door(operation);
    handlers.set(operation.method.toUpperCase(), handler);
    if (operation.method === 'get') handlers.set('HEAD', handler);
    routes.set(path, handlers);
  }
  return routes;
}

function expressPath({ path }: AnyOperation): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

function byMethod(deps: Deps, handlers: ReadonlyMap<string, RequestHandler>): RequestHandler {
  const allow = [...handlers.keys(), 'OPTIONS'].join(', ');
  return (req, res, next) => {
    const handler = handlers.get(req.method);
    if (handler !== undefined) {
      void handler(req, res, next);
    } else if (req.method === 'OPTIONS') {
      sendNothing(res, { Allow: allow });
      deps.metrics.answered('api', res.statusCode);
    } else {
      next(new HttpError(405, 'method', `This path takes ${allow}.`, allow));
    }
  };
}

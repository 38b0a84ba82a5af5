import { Router, type ErrorRequestHandler, type RequestHandler } from 'express';
import type { Deps } from '../deps.js';
import { NotFound } from '../errors.js';
import { icon, script, sendAsset, stylesheet } from './assets.js';
import { doorOf, type Route } from './door.js';
import { routes } from './routes.js';

/** The console: where list owners and mailers see and run their lists. */
export function consoleRoutes(deps: Deps): Router {
  const router = Router();
  for (const asset of [stylesheet, script, icon]) router.get(asset.path, sendAsset(asset));
  for (const route of routes) router.all(route.path, doorOf(deps, route));
  const elsewhere = doorOf(deps, nowhere);
  router.use('/console', ((req, res, next) => void elsewhere(req, res, next)) satisfies RequestHandler);
  router.use('/console', ((error: unknown, req, res, next) => {
    // A percent-escape in the path that is none.
    if (error instanceof URIError) void elsewhere(req, res, next);
    else next(error);
  }) satisfies ErrorRequestHandler);
  return router;
}

/** What no route of the console has. */
const nowhere: Route = {
  path: '/console',
  may: 'anyone',
  screen: { show: missing, act: missing },
};

function missing(): Promise<never> {
  return Promise.reject(new NotFound('There is no such page.'));
}

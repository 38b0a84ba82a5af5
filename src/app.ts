import type { RequestListener } from 'node:http';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { consoleRoutes } from './console/index.js';
import type { Deps } from './deps.js';
import { download } from './download/download.js';
import { scrub } from './download/scrub.js';
import { NotFound } from './errors.js';
import { sendProblemPage } from './http/errors.js';
import { healthz, readyz } from './http/health.js';
import { HttpError } from './http/http-error.js';
import { metricsPage } from './http/metrics-page.js';
import { logRequests } from './http/log-requests.js';
import { limitRecipients } from './http/limits.js';
import { pagePolicy, securityHeaders } from './http/security-headers.js';
import { sendRobots, sendStylesheet } from './http/static.js';
import { createLane } from './lane.js';
import { reason, undo } from './opt-out/afterwards.js';
import { machineLink } from './opt-out/link.js';
import { listLinks, signedLinks } from './opt-out/links.js';
import { form, page } from './opt-out/page.js';
import { pixel } from './opt-out/pixel.js';
import { server } from './opt-out/server.js';
import { surfaces } from './surfaces.js';
import { turnAway } from './turn-away.js';

/** Answers every request, in its turn: at the doors of machines at once, at all others by Express. */
export function createListener(deps: Deps): RequestListener {
  const logRequest = logRequests(deps);
  const setHeaders = securityHeaders(deps.baseUrl);
  const lane = createLane(deps);
  const answer = deps.entrance.through(lane.orElse(createApp(deps, lane)), turnAway(deps));
  return (req, res) => {
    logRequest(req, res);
    setHeaders(res);
    answer(req, res);
  };
}

/** The whole HTTP surface, grouped by who calls. */
export function createApp(deps: Deps, lane = createLane(deps)): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', 'simple');

  // Those who run it
  app.get('/healthz', healthz());
  app.get('/readyz', readyz(deps));
  const { metricsToken } = deps.config;
  if (metricsToken !== null && deps.scrape !== null) {
    app.get('/metrics', metricsPage(deps.scrape, metricsToken));
  }

  // Recipients; and on the list's one link, first the programs that open it
  const limit = limitRecipients(deps);
  const lists = listLinks(deps);
  app.all('/l/:id', lane.door('/l/:id', machineLink(deps, lists), limit, page(deps, lists)));
  app.all('/l/:id/opt-out', limit, form(deps, lists));
  app.all('/l/:id/undo', limit, undo(deps, lists));
  app.all('/l/:id/reason', limit, reason(deps, lists));
  const signed = signedLinks(deps);
  app.all('/o/:id', lane.door('/o/:id', machineLink(deps, signed), limit, page(deps, signed)));
  app.all('/o/:id/opt-out', limit, form(deps, signed));
  app.get('/signoff.css', sendStylesheet());
  app.get('/robots.txt', sendRobots());

  // Mailers and their servers
  app.all('/l/:id/pixel.gif', lane.door('/l/:id/pixel.gif', pixel(deps, lists)));
  app.all('/l/:id/notify', lane.door('/l/:id/notify', server(deps, lists)));
  app.all('/l/:id/download', lane.door('/l/:id/download', download(deps)));
  app.all('/l/:id/scrub', lane.door('/l/:id/scrub', scrub(deps)));
  app.all('/o/:id/pixel.gif', lane.door('/o/:id/pixel.gif', pixel(deps, signed)));
  app.all('/o/:id/notify', lane.door('/o/:id/notify', server(deps, signed)));

  // List owners and mailers, in a browser: src/console/routes.ts
  app.use(consoleRoutes(deps));

  // Programs, by our own API and by the vendors'
  for (const surface of surfaces) app.use(surface.routes(deps));

  app.use(((req, res) => {
    res.setHeader('Content-Security-Policy', pagePolicy(null));
    sendProblemPage(deps, req, res, new NotFound('There is no such page.'));
    deps.metrics.answered('other', res.statusCode);
  }) satisfies RequestHandler);
  app.use(((error: unknown, req, res, _next) => {
    res.setHeader('Content-Security-Policy', pagePolicy(null));
    sendProblemPage(deps, req, res, isMalformedPath(error) ? malformedPath : error);
    deps.metrics.answered('other', res.statusCode);
  }) satisfies ErrorRequestHandler);
  return app;
}

const malformedPath = new HttpError(400, 'malformed', 'The address of this page is malformed.');

/** Express's own, for a percent-escape in the path that is none. */
function isMalformedPath(error: unknown): boolean {
  return error instanceof URIError;
}

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { RequestHandler } from 'express';
import { Registry } from 'prom-client';
import { sendText } from './respond.js';
import type { Scrape } from './scrape.js';

const contentType = { 'Content-Type': Registry.PROMETHEUS_CONTENT_TYPE };

/**
 * `/metrics` on the service's own port, to the holder of METRICS_TOKEN alone. Everyone else is passed on to
 * the page that says that there is none: nobody learns that there is something to guess.
 */
export function metricsPage(scrape: Scrape, token: string): RequestHandler {
  const expected = hashOf(token);
  return async (req, res, next) => {
    if (!timingSafeEqual(hashOf(bearerOf(req)), expected)) return next();
    sendText(res, 200, await scrape(), contentType);
  };
}

/** A listener of its own for METRICS_BIND, which serves nothing else, and asks for nothing. */
export function metricsServer(scrape: Scrape): Server {
  const server = createServer({ maxHeaderSize: 16 * 1024 }, (req, res) => {
    const isAsked = (req.method === 'GET' || req.method === 'HEAD') && /^\/metrics(\?|$)/.test(req.url ?? '');
    if (!isAsked) return sendText(res, 404, 'Only /metrics is here.\n');
    scrape().then(
      (text) => sendText(res, 200, text, contentType),
      () => sendText(res, 500, 'The metrics could not be put together.\n'),
    );
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  server.maxConnections = 100;
  return server;
}

/** RFC 6750, section 2.1. */
function bearerOf(req: IncomingMessage): string {
  return /^Bearer +(\S+) *$/i.exec(req.headers.authorization ?? '')?.[1] ?? '';
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

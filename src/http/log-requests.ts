import type { RequestHandler } from 'express';
import type { Deps } from '../deps.js';

/** A line a request, at level `debug`: never the query, which holds addresses and keys. */
export function logRequests({ log }: Deps): RequestHandler {
  if (!log.isLevelEnabled('debug')) return (_req, _res, next) => next();
  return (req, res, next) => {
    const startedAt = performance.now();
    res.on('close', () => {
      const ms = Math.round(performance.now() - startedAt);
      const isCutOff = !res.writableFinished;
      // A path that names no door of ours can hold anything.
      const path = /^\/(l\/[a-z0-9]{20}(\/[a-z.-]+)?|[a-z.]+)$/i.exec(req.path)?.[0] ?? '(other)';
      log.debug(
        { method: req.method, path, status: res.statusCode, ms, ...(isCutOff ? { cut_off: true } : {}) },
        'request',
      );
    });
    next();
  };
}

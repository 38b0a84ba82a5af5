import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Deps } from '../deps.js';

/** A line a request, at level `debug`: never the query, which holds addresses and keys. */
export function logRequests({ log }: Deps): (req: IncomingMessage, res: ServerResponse) => void {
  if (!log.isLevelEnabled('debug')) return () => undefined;
  return (req, res) => {
    const { method, url = '' } = req;
    const startedAt = performance.now();
    res.on('close', () => {
      const ms = Math.round(performance.now() - startedAt);
      const isCutOff = !res.writableFinished;
      // A path that names no door of ours can hold anything.
      const path =
        /^\/(l\/[a-z0-9]{20}(\/[a-z.-]+)?|[a-z.]+)$/i.exec(url.split('?', 1)[0] ?? '')?.[0] ?? '(other)';
      log.debug(
        { method, path, status: res.statusCode, ms, ...(isCutOff ? { cut_off: true } : {}) },
        'request',
      );
    });
  };
}

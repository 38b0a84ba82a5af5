import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';
import { getFeed } from '../core/feed.js';
import { isPrivateIp } from '../core/ip-whitelist.js';
import type { Deps } from '../deps.js';
import { addressOf } from './client-address-of.js';
import { keeperLag, lateMs } from './keeper-lag.js';
import { sendJson } from './respond.js';

/** The process runs. Says nothing about the database: restarting the process would not mend that. */
export function healthz(): RequestHandler {
  return (_req, res) => sendJson(res, 200, { status: 'alive' });
}

const strangerMs = 24 * 60 * 60_000;

/**
 * Whether this process should be sent requests: 503 while it stops, and while its database is away.
 * A keeper that is late is told, but takes no process out: opt-outs are taken without it.
 */
export function readyz(deps: Deps): RequestHandler {
  return async (req, res) => {
    const { state } = deps;
    if (state.isStopping) return sendJson(res, 503, { status: 'stopping' }, { 'Retry-After': '5' });
    try {
      const { keeperMs } = await keeperLag(deps);
      const warnings: string[] = [];
      if (keeperMs >= lateMs) warnings.push('keeper: nobody has numbered changes or expired opt-outs lately');
      const strangerAt = state.forwardedByStrangerAt;
      if (strangerAt !== null && strangerAt > Date.now() - strangerMs) {
        warnings.push('TRUST_PROXY: a forwarding header came from a peer that it does not name');
      }
      sendJson(res, 200, {
        status: 'ready',
        keeper: { late_ms: keeperMs },
        warnings,
        ...(isOperator(deps, req) ? await figures(deps) : {}),
      });
    } catch (error) {
      deps.log.warn({ err: error }, 'not ready');
      sendJson(
        res,
        503,
        { status: 'unavailable', warnings: ['database: it does not answer'] },
        { 'Retry-After': '5' },
      );
    }
  };
}

/** From outside, these would tell how many people leave. */
function isOperator(deps: Deps, req: IncomingMessage): boolean {
  const { ip, forwardedByStranger } = addressOf(deps, req);
  return ip !== null && isPrivateIp(ip) && !forwardedByStranger;
}

async function figures({ db, recorder }: Deps) {
  const feed = await getFeed(db);
  return { feed: { last_number: feed.lastNumber }, recorder: recorder.load() };
}

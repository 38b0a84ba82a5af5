import type { RequestHandler } from 'express';
import { getFeed } from '../core/feed.js';
import { findLease } from '../core/leases.js';
import type { Deps } from '../deps.js';
import { sendJson } from './respond.js';

/** The process runs. Says nothing about the database: restarting the process would not mend that. */
export function healthz(): RequestHandler {
  return (_req, res) => sendJson(res, 200, { status: 'alive' });
}

const lateMs = 30_000;
const strangerMs = 24 * 60 * 60_000;

/**
 * Whether this process should be sent requests: 503 while it stops, and while its database is away.
 * A keeper that is late is told, but takes no process out: opt-outs are taken without it.
 */
export function readyz(deps: Deps): RequestHandler {
  return async (_req, res) => {
    const { db, state, recorder } = deps;
    if (state.isStopping) return sendJson(res, 503, { status: 'stopping' }, { 'Retry-After': '5' });
    try {
      const feed = await getFeed(db);
      const lease = await findLease(db, 'keeper');
      const lateForMs = lease === null ? lateMs : Math.max(0, Date.now() - lease.expiresAt);
      const warnings: string[] = [];
      if (lateForMs >= lateMs)
        warnings.push('keeper: nobody has numbered changes or expired opt-outs lately');
      const strangerAt = state.forwardedByStrangerAt;
      if (strangerAt !== null && strangerAt > Date.now() - strangerMs) {
        warnings.push('TRUST_PROXY: a forwarding header came from a peer that it does not name');
      }
      sendJson(res, 200, {
        status: 'ready',
        feed: { last_number: feed.lastNumber },
        keeper: { late_ms: lateForMs },
        recorder: recorder.load(),
        warnings,
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

import type { Request, RequestHandler, Response } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { isPrivateIp } from '../core/ip-whitelist.js';
import type { Deps } from '../deps.js';
import { addressOf } from './client-address-of.js';
import { chooseLanguage } from './locale.js';
import type { CountedDoor } from './metrics.js';
import { queryOf } from './request.js';
import { sendHtml } from './respond.js';
import { pagePolicy } from './security-headers.js';
import { renderProblemPage } from './views.js';

/**
 * The brake on the recipients' doors, far above what a city behind one address needs: it slows floods,
 * and never blocks. It counts by address (IPv6: by /56), in this process, and is open to addresses that
 * say nothing about who asks: private ones, and those behind a proxy that TRUST_PROXY does not name.
 *
 * The page is reached without Express (lane.ts): nothing here asks for `req.ip`, or answers by `res.send`.
 */
export function limitRecipients(deps: Deps): RequestHandler {
  return rateLimit({
    windowMs: 60_000,
    limit: deps.config.recipientRequestsPerMinute,
    standardHeaders: false,
    legacyHeaders: false,
    // Whose address it is has been settled by TRUST_PROXY, not by Express's setting.
    validate: { xForwardedForHeader: false, trustProxy: false, forwardedHeader: false },
    keyGenerator: (req: Request) => ipKeyGenerator(addressOf(deps, req).ip ?? '', 56),
    skip: (req: Request) => {
      const { ip, forwardedByStranger } = addressOf(deps, req);
      // Where TRUST_PROXY is set, such a header is a stranger's trick to get past the brake.
      const isBehindUnknownProxy = forwardedByStranger && deps.config.trustProxy.length === 0;
      return ip === null || isBehindUnknownProxy || isPrivateIp(ip);
    },
    handler: (req: Request, res: Response) => {
      const page = renderProblemPage({
        problem: 'too-many-requests',
        language: chooseLanguage({
          query: queryOf(req).get('lang'),
          acceptLanguage: req.headers['accept-language'],
        }),
        baseUrl: '',
      });
      res.setHeader('Content-Security-Policy', pagePolicy(null));
      sendHtml(req, res, 429, page, { 'Retry-After': '60' });
      deps.metrics.answered(doorOf(req), 429);
    },
  });
}

/** By the last part of its path: this stands before the doors. */
function doorOf({ url }: Request): CountedDoor {
  const [, last] = /^\/\w\/[^/]+\/([a-z-]+)(?:\?|$)/.exec(url) ?? [];
  return last === 'opt-out' ? 'form' : last === 'undo' || last === 'reason' ? last : 'page';
}

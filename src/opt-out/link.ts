import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Deps } from '../deps.js';
import { NotFound } from '../errors.js';
import { sendProblemJson } from '../http/errors.js';
import type { CountedDoor } from '../http/metrics.js';
import type { FindLink } from './links.js';
import { recordOneClick } from './one-click.js';
import { recordPixel } from './pixel.js';
import { recordNotification } from './server.js';
import { whoAsks } from './who-asks.js';

/**
 * A list's one link, or a signed one, as programs open it: mail clients (one-click), images (pixel),
 * servers. Plain Node, no Express: these are the hot doors.
 *
 * @returns the door that it came to; null where a person asks: the page is next.
 */
export function machineLink(deps: Deps, find: FindLink) {
  return async (req: IncomingMessage, res: ServerResponse, id: string): Promise<CountedDoor | null> => {
    const isPost = req.method === 'POST';
    if (!isPost && req.method !== 'GET') return null;
    const asker = whoAsks(req);
    if (!isPost && (asker === 'browser' || asker === 'prefetch')) return null;
    const door = isPost ? 'one-click' : asker === 'image' ? 'pixel' : 'server';
    try {
      const link = await find(req, id);
      if (link === null) {
        // People get a page that helps; a mail client's POST gets two words.
        if (!isPost) return null;
        throw new NotFound('There is no such list.');
      }
      if (isPost) await recordOneClick(deps, req, res, link);
      // A program that names an address means to record it: a page would be a yes that recorded nothing.
      else if (!link.parameters.isNamed) return null;
      else if (door === 'pixel') await recordPixel(deps, req, res, link);
      else await recordNotification(deps, req, res, link);
    } catch (error) {
      sendProblemJson(deps, req, res, error);
    }
    return door;
  };
}

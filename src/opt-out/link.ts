import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Deps } from '../deps.js';
import { NotFound } from '../errors.js';
import { sendProblemJson } from '../http/errors.js';
import { queryOf } from '../http/request.js';
import { recordOneClick } from './one-click.js';
import { parametersOf } from './parameters.js';
import { recordPixel } from './pixel.js';
import { recordNotification } from './server.js';
import { whoAsks } from './who-asks.js';

/**
 * A list's one link, as programs open it: mail clients (one-click), images (pixel), servers. Plain Node,
 * no Express: these are the hot doors.
 *
 * @returns false where a person asks: the page is next.
 */
export function machineLink(deps: Deps) {
  return async (req: IncomingMessage, res: ServerResponse, listId: string): Promise<boolean> => {
    const isPost = req.method === 'POST';
    if (!isPost && req.method !== 'GET') return false;
    const parameters = parametersOf(queryOf(req));
    const asker = whoAsks(req);
    // A program that names an address means to record it: a page would be a yes that recorded nothing.
    if (!isPost && (!parameters.isNamed || asker === 'browser' || asker === 'prefetch')) return false;
    try {
      const list = await deps.findList(listId);
      if (list === null) {
        // People get a page that helps; a mail client's POST gets two words.
        if (!isPost) return false;
        throw new NotFound('There is no such list.');
      }
      if (isPost) await recordOneClick(deps, req, res, list, parameters);
      else if (asker === 'image') await recordPixel(deps, req, res, list, parameters);
      else await recordNotification(deps, req, res, list, parameters);
    } catch (error) {
      sendProblemJson(deps, req, res, error);
    }
    return true;
  };
}

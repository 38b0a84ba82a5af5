import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkPixel, checkSigned } from '../core/list-doors.js';
import type { Deps } from '../deps.js';
import { addressOf } from '../http/client-address-of.js';
import { pixelAnswer, sendAnswer } from '../http/door-answers.js';
import { sendProblemJson } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import type { CountedDoor } from '../http/metrics.js';
import { sendNothing } from '../http/respond.js';
import { checkAdmitted } from './attack.js';
import { getLink, type FindLink, type Link } from './links.js';
import { getAddress, optOutNow } from './parameters.js';
import { whoAsks } from './who-asks.js';

/**
 * The pixel on a mailer's thank-you page, by its own path. It records on GET by its nature: it stands on
 * mailers' pages, never in a mail, and a list can turn it off.
 */
export function pixel(deps: Deps, find: FindLink) {
  return async (req: IncomingMessage, res: ServerResponse, id: string): Promise<CountedDoor> => {
    try {
      if (req.method === 'OPTIONS') sendNothing(res, { Allow: 'GET, OPTIONS' });
      else if (req.method !== 'GET')
        throw new HttpError(405, 'method', 'The pixel takes GET alone.', 'GET, OPTIONS');
      else if (whoAsks(req) === 'prefetch') sendNothing(res);
      else {
        await recordPixel(deps, req, res, await getLink(find, req, id));
      }
    } catch (error) {
      sendProblemJson(deps, req, res, error);
    }
    return 'pixel';
  };
}

export async function recordPixel(
  deps: Deps,
  req: IncomingMessage,
  res: ServerResponse,
  link: Link,
): Promise<void> {
  checkSigned(link);
  const { list, parameters } = link;
  checkPixel(list);
  const address = getAddress(parameters);
  const client = addressOf(deps, req);
  const optOut = optOutNow(list, address, parameters, 'pixel', { ip: client.ip, isVouched: link.isSigned });
  checkAdmitted(deps, client, list, optOut);
  await deps.recorder.record([optOut]);
  sendAnswer(res, pixelAnswer);
}

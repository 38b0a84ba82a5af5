import type { IncomingMessage, ServerResponse } from 'node:http';
import { findKeyHolder } from '../core/access-keys.js';
import { parseAddress, type Address } from '../core/address.js';
import { isWhitelisted } from '../core/ip-whitelist.js';
import type { List } from '../core/lists.js';
import type { OptOut } from '../core/opt-outs.js';
import type { Deps } from '../deps.js';
import { Invalid, Refused } from '../errors.js';
import { addressOf, whitelistAddressOf } from '../http/client-address-of.js';
import { notifiedAnswer, refusalOf, sendAnswer, type Refusal } from '../http/door-answers.js';
import { sendProblemJson } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import { keyOf } from '../http/key.js';
import type { CountedDoor } from '../http/metrics.js';
import { sendNothing } from '../http/respond.js';
import { getLink, type FindLink, type Link } from './links.js';
import { readNotification } from './notification.js';
import { getAddress, optOutNow, type AddressIn, type Parameters } from './parameters.js';
import { whoAsks } from './who-asks.js';

/**
 * Server to server, by its own path: GET with one address, or POST with up to 1,000. From the list's
 * whitelist, or with the key of a mailer that the list is granted to.
 */
export function server(deps: Deps, find: FindLink) {
  return async (req: IncomingMessage, res: ServerResponse, id: string): Promise<CountedDoor> => {
    try {
      const allow = 'GET, POST, OPTIONS';
      if (req.method === 'OPTIONS') return (sendNothing(res, { Allow: allow }), 'server');
      if (req.method !== 'GET' && req.method !== 'POST') {
        throw new HttpError(405, 'method', 'Notifications are sent by GET or POST.', allow);
      }
      if (req.method === 'GET' && whoAsks(req) === 'prefetch') return (sendNothing(res), 'server');
      await recordNotification(deps, req, res, await getLink(find, req, id));
    } catch (error) {
      sendProblemJson(deps, req, res, error);
    }
    return 'server';
  };
}

/** Also what a program's GET of the list's link comes to, when it carries an address. */
export async function recordNotification(
  deps: Deps,
  req: IncomingMessage,
  res: ServerResponse,
  { list, parameters }: Link,
): Promise<void> {
  const { ip, mailerId } = await authorise(deps, req, list);
  const taken: OptOut[] = [];
  const refused: Refusal[] = [];
  const take = (address: Address, more: Pick<Parameters, 'tag' | 'mailer'>) => {
    const optOut = optOutNow(list, address, more, 'server', { ip, isVouched: true });
    taken.push(mailerId === null ? optOut : { ...optOut, mailerId });
  };
  if (req.method !== 'POST') take(getAddress(parameters), parameters);
  else {
    for (const { position, email, problem, tag, mailer } of await readNotification(req)) {
      const result: AddressIn =
        email === null ? { ok: false, problem } : parseAddress(email, { typed: true });
      if (result.ok) {
        take(result.address, { tag: tag ?? parameters.tag, mailer: mailer ?? parameters.mailer });
      } else {
        refused.push(refusalOf(position, email, result.problem));
      }
    }
  }
  if (taken.length === 0) {
    const first = refused[0];
    throw new Invalid('email', first?.problem ?? 'missing', first?.detail ?? 'no address was sent');
  }
  await deps.recorder.record(taken);
  sendAnswer(res, notifiedAnswer(taken.length, refused));
}

/** @throws Refused naming the address that was seen: nobody can be whitelisted who does not know it. */
async function authorise(
  deps: Deps,
  req: IncomingMessage,
  list: List,
): Promise<{ ip: string | null; mailerId: number | null }> {
  const key = keyOf(req);
  if (key !== null) {
    const holder = await findKeyHolder(deps.db, list, key);
    if (holder === null) throw new Refused('key', 'This access key is not valid for this list.');
    return { ip: addressOf(deps, req).ip, mailerId: holder.mailer.id };
  }
  const { ip, seen } = whitelistAddressOf(deps, req);
  if (isWhitelisted(list.ipWhitelist, ip)) return { ip, mailerId: null };
  throw new Refused(
    'not-whitelisted',
    `${seen}. Nothing was recorded. Ask the list owner to add your address.`,
  );
}

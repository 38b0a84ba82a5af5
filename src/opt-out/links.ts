import type { IncomingMessage } from 'node:http';
import type { List } from '../core/lists.js';
import { EVERYTHING } from '../core/opt-outs.js';
import type { Deps } from '../deps.js';
import { NotFound } from '../errors.js';
import { queryOf } from '../http/request.js';
import { parametersOf, type Parameters } from './parameters.js';

/** What an address of ours says: which list, and whose opt-out. */
export interface Link {
  readonly list: List;
  readonly parameters: Parameters;
  /** `/l/LIST` or `/o/TOKEN`; the form, the pixel and the rest stand below it. */
  readonly path: string;
  /** We made it: list, address and tag are what its mail was sent with. */
  readonly isSigned: boolean;
}

/** @returns null for a list that there is not, and for a token that is not ours. */
export type FindLink = (req: IncomingMessage, id: string) => Promise<Link | null>;

/** `/l/LIST`: the address and the tag stand in the query. */
export function listLinks(deps: Deps): FindLink {
  return async (req, listId) => {
    const list = await deps.findList(listId);
    if (list === null) return null;
    const parameters = parametersOf(queryOf(req));
    return { list, parameters, path: `/l/${list.publicId}`, isSigned: false };
  };
}

/** `/o/TOKEN`: the token holds both; the mailer may stand in the query. */
export function signedLinks(deps: Deps): FindLink {
  // A program's GET that names nobody is looked up again for the page.
  const counted = new WeakSet<IncomingMessage>();
  return async (req, token) => {
    const opened = await deps.openLink(token);
    const list = opened === null ? null : await deps.findList(opened.publicId);
    if (opened === null || list === null) {
      if (!counted.has(req)) deps.metrics.invalidTokens.inc();
      counted.add(req);
      return null;
    }
    const parameters: Parameters = {
      email: opened.address,
      isNamed: true,
      isSeveral: false,
      tag: opened.tag === EVERYTHING ? null : opened.tag,
      mailer: queryOf(req).get('mailer'),
    };
    return { list, parameters, path: `/o/${token}`, isSigned: true };
  };
}

/** @throws NotFound */
export async function getLink(find: FindLink, req: IncomingMessage, id: string): Promise<Link> {
  const link = await find(req, id);
  if (link === null) throw new NotFound('There is no such list.');
  return link;
}

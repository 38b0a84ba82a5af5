import type { IncomingMessage, ServerResponse } from 'node:http';
import { tagThatCounts } from '../core/asked-tag.js';
import { listsThatCount } from '../core/global-list.js';
import { CutOff } from '../core/import-octets.js';
import type { Deps } from '../deps.js';
import { NotFound, Refused } from '../errors.js';
import { sendProblemJson } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import type { CountedDoor } from '../http/metrics.js';
import { queryOf } from '../http/request.js';
import { sendNothing } from '../http/respond.js';
import { loggedForMailer, scrubUpload } from '../http/scrub-file.js';
import { authoriseDownload } from './access.js';
import { readScrubRequest } from './request.js';

const allow = 'POST, OPTIONS';

/**
 * `POST /l/:list/scrub`: a mailer's file, held against the list; back comes what must not be mailed (the
 * black list), or what may be (the white list). Nothing of it is kept.
 *
 * Who may download the list may do it, also with plain addresses where only hashes may be downloaded: what
 * comes back is the mailer's own, and which of it is suppressed is what the hashes of the download tell too.
 */
export function scrub(deps: Deps) {
  return async (req: IncomingMessage, res: ServerResponse, listId: string): Promise<CountedDoor> => {
    try {
      if (req.method === 'OPTIONS') sendNothing(res, { Allow: allow });
      else if (req.method !== 'POST')
        throw new HttpError(405, 'method', 'A file is scrubbed by POST.', allow);
      else {
        const list = await deps.findList(listId);
        if (list === null) throw new NotFound('There is no such list.');
        const mailer = await authoriseDownload(deps, req, list);
        const request = readScrubRequest(queryOf(req));
        const tag = await tagThatCounts(deps.db, list, await listsThatCount(deps.db, list.id), request.tag);
        const { accessKeyId, ip } = mailer;
        const by = { listId: list.id, mailerId: mailer.mailer.id, accessKeyId, ip };
        await scrubUpload(deps, req, res, {
          ...{ list, who: by.mailerId, log: loggedForMailer(deps.db, by) },
          asked: () => ({ returns: request.returns, tag }),
        });
      }
    } catch (error) {
      if (res.destroyed || res.headersSent) {
        deps.log.warn({ err: error }, 'a scrub was cut off');
        res.destroy();
      } else {
        if (error instanceof HttpError && error.cause !== undefined) {
          deps.log.warn({ err: error.cause }, 'a scrub has found no room');
        }
        sendProblemJson(deps, req, res, translated(error));
      }
    }
    return 'scrub';
  };
}

/** What the reader of texts says of a file: it is no matter of rights here. */
function translated(error: unknown): unknown {
  if (error instanceof CutOff)
    return new HttpError(400, error.reason, `The upload cannot be read: ${error.message}.`);
  return error instanceof Refused && (error.reason === 'archive' || error.reason === 'encoding')
    ? new HttpError(415, error.reason, error.message)
    : error;
}

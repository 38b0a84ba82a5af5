import { byConsole } from '../core/downloads.js';
import { noteChange } from '../core/history.js';
import { CutOff } from '../core/import-octets.js';
import { checkDownloads } from '../core/list-doors.js';
import { returns } from '../core/scrub.js';
import { ownMailer } from '../core/user-rights.js';
import { retrying } from '../db/connect.js';
import { Invalid, Refused } from '../errors.js';
import { closeUnread, problemOf } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import { loggedForMailer, scrubUpload, type Scrubbing } from '../http/scrub-file.js';
import { checkUploadToken } from './door.js';
import { view, type ListVisit, type PageAnswer, type Screen } from './screen.js';
import { hasConsoleText } from './texts.js';

const page = view('console/scrub.ejs');

/** A file held against the list, for whoever has no program for it. Nothing of it is kept. */
export const scrub: Screen<ListVisit> = {
  takesUpload: true,
  show: (visit) => Promise.resolve(shown(visit, null)),
  async act(visit) {
    const { deps, req, res } = visit;
    try {
      checkDownloads(visit.list);
      await scrubUpload(deps, req, res, await scrubbingOf(visit));
      return null;
    } catch (error) {
      if (error instanceof HttpError && error.cause !== undefined) {
        deps.log.warn({ err: error.cause }, 'a scrub has found no room');
      }
      const fault = res.headersSent || res.destroyed ? null : faultOf(visit, error);
      if (fault === null) throw error;
      const { status } = error instanceof HttpError ? problemOf(deps, error) : { status: 422 };
      closeUnread(req, res, status);
      return { ...shown(visit, fault), status };
    }
  },
};

function shown({ t, list }: ListVisit, fault: string | null): PageAnswer {
  return page(t('mailer-files.scrubTitle'), {
    fault,
    isShut: list.archivedAt !== null || list.state === 'closed',
    returns: [...returns].reverse().map((one) => [one, t(`mailer-files.return.${one}`)]),
  });
}

/** A mailer's is in the access log, like its own programs'; anybody else's in the history. */
async function scrubbingOf(visit: ListVisit): Promise<Scrubbing> {
  const { deps, user, list, ip, actor } = visit;
  const { db, config } = deps;
  const mailer = await ownMailer(db, user);
  const asked: Scrubbing['asked'] = (fields) => {
    checkUploadToken(visit, fields);
    const chosen = returns.find((one) => one === fields.get('return'));
    if (chosen === undefined)
      throw new Invalid('return', 'unknown', `return must be ${returns.join(' or ')}`);
    return { returns: chosen, tag: undefined };
  };
  if (mailer !== null) {
    const by = { listId: list.id, mailerId: mailer.id, accessKeyId: byConsole, ip: ip ?? '' };
    return { list, who: mailer.id, asked, log: loggedForMailer(db, by) };
  }
  const log: Scrubbing['log'] = async ({ returns: format, entries }) => {
    const details = { surface: 'console', format, rows: entries };
    const change = { accountId: list.accountId, listId: list.id, actor, action: 'list.scrubbed', details };
    await retrying(db, config.databaseTimeoutMs, () => noteChange(db, change));
    return () => Promise.resolve();
  };
  return { list, who: actor, asked, log };
}

/** What is wrong with the file or the moment, and what to do; null for anything else. */
function faultOf({ t }: ListVisit, error: unknown): string | null {
  const code =
    error instanceof HttpError
      ? error.code
      : error instanceof Refused || error instanceof CutOff
        ? error.reason
        : error instanceof Invalid
          ? error.field
          : '';
  const key = [`mailer-files.fault.${code}`, `imports.fault.${code}`].find(hasConsoleText);
  return key === undefined ? null : t(key);
}

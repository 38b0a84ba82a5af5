import { tagThatCounts } from '../core/asked-tag.js';
import { byConsole, logDownload } from '../core/downloads.js';
import { fileTypes } from '../core/entry-lines.js';
import { formats } from '../core/entry-texts.js';
import { getFeed } from '../core/feed.js';
import { getGlobalMark, withGlobal } from '../core/global-list.js';
import { checkDownloads, checkFormat } from '../core/list-doors.js';
import type { Mailer } from '../core/mailers.js';
import { refuseWhileRestoring } from '../core/removals-under-way.js';
import { ownMailer } from '../core/user-rights.js';
import { Invalid, NotFound, Unavailable } from '../errors.js';
import { downloadHeaders } from '../http/door-answers.js';
import { sendListFile, wholeList } from '../http/list-file.js';
import { NOT_KEPT } from '../http/respond.js';
import { view, type ListVisit, type Screen } from './screen.js';

const page = view('console/list-file.ejs');

/**
 * The whole list as a file, for a user of a mailer: its own download in all but the way in, where the session
 * stands for access key and IP whitelist. By a form, so that no link sets it off.
 */
export const listFile: Screen<ListVisit> = {
  async show(visit) {
    const { t, list } = visit;
    const mailer = await mailerOfVisit(visit);
    return page(t('mailer-files.downloadTitle'), {
      isShut: list.archivedAt !== null || list.state === 'closed',
      fileFormats: formats
        .filter((format) => format !== 'plain' || mailer.plainAllowed)
        .map((format) => [format, t(`service.format.${format}`)]),
      fileTypes: fileTypes.map((type) => [type, t(`service.fileType.${type}`)]),
      tags: [['', t('mailer-files.allTags')], ...[...list.tags].map((tag) => [tag, tag])],
      hasTags: list.tags.size > 0,
    });
  },

  async act(visit) {
    const { deps, res, list } = visit;
    const mailer = await mailerOfVisit(visit);
    checkDownloads(list);
    const asked = askedOf(visit);
    checkFormat(mailer, asked.format);
    const underWay = deps.state.downloads;
    if (underWay.size >= deps.config.downloadsAtOnce) {
      throw new Unavailable('too many downloads are under way');
    }
    underWay.add(res);
    try {
      await send(visit, mailer, asked);
    } finally {
      underWay.delete(res);
    }
    return null;
  },
};

type Asked = ReturnType<typeof askedOf>;

function askedOf({ form }: ListVisit) {
  const tag = form?.get('tag') ?? '';
  return {
    format: oneOf('format', form?.get('format'), formats),
    fileType: oneOf('as', form?.get('as'), fileTypes),
    tag: tag === '' ? null : { text: tag, isCampaign: false },
  };
}

async function send(visit: ListVisit, mailer: Mailer, { format, fileType, ...asked }: Asked): Promise<void> {
  const { deps, req, res, list, ip } = visit;
  const { db } = deps;
  const reachedAt = Date.now();
  // The feed's state is read before the rows are, and the mark after it, as the download's door has it.
  const feed = await getFeed(db);
  const mark = await getGlobalMark(db, list.accountId);
  const listIds = withGlobal(list.id, mark.listId);
  await refuseWhileRestoring(db, listIds);
  const tag = await tagThatCounts(db, list, listIds, asked.tag);
  const by = { listId: list.id, mailerId: mailer.id };
  const downloadId = await logDownload(db, {
    ...{ ...by, accessKeyId: byConsole, ip: ip ?? '' },
    ...{ extent: 'all', format, status: 200 },
  });
  res.writeHead(200, { ...NOT_KEPT, ...downloadHeaders(list, { format, fileType, isGzipFile: false }) });
  await sendListFile(deps, req, res, {
    slices: wholeList(deps, listIds, { format, tag, at: Date.now() }),
    ...{ format, fileType, isGzip: false, isOfTag: tag !== undefined },
    fetch: {
      ...{ ...by, downloadId, listIds, markedAt: mark.number },
      ...{ extent: 'all', from: null, reached: feed.lastNumber, reachedAt },
    },
  });
}

async function mailerOfVisit({ deps, user }: ListVisit): Promise<Mailer> {
  const mailer = await ownMailer(deps.db, user);
  if (mailer === null) throw new NotFound('There is no such page.');
  return mailer;
}

function oneOf<T extends string>(name: string, value: string | null | undefined, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw new Invalid(name, 'unknown', `${name} must be ${allowed.join(' or ')}`);
  return found;
}

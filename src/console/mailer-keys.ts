import { accessKeysOf, revokeAccessKeys, rotateAccessKey, type AccessKey } from '../core/access-keys.js';
import { getListById, type List } from '../core/lists.js';
import { grantedLists, type Mailer } from '../core/mailers.js';
import { Invalid } from '../errors.js';
import { changing } from './changing.js';
import { baseOf, mailerOf } from './mailer-page.js';
import { overlapChoices, overlapIn, usualOverlap } from './overlaps.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const newKeyPage = view('console/mailer-key-new.ejs');
const keyPage = view('console/mailer-key.ejs');
const endPage = view('console/mailer-keys-end.ejs');

/** Lists with a command to try the new key on. */
const listsTried = 3;

/** A new access key, shown once; the older ones go on for as long as is chosen. A mailer's own users may. */
export const newAccessKey: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t } = visit;
    const mailer = await mailerOf(visit);
    return newKeyPage(t('mailers.newKeyTitle', { name: mailer.name }), {
      ...{ mailer, mailerBase: baseOf(mailer) },
      keys: await accessKeysOf(deps.db, mailer),
      overlaps: overlapChoices(visit),
      usualOverlap,
    });
  },
  async act(visit) {
    const { deps, t, form, actor, now } = visit;
    const mailer = await mailerOf(visit);
    await checkReEnteredPassword(visit);
    const hadKeys = (await accessKeysOf(deps.db, mailer)).length > 0;
    const overlapMs = hadKeys ? overlapIn(form) : 0;
    const key = await changing(deps, (db) => rotateAccessKey(db, mailer, { actor, overlapMs }));
    const granted = await grantedLists(deps.db, mailer);
    const tries = [];
    for (const id of granted.slice(0, listsTried)) {
      const list = await getListById(deps.db, id);
      tries.push({
        name: list.internalName,
        command: curlOf(deps.baseUrl, list, key),
        isClosed: list.state === 'closed' || list.archivedAt !== null,
        isUnreachable: letsNobodyIn(list, mailer),
      });
    }
    return keyPage(t('mailers.keyTitle', { name: mailer.name }), {
      ...{ mailer, mailerBase: baseOf(mailer), key, tries },
      olderUntil: hadKeys && overlapMs > 0 ? now + overlapMs : null,
      hadKeys,
    });
  },
};

/** Ends keys of a mailer at once. Without any, it can fetch nothing until it gets a new one. */
export const endedAccessKeys: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t } = visit;
    const mailer = await mailerOf(visit);
    return endPage(t('mailers.endKeysTitle', { name: mailer.name }), {
      ...{ mailer, mailerBase: baseOf(mailer) },
      keys: await accessKeysOf(deps.db, mailer),
    });
  },
  async act(visit) {
    const { deps, form, actor } = visit;
    const mailer = await mailerOf(visit);
    const only = chosenKey(await accessKeysOf(deps.db, mailer), form?.get('key') ?? 'all');
    await checkReEnteredPassword(visit);
    await changing(deps, (db) => revokeAccessKeys(db, mailer, only === null ? { actor } : { actor, only }));
    return { redirect: baseOf(mailer), done: only === null ? 'keys-ended' : 'key-ended' };
  },
};

/**
 * @returns null for all.
 * @throws Invalid for the field `key`, which may have ended since the form was opened.
 */
function chosenKey(keys: readonly AccessKey[], chosen: string): AccessKey | null {
  if (chosen === 'all') return null;
  const key = keys.find(({ id }) => String(id) === chosen);
  if (key === undefined) throw new Invalid('key', 'unknown', 'key must be all, or a key that has not ended');
  return key;
}

function curlOf(baseUrl: string, { publicId }: List, key: string): string {
  return `curl -f "${baseUrl}/l/${publicId}/download" \\\n  -H "Authorization: Bearer ${key}" \\\n  -o "${publicId}.txt"`;
}

/** As the download has it (download/access.ts): without any whitelist, nobody gets anything. */
function letsNobodyIn(list: List, mailer: Mailer): boolean {
  return !list.downloadsFromAnyAddress && list.ipWhitelist.length + mailer.ipWhitelist.length === 0;
}

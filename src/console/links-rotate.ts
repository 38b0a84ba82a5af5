import { newestLinkKey, rotateLinkKey } from '../core/signed-links.js';
import { retrying } from '../db/connect.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type ListVisit, type Screen } from './screen.js';

const page = view('console/links-rotate.ejs');

/** A new key for the links of a list. Those of older keys go on opening. */
export const rotatedLinks: Screen<ListVisit> = {
  async show({ deps, t, list }) {
    const { number } = await newestLinkKey(deps.db, deps.secret, list);
    return page(t('links.rotate.title'), { keyNumber: number });
  },
  async act(visit) {
    const { deps, list, actor } = visit;
    await checkReEnteredPassword(visit);
    await retrying(deps.db, deps.config.databaseTimeoutMs, () => rotateLinkKey(deps.db, list, { actor }));
    return { redirect: `/console/lists/${list.publicId}/links`, done: 'link-key-rotated' };
  },
};

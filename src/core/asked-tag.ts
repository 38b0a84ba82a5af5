import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import type { List } from './lists.js';
import { findTags } from './tags.js';

/** What part of the list's mail is asked about. */
export interface AskedTag {
  readonly text: string;
  /** It came as `c`, SuppressionList.app's name of a campaign: one that the list does not know is all of its mail. */
  readonly isCampaign: boolean;
}

/**
 * The tag that counts. One that the global list alone knows does as well: mail of any list may carry it.
 *
 * @param listIds the lists that count.
 * @returns undefined for all of the list: of a campaign that nobody knows, too many are suppressed rather than
 *   too few, as the opt-out doors have it.
 * @throws Invalid for a tag that nobody knows.
 */
export async function tagThatCounts(
  db: Db,
  list: List,
  listIds: readonly number[],
  tag: AskedTag | null,
): Promise<string | undefined> {
  if (tag === null || list.tags.has(tag.text)) return tag?.text;
  for (const id of listIds) if (id !== list.id && (await findTags(db, id)).has(tag.text)) return tag.text;
  if (tag.isCampaign) return undefined;
  throw new Invalid('tag', 'unknown', 'this list does not know that tag');
}

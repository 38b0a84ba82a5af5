import { listsThatCount } from '../core/global-list.js';
import type { List } from '../core/lists.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { findTags } from '../core/tags.js';
import type { Db } from '../db/connect.js';

/** Whether mail of a list may carry a tag: the list knows it, or the global list of its account does. */
export async function knowsTag(db: Db, list: List, tag: string): Promise<boolean> {
  if (tag === EVERYTHING || list.tags.has(tag)) return true;
  for (const id of await listsThatCount(db, list.id)) if ((await findTags(db, id)).has(tag)) return true;
  return false;
}

export const unknownTagThatCounts = {
  code: 'unknown-tag',
  detail: 'Neither the list nor the global list of its account knows this tag.',
};

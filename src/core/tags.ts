import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { noteChange } from './history.js';
import { EVERYTHING } from './opt-outs.js';
import { checkText } from './text.js';

/** How many tags a list may have. */
const mostTags = 1000;

/** The tags that a list knows: parts of its mail that can be left one by one. */
export async function findTags(db: Db, listId: number): Promise<Set<string>> {
  const rows = await db<{ list_id: number; tag: Buffer }>('tags').where({ list_id: listId }).limit(mostTags);
  return new Set(rows.map((row) => row.tag.toString()));
}

/**
 * A tag as it is kept: trimmed, NFC.
 *
 * @throws Invalid for one that is empty, `*`, over 128 octets, or holds control characters.
 */
export function checkTag(tag: string): string {
  const text = checkText('tag', tag, { max: 128 });
  if (Buffer.byteLength(text) > 128) throw new Invalid('tag', 'too-long', 'a tag has at most 128 octets');
  if (text === EVERYTHING) throw new Invalid('tag', 'reserved', '* stands for all tags');
  return text;
}

/**
 * Makes tags known to a list; those it knows already stay.
 *
 * @throws Invalid for a tag that is empty, `*`, over 128 octets, or holds control characters, and for more
 *   than 1,000 tags a list.
 */
export async function addTags(
  db: Db,
  listId: number,
  tags: readonly string[],
  { actor }: { actor: string } = { actor: 'system' },
): Promise<void> {
  const checked = tags.map(checkTag);
  const standing = await findTags(db, listId);
  const missing = [...new Set(checked)].filter((tag) => !standing.has(tag));
  if (standing.size + missing.length > mostTags) {
    throw new Invalid('tag', 'too-many', `a list has at most ${mostTags} tags`);
  }
  const now = Date.now();
  const rows = missing.map((tag) => ({ list_id: listId, tag: Buffer.from(tag), created_at: now }));
  for (let i = 0; i < rows.length; i += 200) {
    await db('tags')
      .insert(rows.slice(i, i + 200))
      .onConflict(['list_id', 'tag'])
      .merge(['tag']);
  }
  if (missing.length === 0) return;
  const list = await db<{ id: number; account_id: number }>('lists')
    .where({ id: listId })
    .first('account_id');
  const accountId = list?.account_id ?? 0;
  await noteChange(db, { accountId, listId, actor, action: 'tags.added', details: { tags: missing } });
}

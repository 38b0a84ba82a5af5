import { retrying, type Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { patiently, type ImportOptions, type ImportWarning } from './import-batch.js';
import type { ImportRow } from './import-rows.js';
import type { List } from './lists.js';
import { EVERYTHING } from './opt-outs.js';
import { addTags } from './tags.js';

/** A cell that names more than this leaves all of the mail. */
const mostTags = 100;

/**
 * The tags that a row leaves, each once: one that the list does not know is all of its mail, as at the public
 * doors.
 */
export function tagResolver(
  db: Db,
  list: List,
  { tag: otherwise, addsTags, patienceMs, actor }: ImportOptions,
  isDry: boolean,
) {
  const known = new Set([EVERYTHING, ...list.tags]);
  const impossible = new Set<string>();
  const mostRemembered = 10_000;

  async function add(tag: string): Promise<boolean> {
    if (impossible.has(tag) || impossible.size >= mostRemembered) return false;
    try {
      if (!isDry) await patiently(patienceMs, () => retrying(db, patienceMs, () => addOne(tag)));
      return true;
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      impossible.add(tag);
      return false;
    }
  }
  const addOne = (tag: string) => db.transaction((trx) => addTags(trx, list.id, [tag], { actor }));

  async function resolve(tag: string, { line, isShifted }: ImportRow, warnings: ImportWarning[]) {
    if (known.has(tag)) return tag;
    if (addsTags && !isShifted && (await add(tag))) {
      known.add(tag);
      return tag;
    }
    warnings.push({ line, problem: 'tag', text: tag.slice(0, 128) });
    return EVERYTHING;
  }

  /** A tag that the list knows may hold what parts others. */
  function tagsIn({ tag, severalTags }: ImportRow): readonly string[] {
    if (tag === null) return [];
    if (!severalTags || known.has(tag)) return [tag];
    const parts = tag.split(/[,;]/).map((part) => part.trim());
    return parts
      .flatMap((part) => (known.has(part) ? [part] : part.split(/\s+/)))
      .filter((part) => part !== '');
  }

  return async (row: ImportRow, warnings: ImportWarning[]): Promise<readonly string[]> => {
    const named = new Set(tagsIn(row));
    if (named.size > mostTags) {
      warnings.push({ line: row.line, problem: 'tag', text: `${named.size} tags` });
      return [EVERYTHING];
    }
    const tags = new Set<string>();
    for (const tag of named) tags.add(await resolve(tag, row, warnings));
    return tags.size === 0 ? [otherwise] : [...tags];
  };
}

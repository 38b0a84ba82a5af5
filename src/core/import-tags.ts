import { retrying, type Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { patiently, type ImportOptions, type ImportWarning } from './import-batch.js';
import type { ImportRow } from './import-rows.js';
import type { List } from './lists.js';
import { EVERYTHING } from './opt-outs.js';
import { addTags } from './tags.js';

/** The tag that a row leaves: one that the list does not know is all of its mail, as at the public doors. */
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

  return async ({ line, tag, isShifted }: ImportRow, warnings: ImportWarning[]): Promise<string> => {
    if (tag === null) return otherwise;
    if (known.has(tag)) return tag;
    if (addsTags && !isShifted && (await add(tag))) {
      known.add(tag);
      return tag;
    }
    warnings.push({ line, problem: 'tag', text: tag.slice(0, 128) });
    return EVERYTHING;
  };
}

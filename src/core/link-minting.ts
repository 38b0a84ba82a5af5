import type { LinkResult } from './link-rows.js';
import type { List } from './lists.js';
import { EVERYTHING } from './opt-outs.js';
import { mintToken, type LinkKey } from './signed-links.js';

/**
 * Makes the links of a file's rows.
 *
 * @param tag of rows that say none themselves; an empty cell is all of the mail.
 */
export function linksFor(
  baseUrl: string,
  list: List,
  key: LinkKey,
  tag: string,
): (address: string, tagCell: string | null) => LinkResult {
  return (address, tagCell) => {
    const chosen = tagCell === null ? tag : tagCell.trim().normalize('NFC') || EVERYTHING;
    if (tagCell !== null && chosen !== EVERYTHING && !list.tags.has(chosen)) {
      return { ok: false, reason: `the list does not know the tag ${JSON.stringify(chosen.slice(0, 128))}` };
    }
    return { ok: true, link: `${baseUrl}/o/${mintToken(key, address, chosen)}` };
  };
}

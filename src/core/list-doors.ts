import { Refused } from '../errors.js';
import type { Format } from './entry-texts.js';
import type { List } from './lists.js';
import type { Mailer } from './mailers.js';

/** Which doors a list's settings close: the same for whoever comes, and for whoever tries them in the console. */

/**
 * A list can require signed links for all but the typed form and the server door.
 *
 * @throws Refused for an unsigned link of such a list.
 */
export function checkSigned({ list, isSigned }: { list: List; isSigned: boolean }): void {
  if (list.signedLinksOnly && !isSigned) {
    throw new Refused(
      'signed-link-needed',
      'This list takes opt-outs by signed links alone. Nothing was recorded.',
    );
  }
}

/** @throws Refused */
export function checkPixel(list: List): void {
  if (!list.pixel) throw new Refused('pixel-off', 'This list takes no opt-outs by pixel.');
}

/** @throws Refused for one that is closed, or archived: nobody downloads or scrubs it. */
export function checkDownloads(list: List): void {
  if (list.state === 'closed' || list.archivedAt !== null) {
    throw new Refused('closed', 'This list is closed to downloads. Its opt-out page stays open.');
  }
}

/** @throws Refused */
export function checkFormat(mailer: Mailer, format: Format): void {
  if (format === 'plain' && !mailer.plainAllowed) {
    throw new Refused('plain', 'This mailer may download hashes (md5, sha256), not plain addresses.');
  }
}

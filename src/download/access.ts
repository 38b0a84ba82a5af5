import type { IncomingMessage } from 'node:http';
import { findKeyHolder } from '../core/access-keys.js';
import { isWhitelisted } from '../core/ip-whitelist.js';
import type { List } from '../core/lists.js';
import type { Mailer } from '../core/mailers.js';
import type { Deps } from '../deps.js';
import { Refused } from '../errors.js';
import { addressOf } from '../http/client-address-of.js';
import { keyOf } from '../http/key.js';
import type { Format } from './formats.js';

/** Who is downloading. */
export interface Downloader {
  readonly mailer: Mailer;
  readonly accessKeyId: number;
  readonly ip: string;
}

/**
 * Who may have a list: the holder of a key that is granted this list, *and* from an address on the
 * whitelist of the list or of the mailer. The key comes first, so that strangers learn nothing about the
 * list's settings.
 *
 * @throws Refused saying what is missing, and how to add it.
 */
export async function authoriseDownload(deps: Deps, req: IncomingMessage, list: List): Promise<Downloader> {
  const key = keyOf(req);
  if (key === null) {
    throw new Refused('key', 'A download needs an access key: ?key=… or Authorization: Bearer …');
  }
  const holder = await findKeyHolder(deps.db, list, key);
  if (holder === null) throw new Refused('key', 'This access key is not valid for this list.');

  const { mailer, accessKeyId } = holder;
  const { ip } = addressOf(deps, req);
  if (list.state === 'closed' || list.archivedAt !== null) {
    throw new Refused('closed', 'This list is closed to downloads. Its opt-out page stays open.');
  }
  if (ip === null)
    throw new Refused('not-whitelisted', 'Your address could not be told; downloads need one.');
  const mayFromHere =
    list.downloadsFromAnyAddress ||
    isWhitelisted(list.ipWhitelist, ip) ||
    isWhitelisted(mailer.ipWhitelist, ip);
  if (!mayFromHere) throw new Refused('not-whitelisted', whitelistHint(list, mailer, ip));
  return { mailer, accessKeyId, ip };
}

function whitelistHint(list: List, mailer: Mailer, ip: string): string {
  const isEmpty = list.ipWhitelist.length + mailer.ipWhitelist.length === 0;
  return isEmpty
    ? `This list has no IP whitelist yet, and gives no downloads without one. Its owner can add your address, ${ip}: signoff list edit ${list.publicId} --ip-whitelist ${ip}`
    : `Your address, ${ip}, is not on the IP whitelist of this list. Ask its owner to add it.`;
}

/** @throws Refused */
export function checkFormat(mailer: Mailer, format: Format): void {
  if (format === 'plain' && !mailer.plainAllowed) {
    throw new Refused('plain', 'This mailer may download hashes (md5, sha256), not plain addresses.');
  }
}

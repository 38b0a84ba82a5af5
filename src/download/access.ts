import type { IncomingMessage } from 'node:http';
import { findKeyHolder } from '../core/access-keys.js';
import { isWhitelisted } from '../core/ip-whitelist.js';
import { checkDownloads } from '../core/list-doors.js';
import type { List } from '../core/lists.js';
import type { Mailer } from '../core/mailers.js';
import type { Deps } from '../deps.js';
import { Refused } from '../errors.js';
import { addressOf, whitelistAddressOf } from '../http/client-address-of.js';
import { keyOf } from '../http/key.js';

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
  checkDownloads(list);
  const { ip, seen } = whitelistAddressOf(deps, req);
  const isListed = isWhitelisted(list.ipWhitelist, ip) || isWhitelisted(mailer.ipWhitelist, ip);
  if (isListed && ip !== null) return { mailer, accessKeyId, ip };
  const anyIp = addressOf(deps, req).ip;
  if (list.downloadsFromAnyAddress && anyIp !== null) return { mailer, accessKeyId, ip: anyIp };

  const isEmpty = list.ipWhitelist.length + mailer.ipWhitelist.length === 0;
  throw new Refused(
    'not-whitelisted',
    isEmpty
      ? `${seen}. The list has no IP whitelist yet, and gives no downloads without one: its owner can add your address in its settings (signoff list edit --ip-whitelist).`
      : `${seen}. Ask its owner to add it.`,
  );
}

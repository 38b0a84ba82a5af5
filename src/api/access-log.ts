import type { Credential } from '../core/credentials.js';
import { noteChange } from '../core/history.js';
import type { List } from '../core/lists.js';
import { retrying } from '../db/connect.js';
import type { Deps } from '../deps.js';
import { surfaceName } from './surface-name.js';

/**
 * Notes in the history that a key begins to take a list away, before it is given anything: the access log of
 * downloads has mailers alone. Without an IP address, which would have to go from there again sooner.
 *
 * @throws Unavailable
 */
export async function noteDownload(
  { db, config }: Deps,
  { id }: Credential,
  { id: listId, accountId }: List,
  details: { readonly part: 'feed' | 'search'; readonly format: string },
): Promise<void> {
  const change = { accountId, listId, actor: `credential ${id}`, action: 'list.downloaded' };
  await retrying(db, config.databaseTimeoutMs, () =>
    noteChange(db, { ...change, details: { surface: surfaceName, ...details } }),
  );
}

import { workWaitsSince } from '../core/feed.js';
import { findLease } from '../core/leases.js';
import type { Deps } from '../deps.js';

/** From here on, a keeper is told to be late. */
export const lateMs = 30_000;

export interface KeeperLag {
  /** For how long a change has waited for its number, or an expiry for its removal: milliseconds. */
  readonly feedMs: number;
  /** The same, or for how long nobody has been at work, or its rounds have failed: whichever is longest. */
  readonly keeperMs: number;
}

/** How far the work behind has fallen back. */
export async function keeperLag({ db, keeper }: Pick<Deps, 'db' | 'keeper'>): Promise<KeeperLag> {
  const waitsSince = await workWaitsSince(db);
  const lease = await findLease(db, 'keeper');
  const now = Date.now();
  const feedMs = Math.max(0, now - (waitsSince ?? now));
  return {
    feedMs,
    keeperMs: Math.max(
      feedMs,
      now - (keeper.troubledSince() ?? now),
      now - (lease?.expiresAt ?? now - lateMs),
    ),
  };
}

import { markFeed } from '../core/feed.js';
import { expireOptOuts } from '../core/numbering.js';
import type { Db } from '../db/connect.js';

/** Work that the keeper does now and then, beside its numbering. */
export interface Sweep {
  readonly name: string;
  readonly everyMs: number;
  /**
   * A bounded part of it, which takes some tens of milliseconds and can be broken off and repeated.
   *
   * @returns whether there is more to do at once.
   */
  run(db: Db, now: number): Promise<boolean>;
}

const expiriesARound = 500;

/** In the order of their urgency. */
export const sweeps: readonly Sweep[] = [
  {
    name: 'expiry',
    everyMs: 1000,
    run: async (db, now) => (await expireOptOuts(db, now, expiriesARound)) === expiriesARound,
  },
  {
    name: 'feed-marks',
    everyMs: 1000,
    run: async (db) => {
      await markFeed(db);
      return false;
    },
  },
];

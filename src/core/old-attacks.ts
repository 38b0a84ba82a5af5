import type { Db } from '../db/connect.js';
import { forgetArrivals } from './arrivals.js';
import { forgetBlocks } from './blocks.js';
import { forgetBursts } from './bursts.js';
import type { Retention } from './retention.js';

/** Rows of each table a call. */
const rowsAtOnce = 500;

/**
 * Deletes what the attack rule has done with. Blocks and bursts name IP addresses, and go when those of the
 * opt-outs do: without these, no burst could be taken back any more.
 *
 * @returns whether there may be more to do at once.
 */
export async function forgetAttacks(db: Db, at: number, { ipMs }: Retention): Promise<boolean> {
  const gone = [
    await forgetArrivals(db, at, rowsAtOnce),
    await forgetBlocks(db, at - ipMs, rowsAtOnce),
    await forgetBursts(db, at - ipMs, rowsAtOnce),
  ];
  return gone.some((rows) => rows >= rowsAtOnce);
}

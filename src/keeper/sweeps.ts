import { evictOverCap } from '../core/cap.js';
import { markFeed } from '../core/feed.js';
import { carryOnFound } from '../core/found-removal-jobs.js';
import { countOldOptOuts } from '../core/figures-backfill.js';
import { findNotHonoured, forgetNotHonoured } from '../core/not-honoured.js';
import { expireOptOuts } from '../core/numbering.js';
import { forgetFigures } from '../core/opt-out-figures.js';
import { carryOnRemovals } from '../core/removal-slices.js';
import { forgetAnswers } from '../core/idempotency.js';
import { forgetAttacks } from '../core/old-attacks.js';
import { forgetImportJobs, tidyImportJobs } from '../core/old-import-jobs.js';
import { forgetOldLogs } from '../core/old-logs.js';
import { forgetLinks } from '../core/one-time-links.js';
import { retainOptOuts, type Retention } from '../core/retention.js';
import { forgetSessions } from '../core/sessions.js';
import { forgetTries } from '../core/sign-in-limit.js';
import type { Db } from '../db/connect.js';
import { emptyWal } from '../db/remains.js';
import { createAlertSweep } from './alert-sweep.js';
import { createImportSweep } from './import-sweep.js';
import { createMailSweep, type Post } from './mail-sweep.js';

/** Work that the keeper does now and then, beside its numbering. */
export interface Sweep {
  readonly name: string;
  readonly everyMs: number;
  /** It may find the database unavailable where the numbering does not, and must not hold that up then. */
  readonly failsAlone?: true;
  /**
   * A bounded part of it, which takes some tens of milliseconds and can be broken off and repeated.
   *
   * @returns whether there is more to do, once others have had as much time as it took; or for how many milliseconds
   *   it has been at that, where it was before it was called.
   */
  run(db: Db, now: number, retention: Retention): Promise<boolean | number>;
  /** The lease is lost or given up: what is kept from round to round is let go. */
  stop?(): Promise<void>;
}

/** For one keeper. */
export function createSweeps(post: Post | null): readonly Sweep[] {
  return [
    ...sweeps,
    createImportSweep(),
    ...(post === null ? [] : [createAlertSweep(post), createMailSweep(post)]),
  ];
}

const expiriesARound = 100;

/** In the order of their urgency. */
const sweeps: readonly Sweep[] = [
  {
    name: 'expiry',
    everyMs: 1000,
    run: async (db, now) => (await expireOptOuts(db, now, expiriesARound)) === expiriesARound,
  },
  { name: 'bulk-removals', everyMs: 1000, run: (db, now) => carryOnRemovals(db, now) },
  { name: 'found-removals', everyMs: 1000, run: (db) => carryOnFound(db) },
  { name: 'cap', everyMs: 1000, run: (db, now) => evictOverCap(db, now) },
  {
    name: 'feed-marks',
    everyMs: 1000,
    run: async (db) => {
      await markFeed(db);
      return false;
    },
  },
  {
    // One slice of the opt-outs each second, so that nobody notices.
    name: 'retention',
    everyMs: 1000,
    run: async (db, now, retention) => {
      await retainOptOuts(db, now, retention);
      return false;
    },
  },
  {
    // Once in the life of a database that is older than the figures.
    name: 'figures',
    everyMs: 1000,
    run: async (db, now) => {
      await countOldOptOuts(db, now);
      return false;
    },
  },
  {
    name: 'not-honoured',
    everyMs: 1000,
    run: async (db, now) => {
      await findNotHonoured(db, now);
      return false;
    },
  },
  {
    name: 'old-figures',
    everyMs: 60_000,
    run: async (db, now, { historyMs }) => {
      const isMore = await forgetFigures(db, now, historyMs);
      return (await forgetNotHonoured(db, now, historyMs)) || isMore;
    },
  },
  { name: 'old-logs', everyMs: 60_000, run: forgetOldLogs },
  { name: 'idempotency', everyMs: 60_000, run: forgetAnswers },
  { name: 'import-remains', everyMs: 5000, run: tidyImportJobs },
  { name: 'old-imports', everyMs: 60_000, run: forgetImportJobs },
  { name: 'attack-rule', everyMs: 60_000, run: forgetAttacks },
  {
    name: 'sign-in',
    everyMs: 60_000,
    run: async (db, now) => {
      const isMore = [await forgetSessions(db, now), await forgetLinks(db, now), await forgetTries(db, now)];
      return isMore.includes(true);
    },
  },
  {
    // Where somebody reads from it, its time comes again.
    name: 'wal',
    everyMs: 10 * 60_000,
    run: async (db) => {
      await emptyWal(db);
      return false;
    },
  },
];

import type { Logger } from 'pino';
import { releaseLease, takeLease } from '../core/leases.js';
import { numberChanges } from '../core/numbering.js';
import type { Retention } from '../core/retention.js';
import { retrying, type Db } from '../db/connect.js';
import { sweeps, type Sweep } from './sweeps.js';

export interface Keeper {
  /** Rows were committed: number them soon. */
  wake(): void;
  /** Finishes the round under way and gives the lease up. */
  stop(): Promise<void>;
  /** Since when its rounds have been failing: UTC milliseconds, or null. */
  troubledSince(): number | null;
}

const leaseMs = 10_000;
const idleMs = 500;
/** After a commit: long enough for what arrives together to be numbered together. */
const wakeMs = 15;
const troubleMs = 1000;
/** A deadlock or a lock of the recorder's is no trouble. Short of what is left of the lease. */
const retryMs = 2000;

/**
 * The background work of an installation, done by one process at a time: whoever holds the lease. Starts
 * at once; everything it does can be interrupted anywhere and is taken up again by the next round.
 *
 * @param holder names this process; unique in the installation.
 */
export function startKeeper(db: Db, log: Logger, holder: string, retention: Retention): Keeper {
  let timer: NodeJS.Timeout | undefined;
  let isStopping = false;
  let round: Promise<void> | null = null;
  let isWoken = false;
  let failingSince: number | null = null;
  let leaseUntil = 0;
  let fencing = 0;
  let isElsewhere = false;
  const sweptAt = new Map<Sweep, number>();

  function schedule(ms: number): void {
    if (isStopping) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      round = runRound();
    }, ms);
  }

  async function runRound(): Promise<void> {
    isWoken = false;
    const startedAt = Date.now();
    let pauseMs: number;
    try {
      const worked = await work(startedAt);
      failingSince = null;
      // A poll over very many lists takes time: it may take a tenth of it at most.
      pauseMs = worked ? 1 : Math.max(idleMs, (Date.now() - startedAt) * 10);
    } catch (error) {
      failingSince ??= startedAt;
      leaseUntil = 0;
      pauseMs = troubleMs;
      log.warn({ err: error }, 'the keeper failed, and tries again');
    }
    round = null;
    schedule(isWoken && !isElsewhere && failingSince === null ? Math.min(pauseMs, wakeMs) : pauseMs);
  }

  async function work(now: number): Promise<boolean> {
    if (now > leaseUntil - leaseMs / 2) {
      const lease = await takeLease(db, 'keeper', holder, leaseMs);
      isElsewhere = lease === null;
      if (lease === null) return false;
      leaseUntil = now + leaseMs;
      fencing = lease.fencing;
    }
    const numbered = await retrying(db, retryMs, () => numberChanges(db, fencing));
    let isMore = numbered > 0;
    for (const sweep of sweeps) {
      if (now - (sweptAt.get(sweep) ?? 0) < sweep.everyMs) continue;
      const hasMore = await retrying(db, retryMs, () => sweep.run(db, now, retention));
      if (hasMore) isMore = true;
      else sweptAt.set(sweep, now);
    }
    return isMore;
  }

  schedule(0);
  return {
    wake() {
      if (isWoken) return;
      isWoken = true;
      // While another process is the keeper, or the work fails, the pause stays as it is.
      if (round === null && !isElsewhere && failingSince === null) schedule(wakeMs);
    },
    troubledSince: () => failingSince,
    async stop() {
      isStopping = true;
      clearTimeout(timer);
      await round;
      // The next one need not wait for the lease to run out; where this fails, it does.
      if (leaseUntil > 0) await releaseLease(db, 'keeper', holder).catch(() => undefined);
    },
  };
}

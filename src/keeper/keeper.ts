import type { Logger } from 'pino';
import { releaseLease, takeLease } from '../core/leases.js';
import { numberChanges } from '../core/numbering.js';
import type { Retention } from '../core/retention.js';
import { retrying, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import type { Post } from './mail-sweep.js';
import { createSweeps, type Sweep } from './sweeps.js';

export interface Keeper {
  /** Rows were committed: number them soon. */
  wake(): void;
  /** Finishes the round under way and gives the lease up. */
  stop(): Promise<void>;
  /** Since when its rounds, or one of its sweeps, have been failing: UTC milliseconds, or null. */
  troubledSince(): number | null;
}

const leaseMs = 10_000;
const idleMs = 500;
/** After a commit: long enough for what arrives together to be numbered together. */
const wakeMs = 15;
/**
 * Where all was numbered, the next round takes its time, so that what comes meanwhile shares one transaction: while
 * opt-outs come without a pause, numbering them works a fifth of the time.
 */
const longestPaceMs = 50;
/** Rows a transaction: what SQLite's one connection is held for. */
const numberedAtOnce = 500;
const troubleMs = 1000;
/** How long a sweep that failed is left alone. */
const sweepTroubleMs = 5000;
/** A deadlock or a lock of the recorder's is no trouble. Short of what is left of the lease. */
const retryMs = 2000;

/**
 * The background work of an installation, done by one process at a time: whoever holds the lease. Starts
 * at once; everything it does can be interrupted anywhere and is taken up again by the next round.
 *
 * @param holder names this process; unique in the installation.
 * @param post what it takes to send mails; without it, they are left to another process.
 */
export function startKeeper(
  db: Db,
  log: Logger,
  holder: string,
  retention: Retention,
  post: Post | null = null,
): Keeper {
  let timer: NodeJS.Timeout | undefined;
  let isStopping = false;
  let round: Promise<void> | null = null;
  let isWoken = false;
  let nextRoundAt = 0;
  let failingSince: number | null = null;
  let leaseUntil = 0;
  let fencing = 0;
  let isElsewhere = false;
  const sweeps = createSweeps(post);
  /** When a sweep is due next, and since when it has been failing. */
  const dueAt = new Map<Sweep, number>();
  const failing = new Map<Sweep, number>();
  /** Those that have more to do, and what they have taken in this round: milliseconds. */
  const unfinished = new Set<Sweep>();
  let sweptMs = 0;
  let restUntil = 0;

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
      const tookMs = Date.now() - startedAt;
      // A poll over very many lists takes time as well: a tenth of it at most.
      const paceMs = Math.min(Math.max(1, tookMs * 4), longestPaceMs);
      const longMs = Math.max(idleMs, tookMs * 10);
      pauseMs = Math.min({ 'more-to-number': 1, numbered: paceMs, nothing: longMs }[worked], untilRestedMs());
      nextRoundAt = worked === 'numbered' ? Date.now() + paceMs : 0;
    } catch (error) {
      failingSince ??= startedAt;
      leaseUntil = 0;
      nextRoundAt = 0;
      pauseMs = troubleMs;
      log.warn({ err: error }, 'the keeper failed, and tries again');
    }
    round = null;
    schedule(isWoken && !isElsewhere && failingSince === null ? Math.min(pauseMs, wokenMs()) : pauseMs);
  }

  /** Until those that have more to do may go on. */
  function untilRestedMs(): number {
    return unfinished.size === 0 ? Infinity : Math.max(1, restUntil - Date.now());
  }

  function isDue(sweep: Sweep): boolean {
    return Date.now() >= (unfinished.has(sweep) ? restUntil : (dueAt.get(sweep) ?? 0));
  }

  function wokenMs(): number {
    return Math.max(wakeMs, nextRoundAt - Date.now());
  }

  async function work(now: number): Promise<'more-to-number' | 'numbered' | 'nothing'> {
    if (now > leaseUntil - leaseMs / 2) {
      const lease = await takeLease(db, 'keeper', holder, leaseMs);
      isElsewhere = lease === null;
      if (lease === null) {
        await stopSweeps();
        return 'nothing';
      }
      leaseUntil = now + leaseMs;
      fencing = lease.fencing;
    }
    const numbered = await retrying(db, retryMs, () => numberChanges(db, fencing, numberedAtOnce));
    sweptMs = 0;
    for (const sweep of sweeps.filter(isDue)) await runSweep(sweep, now);
    // Others wait while they work: together they may take half of the time, however often commits wake the keeper.
    if (sweptMs > 0) restUntil = Date.now() + sweptMs;
    if (numbered === numberedAtOnce) return 'more-to-number';
    return numbered > 0 ? 'numbered' : 'nothing';
  }

  /** One that fails holds up neither the numbering nor the others. */
  async function runSweep(sweep: Sweep, now: number): Promise<void> {
    unfinished.delete(sweep);
    const startedAt = Date.now();
    try {
      const hasMore = await retrying(db, retryMs, () => sweep.run(db, now, retention));
      failing.delete(sweep);
      dueAt.set(sweep, now + sweep.everyMs);
      if (hasMore === false) return;
      unfinished.add(sweep);
      sweptMs += Math.max(Date.now() - startedAt, Number(hasMore));
    } catch (error) {
      // Then nothing works, and the round as a whole has failed.
      if (error instanceof Unavailable && sweep.failsAlone !== true) throw error;
      if (!failing.has(sweep)) failing.set(sweep, now);
      dueAt.set(sweep, now + Math.max(sweepTroubleMs, sweep.everyMs));
      log.warn({ err: error, sweep: sweep.name }, 'a sweep of the keeper failed, and is tried again');
    }
  }

  async function stopSweeps(): Promise<void> {
    unfinished.clear();
    for (const sweep of sweeps) await sweep.stop?.();
  }

  schedule(0);
  return {
    wake() {
      if (isWoken) return;
      isWoken = true;
      // While another process is the keeper, or the work fails, the pause stays as it is.
      if (round === null && !isElsewhere && failingSince === null) schedule(wokenMs());
    },
    troubledSince: () => {
      const since = [...failing.values(), ...(failingSince === null ? [] : [failingSince])];
      return since.length === 0 ? null : Math.min(...since);
    },
    async stop() {
      isStopping = true;
      clearTimeout(timer);
      await round;
      await stopSweeps();
      // The next one need not wait for the lease to run out; where this fails, it does.
      if (leaseUntil > 0) await releaseLease(db, 'keeper', holder).catch(() => undefined);
    },
  };
}

import { revertBurst, type RevertedBurst } from '../core/burst-revert.js';
import type { Burst } from '../core/bursts.js';
import { Unavailable } from '../errors.js';
import type { Deps } from '../deps.js';

/** What becomes of a burst that somebody takes back. */
export interface BurstRevert {
  /** How many are taken back so far. */
  done: number;
  /** Null while it goes on. */
  outcome: RevertedBurst | null;
}

/** How long whoever asked for it waits: milliseconds. Of a large burst the rest is done behind the answer. */
const usualPatienceMs = 4000;

/** How many go on at once, and how many outcomes are remembered to be shown: of this process. */
const mostAtOnce = 4;
const mostRemembered = 100;

/** Of a process that is ended in the middle, what is left is taken back when somebody asks for it again. */
const reverts = new WeakMap<Deps, Map<number, BurstRevert>>();

/** @returns null where nobody has taken it back, as far as this process remembers. */
export function findRevert(deps: Deps, burst: Burst): BurstRevert | null {
  return revertsOf(deps).get(burst.id) ?? null;
}

/**
 * Takes a burst back, and waits for some seconds until it is.
 *
 * @param patienceMs what tests cannot wait for.
 * @throws Unavailable where too many are being taken back, and for whatever ends it within these seconds.
 */
export async function startRevert(
  deps: Deps,
  burst: Burst,
  actor: string,
  patienceMs = usualPatienceMs,
): Promise<void> {
  const all = revertsOf(deps);
  const standing = all.get(burst.id);
  if (standing?.outcome === null) return;
  const going = [...all.values()].filter(({ outcome }) => outcome === null);
  if (going.length >= mostAtOnce) throw new Unavailable('too many bursts are being taken back');
  forgetOld(all);
  const revert: BurstRevert = { done: 0, outcome: null };
  all.delete(burst.id);
  all.set(burst.id, revert);
  const onSlice = (done: number) => void (revert.done = done);
  const timeoutMs = deps.config.databaseTimeoutMs;
  const work = revertBurst(deps.db, burst, { actor, timeoutMs, onSlice }).then(
    (outcome) => void (revert.outcome = outcome),
    (error: unknown) => {
      all.delete(burst.id);
      throw error;
    },
  );
  // Nobody waits for it any more by then.
  let isLeft = false;
  work.catch((err: unknown) => {
    if (isLeft)
      deps.log.warn({ err, burst: burst.id }, 'taking a burst back broke off: it can be done again');
  });
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, patienceMs)));
  await Promise.race([work, patience]).finally(() => clearTimeout(timer));
  isLeft = true;
}

function revertsOf(deps: Deps): Map<number, BurstRevert> {
  const standing = reverts.get(deps);
  if (standing !== undefined) return standing;
  const made = new Map<number, BurstRevert>();
  reverts.set(deps, made);
  return made;
}

/** The oldest of those that are done. */
function forgetOld(all: Map<number, BurstRevert>): void {
  for (const [id, { outcome }] of all) {
    if (all.size < mostRemembered) return;
    if (outcome !== null) all.delete(id);
  }
}

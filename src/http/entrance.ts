import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';

/** Times in milliseconds. */
export interface EntranceLimits {
  /** For so long requests are answered straight away; then what else there is to do has a turn. */
  readonly sliceMs: number;
  /** Who would have to wait for longer is turned away at once. */
  readonly patienceMs: number;
  /** Who has waited for this long all the same, because those before took longer than others had, is turned away. */
  readonly longestMs: number;
  /** So few may wait in any case. */
  readonly fewest: number;
  /** More never wait. */
  readonly most: number;
  /** So many are let in at a time: what they bring is seen to be too much only once they have begun. */
  readonly atOnce: number;
  /** Who is turned away waits for that while connections come, unless there are so many: all of them are remembered. */
  readonly mostRefused: number;
}

/** Far from what a service comes to that is well, on a machine that is busy with other things as well. */
export const usualLimits: EntranceLimits = {
  sliceMs: 20,
  patienceMs: 1500,
  longestMs: 3000,
  fewest: 200,
  most: 5000,
  atOnce: 1000,
  mostRefused: 10_000,
};

export interface Entrance {
  /**
   * Lets requests in to be answered, in the order in which they come.
   *
   * @param turnAway answers those that would wait for too long; nothing has been done for them yet.
   */
  through(answer: RequestListener, turnAway: RequestListener): RequestListener;
  /** To be told of each new connection, since there may be more behind it. */
  readonly connected: () => void;
  /** How many wait for their turn. */
  readonly waiting: () => number;
}

interface Waiting {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly since: number;
  /** How many waited already when it came. */
  readonly ahead: number;
  next: Waiting | null;
}

/**
 * Where the processor is the limit, Node reads all requests that have come before anything else gets its turn: the
 * database's answers, timers, what is to be written. So it is given 20 ms at a time; who comes after that waits in
 * line, and between two slices everything else goes on. The line shows how far behind this process is, and who would
 * wait in it for too long is told so at once, which costs a fraction of an answer.
 *
 * @param isHeld whether nobody is to be let in for now: what has been let in cannot be carried out as fast.
 */
export function createEntrance(isHeld: () => boolean, limits: EntranceLimits = usualLimits): Entrance {
  const { sliceMs, patienceMs, longestMs, fewest, most, atOnce, mostRefused } = limits;
  let first: Waiting | null = null;
  let last: Waiting | null = null;
  let waiting = 0;
  let isConnected = false;
  let connections = 0;
  /** When this turn of the event loop brought its first request, or else the last slice ended; 0 while there is nothing to do. */
  let turnAt = 0;
  let urgent = 0;
  /** Answered at the end of the turn: those who have their answer send the next request, which Node would read in the same turn. */
  let refused: [IncomingMessage, ServerResponse][] = [];

  /**
   * Who is first in line has seen `ahead` others answered while it waited: with as many as that in line now, who comes
   * now waits as long. This is asked only once that has been long enough to say anything.
   */
  function isTooLong(now: number): boolean {
    if (waiting >= most) return true;
    if (first === null || waiting < fewest) return false;
    const waited = now - first.since;
    return waited >= patienceMs / 2 && waiting * waited >= first.ahead * patienceMs;
  }

  function beginTurn(now: number): void {
    if (turnAt !== 0) return;
    turnAt = now;
    setImmediate(() => endTurn());
  }

  /**
   * Node accepts one connection a turn of its event loop, however many wait to be (libuv since 1.45): where each turn
   * serves and commits what came, they wait for as many commits. So turns that bring one do no more than that, for a
   * while: nobody is even turned away, since whoever is sends the next request, and the turns would become long again.
   */
  function isConnecting(): boolean {
    connections = isConnected ? connections + 1 : 0;
    isConnected = false;
    if (connections > mostConnections) connections = 0;
    return connections > 0;
  }

  let endTurn: () => void = () => {
    turnAt = 0;
    isConnected = false;
  };

  return {
    waiting: () => waiting,
    connected() {
      isConnected = true;
      beginTurn(performance.now());
    },
    through(answer, turnAway) {
      endTurn = serve;
      return (req, res) => {
        const now = performance.now();
        beginTurn(now);
        if (first === null && !isConnected && now - turnAt < sliceMs && !isHeld()) return answer(req, res);
        if (isUrgent(req) && ++urgent < mostUrgent) return answer(req, res);
        if (isTooLong(now)) {
          if (refused.length >= mostRefused) return turnAway(req, res);
          return void refused.push([req, res]);
        }
        const one: Waiting = { req, res, since: now, ahead: waiting++, next: null };
        if (last === null) first = one;
        else last.next = one;
        last = one;
      };

      function serve(): void {
        if (isConnecting()) return void setImmediate(serve);
        for (const [req, res] of refused) turnAway(req, res);
        if (refused.length > 0) refused = [];
        let now = performance.now();
        // As long as all else has taken: a flood of those that are turned away must not keep out who has waited.
        const until = now + Math.min(Math.max(now - turnAt, sliceMs), longestSlice * sliceMs);
        let letIn = 0;
        for (; first !== null && now < until && letIn < atOnce && !isHeld(); now = performance.now()) {
          letIn++;
          const { req, res, since, next } = first;
          first = next;
          if (first === null) last = null;
          waiting--;
          // Node has thrown away the body of one whose client has left; a link's GET has none, and is still meant.
          if (req.destroyed && req.method !== 'GET') continue;
          if (now - since > longestMs) turnAway(req, res);
          else answer(req, res);
        }
        urgent = 0;
        turnAt = first === null ? 0 : now;
        if (first === null) return;
        if (isHeld()) setTimeout(serve, heldMs);
        else setImmediate(serve);
      }
    },
  };
}

/** That are accepted before those who are in already get their turn: a second of them, or two. */
const mostConnections = 10_000;

/** Until it is looked at again whether somebody may be let in. */
const heldMs = 2;

/** Of `sliceMs`: a second, when all connections are in use at once. */
const longestSlice = 50;

/** In a turn: a flood of these waits like any other. */
const mostUrgent = 10;

/** Whoever decides whether this process lives, or looks why it is slow, must not be kept waiting by that. */
function isUrgent({ url = '' }: IncomingMessage): boolean {
  return url.startsWith('/healthz') || url.startsWith('/readyz') || url.startsWith('/metrics');
}

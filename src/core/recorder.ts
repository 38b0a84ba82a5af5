import { retrying, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { writeOptOuts } from './opt-out-writes.js';
import { compareRows, rowOf, type HashedOptOut, type OptOut, type OptOutRow } from './opt-outs.js';

export interface Recorder {
  /**
   * Records opt-outs, and resolves only once they are committed. At most 1,000 at a time.
   *
   * @param onNew called before that where surely none of them stood before: not wherever that is so.
   * @throws Unavailable when the queue is full, the service is stopping, or the database is away. Whether
   *   the opt-outs were recorded is then unknown; recording them again is harmless.
   */
  record(optOuts: readonly (OptOut | HashedOptOut)[], onNew?: () => void): Promise<void>;
  /** Takes nothing more, and resolves when all that was taken has been answered. */
  drain(): Promise<void>;
  /** Rows that wait, and statements in flight. */
  load(): { waiting: number; inFlight: number };
  /** Whether so many rows wait that more of them would only wait longer: better not to begin what brings them. */
  readonly isBehind: () => boolean;
}

export interface RecorderOptions {
  readonly queueRows: number;
  readonly timeoutMs: number;
  readonly onCommit: () => void;
  readonly onStatement?: (rows: readonly OptOutRow[], ms: number, isCommitted: boolean) => void;
}

interface Waiting {
  readonly rows: OptOutRow[];
  readonly since: number;
  readonly onNew: (() => void) | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Beyond this, a statement takes so long that the first of its requests would wait for the last. */
const rowsAStatement = 1000;

/** The next statement of each in flight is full then. */
const rowsBehind = 2 * rowsAStatement;

/** Two keep the log's flushes busy; more only contend. SQLite's one connection takes one at a time anyway. */
const statementsInFlight = 2;

/**
 * The one way by which opt-outs get into the database. What requests bring within one turn of the event
 * loop, and while earlier statements are under way, goes out as one statement, so that a single flush of
 * the log serves many requests; each request is answered after its commit.
 *
 * @param queueRows how many rows may wait; beyond, requests are turned away at once.
 * @param timeoutMs for how long a statement that loses to a deadlock or a lock is repeated, and how long a
 *   request may wait for its statement.
 * @param onCommit told after each commit: the keeper has rows to number.
 * @param onStatement told of each statement: its rows, how long it took with its repeats, and whether they
 *   are committed.
 */
export function createRecorder(
  db: Db,
  { queueRows, timeoutMs, onCommit, onStatement }: RecorderOptions,
): Recorder {
  const queue: Waiting[] = [];
  let waiting = 0;
  let inFlight = 0;
  let isScheduled = false;
  let isDraining = false;
  let whenIdle: (() => void)[] = [];

  function record(optOuts: readonly (OptOut | HashedOptOut)[], onNew?: () => void): Promise<void> {
    if (optOuts.length === 0) return Promise.resolve();
    if (isDraining) return Promise.reject(new Unavailable('the service is stopping'));
    if (waiting + optOuts.length > queueRows) {
      return Promise.reject(new Unavailable('more opt-outs wait than can be recorded in time'));
    }
    const rows = optOuts.map(rowOf);
    return new Promise((resolve, reject) => {
      queue.push({ rows, since: Date.now(), onNew, resolve, reject });
      waiting += rows.length;
      schedule();
    });
  }

  function schedule(): void {
    if (isScheduled || inFlight >= statementsInFlight) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      while (inFlight < statementsInFlight && queue.length > 0) void writeBatch(takeBatch());
    });
  }

  /** A request's rows always go out together: nothing of it is half done. */
  function takeBatch(): Waiting[] {
    let rows = 0;
    let requests = 0;
    for (const entry of queue) {
      if (requests > 0 && rows + entry.rows.length > rowsAStatement) break;
      rows += entry.rows.length;
      requests++;
    }
    waiting -= rows;
    return queue.splice(0, requests);
  }

  async function writeBatch(batch: Waiting[]): Promise<void> {
    inFlight++;
    await writeParts(batch);
    inFlight--;
    refuseOverdue();
    if (queue.length > 0) schedule();
    else if (inFlight === 0) for (const done of whenIdle.splice(0)) done();
  }

  /**
   * Where a batch fails on its data, halves it until the bad request stands alone.
   *
   * @returns the failure where the database is away: then the rest need not be tried.
   */
  async function writeParts(batch: Waiting[]): Promise<Unavailable | null> {
    try {
      const areNew = await write(batch);
      onCommit();
      if (areNew) for (const entry of batch) entry.onNew?.();
      for (const entry of batch) entry.resolve();
      return null;
    } catch (error) {
      if (batch.length === 1 || error instanceof Unavailable) {
        for (const entry of batch) entry.reject(error);
        return error instanceof Unavailable ? error : null;
      }
    }
    const middle = batch.length >> 1;
    const away = await writeParts(batch.slice(0, middle));
    const rest = batch.slice(middle);
    if (away === null) return writeParts(rest);
    for (const entry of rest) entry.reject(away);
    return away;
  }

  /** While the database stands still, nobody waits for the batches of all who came before. */
  function refuseOverdue(): void {
    const now = Date.now();
    const firstInTime = queue.findIndex((entry) => now - entry.since <= timeoutMs);
    for (const entry of queue.splice(0, firstInTime === -1 ? queue.length : firstInTime)) {
      waiting -= entry.rows.length;
      entry.reject(new Unavailable('the database is too slow'));
    }
  }

  async function write(batch: Waiting[]): Promise<boolean> {
    const rows = batch.flatMap((entry) => entry.rows).sort(compareRows);
    const startedAt = performance.now();
    let isCommitted = false;
    try {
      const areNew = await retrying(db, timeoutMs, () => writeOptOuts(db, rows));
      isCommitted = true;
      return areNew;
    } finally {
      onStatement?.(rows, performance.now() - startedAt, isCommitted);
    }
  }

  function drain(): Promise<void> {
    isDraining = true;
    if (queue.length === 0 && inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => (whenIdle = [...whenIdle, resolve]));
  }

  return { record, drain, load: () => ({ waiting, inFlight }), isBehind: () => waiting >= rowsBehind };
}

import { performance } from 'node:perf_hooks';
import { Counter, Histogram, Registry } from 'prom-client';
import { sourceOf, sources, type OptOutRow, type Source } from '../core/opt-outs.js';

/** Where a request came in. A fixed set, as all labels are: nothing that a request says becomes one. */
export const countedDoors = [
  'page',
  'form',
  'direct-link',
  'one-click',
  'pixel',
  'server',
  'download',
  'undo',
  'reason',
  'other',
] as const;
export type CountedDoor = (typeof countedDoors)[number];

/** What came of it. `recorded`: at least one opt-out was committed; `answered`: any other yes. */
export const outcomes = [
  'recorded',
  'answered',
  'unchanged',
  'refused',
  'blocked',
  'unavailable',
  'failed',
] as const;
export type Outcome = (typeof outcomes)[number];

/** At these, a 200 says that an opt-out was recorded, and nothing else does. */
const recordingDoors: ReadonlySet<CountedDoor> = new Set(['one-click', 'pixel', 'server']);

/** What the service counts while it runs; served by metrics-page.ts, explained in docs/metrics.md. */
export interface Metrics {
  readonly registry: Registry;
  /**
   * Counts an answer, once it is given.
   *
   * @param startedAt by `performance.now()`; without it, the time is not counted.
   * @param isRecorded whether an opt-out was recorded; told by the status where only programs come.
   */
  answered(door: CountedDoor, status: number, startedAt?: number, isRecorded?: boolean): void;
  /** Counts a statement of the recorder's, and what it recorded. */
  statement(rows: readonly OptOutRow[], ms: number, isCommitted: boolean): void;
  /** Signed links that did not open: a lost secret shows here. */
  readonly invalidTokens: Counter;
  readonly downloads: Counter<'extent' | 'format' | 'outcome'>;
  readonly downloadedEntries: Counter;
  readonly downloadedOctets: Counter;
}

/** In a registry of its own: several services can run in one process. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const answered = answerCounter(registry);
  const statement = statementCounter(registry);
  const invalidTokens = new Counter({
    name: 'signoff_invalid_tokens_total',
    help: 'Signed links that did not open. Many at once: a lost or changed secret.',
    registers,
  });
  const downloads = new Counter({
    name: 'signoff_downloads_total',
    help: 'Files of a list that were sent, by what they hold and whether they were sent to their end.',
    labelNames: ['extent', 'format', 'outcome'] as const,
    registers,
  });
  const downloadedEntries = new Counter({
    name: 'signoff_downloaded_entries_total',
    help: 'Entries in the files that were sent, those of cut-off files as far as they came.',
    registers,
  });
  const downloadedOctets = new Counter({
    name: 'signoff_downloaded_octets_total',
    help: 'Octets that downloads took on the network, compressed where they were.',
    registers,
  });
  return { registry, answered, statement, invalidTokens, downloads, downloadedEntries, downloadedOctets };
}

/** Everything is bound beforehand: a request costs two increments and a look at the clock. */
function answerCounter(registry: Registry): Metrics['answered'] {
  const registers = [registry];
  const requests = new Counter({
    name: 'signoff_requests_total',
    help: 'Requests by the door they came through and what came of them.',
    labelNames: ['door', 'outcome'] as const,
    registers,
  });
  const blocked = new Counter({
    name: 'signoff_blocked_requests_total',
    help: 'Requests that were turned away with 429, by door.',
    labelNames: ['door'] as const,
    registers,
  });
  const durations = new Histogram({
    name: 'signoff_request_duration_seconds',
    help: 'Time to the answer by door; of a download, to its end.',
    labelNames: ['door'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const bound = Object.fromEntries(
    countedDoors.map((door) => [
      door,
      {
        byOutcome: Object.fromEntries(
          outcomes.map((outcome) => [outcome, requests.labels(door, outcome)]),
        ) as Record<Outcome, Counter.Internal>,
        blocked: blocked.labels(door),
        duration: durations.labels(door),
      },
    ]),
  ) as Record<CountedDoor, ReturnType<typeof boundOf>>;
  return (door, status, startedAt, isRecorded = status === 200 && recordingDoors.has(door)) => {
    const { byOutcome, blocked, duration } = bound[door];
    const outcome = outcomeOf(status, isRecorded);
    byOutcome[outcome].inc();
    if (outcome === 'blocked') blocked.inc();
    if (startedAt !== undefined) duration.observe((performance.now() - startedAt) / 1000);
  };
}

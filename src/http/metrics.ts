import { performance } from 'node:perf_hooks';
import { Counter, Histogram, Registry } from 'prom-client';
import type { Download } from '../core/downloads.js';
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
  'scrub',
  'undo',
  'reason',
  'api',
  'console',
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
  readonly answered: (door: CountedDoor, status: number, startedAt?: number, isRecorded?: boolean) => void;
  /** Counts a request that was turned away unread, since too many came at once. */
  readonly turnedAway: (door: CountedDoor) => void;
  /** Counts a statement of the recorder's, and what it recorded. */
  readonly statement: (rows: readonly OptOutRow[], ms: number, isCommitted: boolean) => void;
  /** Signed links that did not open: a lost secret shows here. */
  readonly invalidTokens: Counter;
  /** Counts a file that was sent, or was cut off. */
  readonly download: (download: SentDownload) => void;
}

export interface SentDownload {
  readonly extent: Download['extent'];
  readonly format: string;
  readonly isWhole: boolean;
  readonly entries: number;
  /** On the network, with the answer's head. */
  readonly octets: number;
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
  const turnedAway = new Counter({
    name: 'signoff_turned_away_requests_total',
    help: 'Requests that were answered 503 unread, since more came than could be answered in time.',
    registers,
  });
  const download = downloadCounter(registry);
  return {
    registry,
    answered,
    turnedAway: (door) => {
      answered(door, 503);
      turnedAway.inc();
    },
    statement,
    invalidTokens,
    download,
  };
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
  const boundTo = (door: CountedDoor) => ({
    requests: byName(outcomes, (outcome) => requests.labels(door, outcome)),
    blocked: blocked.labels(door),
    duration: durations.labels(door),
  });
  const bound = byName(countedDoors, boundTo);
  for (const [name, door] of Object.entries(bound)) {
    durations.zero({ door: name });
    for (const counter of [...Object.values(door.requests), door.blocked]) counter.inc(0);
  }
  return (door, status, startedAt, isRecorded = status === 200 && recordingDoors.has(door)) => {
    const of = bound[door];
    const outcome = outcomeOf(status, isRecorded);
    of.requests[outcome].inc();
    if (outcome === 'blocked') of.blocked.inc();
    if (startedAt !== undefined) of.duration.observe((performance.now() - startedAt) / 1000);
  };
}

function outcomeOf(status: number, isRecorded: boolean): Outcome {
  if (status < 400) return isRecorded ? 'recorded' : status === 304 ? 'unchanged' : 'answered';
  if (status === 429) return 'blocked';
  if (status < 500) return 'refused';
  return status === 503 ? 'unavailable' : 'failed';
}

function statementCounter(registry: Registry): Metrics['statement'] {
  const registers = [registry];
  const recorded = new Counter({
    name: 'signoff_opt_outs_recorded_total',
    help: 'Opt-outs that this process committed, repeated ones included, by source.',
    labelNames: ['source'] as const,
    registers,
  });
  const batches = new Histogram({
    name: 'signoff_recorder_batch_rows',
    help: 'Opt-outs that were committed by one statement.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    registers,
  });
  const durations = new Histogram({
    name: 'signoff_recorder_statement_seconds',
    help: 'Time of a statement that records, with its repeats after deadlocks and locks, failed ones included.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  const failures = new Counter({
    name: 'signoff_recorder_failures_total',
    help: 'Statements of the recorder that failed for good.',
    registers,
  });
  const bySource = byName(sources, (source) => recorded.labels(source));
  for (const counter of Object.values(bySource)) counter.inc(0);
  return (rows, ms, isCommitted) => {
    durations.observe(ms / 1000);
    if (!isCommitted) return failures.inc();
    batches.observe(rows.length);
    const counts = new Map<Source, number>();
    for (const row of rows) counts.set(sourceOf(row), (counts.get(sourceOf(row)) ?? 0) + 1);
    for (const [source, count] of counts) bySource[source].inc(count);
  };
}

function downloadCounter(registry: Registry): Metrics['download'] {
  const registers = [registry];
  const downloads = new Counter({
    name: 'signoff_downloads_total',
    help: 'Files of lists, by what they hold, and whether they were sent to their end.',
    labelNames: ['extent', 'format', 'outcome'] as const,
    registers,
  });
  const entries = new Counter({
    name: 'signoff_downloaded_entries_total',
    help: 'Entries in the files that were sent; of cut-off ones, as far as they came.',
    registers,
  });
  const octets = new Counter({
    name: 'signoff_downloaded_octets_total',
    help: 'Octets that downloads took on the network, compressed where they were.',
    registers,
  });
  return (sent) => {
    const outcome = sent.isWhole ? 'done' : 'cut-off';
    downloads.inc({ extent: sent.extent, format: sent.format, outcome });
    entries.inc(sent.entries);
    octets.inc(Math.max(0, sent.octets));
  };
}

function byName<Name extends string, T>(names: readonly Name[], make: (name: Name) => T): Record<Name, T> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<Name, T>;
}

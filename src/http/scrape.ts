import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { Gauge } from 'prom-client';
import { countBlocks } from '../core/blocks.js';
import { getFeed } from '../core/feed.js';
import type { Deps } from '../deps.js';
import { keeperLag } from './keeper-lag.js';

/** What is told on `/metrics`, in Prometheus' text format. */
export type Scrape = () => Promise<string>;

/** A scraper waits ten seconds as a rule; what the database has not told by then is left out. */
const databaseMs = 3000;

type ScrapeDeps = Pick<Deps, 'db' | 'keeper' | 'recorder' | 'entrance' | 'state' | 'metrics' | 'log'>;

/**
 * Adds to what is counted what is looked up when it is asked for. Never fails because the database is
 * away: what only it knows is left out then. However many scrape at once, and however long it hangs, it is
 * asked by one of them at a time.
 */
export function createScrape(deps: ScrapeDeps): Scrape {
  const { metrics, recorder, entrance, state, log } = deps;
  const { registry } = metrics;
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] });

  const ofProcess = processGauges(gauge);
  const inLine = gauge('signoff_waiting_requests', 'Requests that wait for their turn at the entrance.');
  const waiting = gauge('signoff_recorder_waiting_rows', 'Opt-outs that wait to be written.');
  const inFlight = gauge('signoff_recorder_statements_in_flight', 'Statements of the recorder under way.');
  const downloads = gauge('signoff_downloads_under_way', 'Downloads under way in this process.');
  const scrubs = gauge('signoff_scrubs_under_way', 'Scrubs under way in this process.');
  const databaseUp = gauge('signoff_database_up', 'Whether the database has answered this scrape.');
  const ofDatabase = {
    feedLag: gauge(
      'signoff_feed_lag_seconds',
      'For how long at least a change has waited for its feed number, or an expiry for its removal.',
    ),
    keeperLag: gauge(
      'signoff_keeper_lag_seconds',
      'For how long the work behind has waited, failed, or been without a keeper: the longest of these.',
    ),
    lastNumber: gauge('signoff_feed_last_number', 'The newest feed number of the installation.'),
    blocks: gauge('signoff_blocks', 'Clients that the attack rule keeps out at the moment, on all nodes.'),
  };

  let reading: Promise<DatabaseReadings> | null = null;
  const read = async (): Promise<DatabaseReadings | null> => {
    reading ??= readDatabase(deps).finally(() => (reading = null));
    try {
      return await within(databaseMs, reading);
    } catch (error) {
      log.warn({ err: error }, 'the metrics are without what the database knows');
      return null;
    }
  };

  return async () => {
    const readings = await read();
    databaseUp.set(readings === null ? 0 : 1);
    for (const [name, one] of Object.entries(ofDatabase) as [keyof DatabaseReadings, Gauge][]) {
      if (readings === null) one.remove();
      else one.set(readings[name]);
    }
    const load = recorder.load();
    inLine.set(entrance.waiting());
    waiting.set(load.waiting);
    inFlight.set(load.inFlight);
    downloads.set(state.downloads.size);
    scrubs.set(state.scrubs.size);
    ofProcess();
    return registry.metrics();
  };
}

interface DatabaseReadings {
  readonly feedLag: number;
  readonly keeperLag: number;
  readonly lastNumber: number;
  readonly blocks: number;
}

async function readDatabase(deps: ScrapeDeps): Promise<DatabaseReadings> {
  const lag = await keeperLag(deps);
  const { lastNumber } = await getFeed(deps.db);
  return {
    feedLag: lag.feedMs / 1000,
    keeperLag: lag.keeperMs / 1000,
    lastNumber,
    blocks: await countBlocks(deps.db),
  };
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

/** By the names that dashboards for Node know; those of them alone that cost next to nothing to read. */
function processGauges(gauge: (name: string, help: string) => Gauge): () => void {
  const memory = gauge('process_resident_memory_bytes', 'Resident memory of this process.');
  const startTime = gauge('process_start_time_seconds', 'When this process started, in Unix time.');
  const p99 = gauge(
    'nodejs_eventloop_lag_p99_seconds',
    'By how much the event loop came late, 99th percentile since the scrape before.',
  );
  const max = gauge(
    'nodejs_eventloop_lag_max_seconds',
    'By how much the event loop came late at most since the scrape before.',
  );
  const resolutionMs = 10;
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  // What is measured is the time between two ticks of its timer.
  const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000);
  startTime.set(Math.round(Date.now() / 1000 - process.uptime()));
  return () => {
    memory.set(process.memoryUsage.rss());
    p99.set(late(delay.percentile(99)));
    max.set(late(delay.max));
    delay.reset();
  };
}

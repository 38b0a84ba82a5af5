import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { getFeed } from '../../src/core/feed.js';
import { findLease } from '../../src/core/leases.js';
import { connect } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { startLoad, type Load } from '../../test/support/ledger.js';
import type { SpawnedService } from '../../test/support/spawned-service.js';
import type { Finding } from '../proof.js';
import { startDeltaReader, type DeltaReader } from './delta-reader.js';
import type { GaleraNode } from './galera-node.js';
import { startGalera, type GaleraCluster } from './galera.js';
import { createDatabase, install, type Installation } from './installation.js';
import { startOneWriter } from './one-writer.js';

const connections = 16;
/** What each service node's clients are to get acknowledged before a fault is over, and again behind it. */
const ackedAPart = 1000;
/** On a machine that is busy, fewer do after so long. */
const leastAckedAPart = 100;
const partMs = 15_000;
const patienceMs = 120_000;

/** What a fault may say while it is injected. */
export interface Telling {
  /** A part of the phase's figure. */
  readonly figure: (text: string) => void;
  /** What was silent until now does not count: that was no matter of the service's. */
  readonly countFrom: () => void;
  /** Ends the fault, once the service goes on in spite of it. */
  readonly afterwards: (mend: () => Promise<void>) => void;
}

export interface Phase {
  readonly acknowledged: readonly string[];
  readonly finding: (counts: { lost: number; doubled: number }) => Finding;
}

/** Three database nodes, two service nodes that each have a proxy of their own, and clients of both, all at work. */
export interface Stage {
  readonly cluster: GaleraCluster;
  readonly installation: Installation;
  readonly services: readonly [SpawnedService, SpawnedService];
  readonly reader: DeltaReader;
  readonly writer: () => GaleraNode;
  readonly isWrittenTo: (node: GaleraNode) => boolean;
  /** Ends the hard way the service node that holds the keeper's lease, and starts another in its place. */
  readonly killKeeper: () => Promise<{ tookMs: number }>;
  /** @param mostMs for which the clients of a service node may get no acknowledged answer. */
  readonly phase: (
    what: string,
    mostMs: number,
    inject: (telling: Telling) => Promise<void>,
  ) => Promise<Phase>;
  readonly until: (what: string, isSo: () => boolean | Promise<boolean>) => Promise<void>;
  readonly acknowledged: () => string[];
  readonly sent: () => number;
  readonly otherRefusals: () => number;
  readonly numbersOfRows: () => Promise<{ rows: number; distinct: number }>;
  readonly stopLoad: () => Promise<void>;
  readonly stopServices: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function startStage(say: (text: string) => void): Promise<Stage> {
  say('three database nodes');
  const cluster = await startGalera();
  const closing: (() => Promise<unknown>)[] = [() => cluster.stop()];
  const close = async () => {
    for (const one of closing.splice(0).reverse()) await one();
  };
  try {
    return await build(cluster, closing, close, say);
  } catch (error) {
    await close();
    throw error;
  }
}

async function build(
  cluster: GaleraCluster,
  closing: (() => Promise<unknown>)[],
  close: () => Promise<void>,
  say: (text: string) => void,
): Promise<Stage> {
  const proxies = await Promise.all([startOneWriter(cluster.nodes), startOneWriter(cluster.nodes)]);
  closing.push(() => Promise.all(proxies.map((proxy) => proxy.close())));
  const [firstProxy, secondProxy] = proxies;
  const url = await createDatabase(firstProxy.url);
  const otherUrl = `${secondProxy.url}signoff`;

  say('migrating, by two processes at once, and two service nodes');
  await Promise.all([migrateOnce(url), migrateOnce(otherUrl)]);
  const installation = await install(url);
  const start = (i: number) =>
    installation.start({ DATABASE_URL: i === 0 ? url : otherUrl, DATABASE_TIMEOUT_MS: '5000' });
  const services = await Promise.all([start(0), start(1)]);
  closing.push(() => Promise.all(services.map(end)));
  /** What a load balancer does: a node that is down is asked nothing. */
  const origin = (i: number) => (isUp(services[i]) ? services[i] : services[1 - i])?.url ?? '';

  const { link, ways } = installation;
  const loads = [0, 1].map((i) => startLoad(() => origin(i), link, { connections, name: `node${i}`, ways }));
  const stopLoad = async () => void (await Promise.all(loads.map((load) => load.stop())));
  closing.push(stopLoad);
  const { epoch } = await installation.withDb(getFeed);
  let turn = 0;
  const download = `${link}/download?format=plain&key=${installation.accessKey}`;
  const reader = startDeltaReader(() => origin(turn++ % 2), download, `${epoch}.0`);
  closing.push(() => reader.finish().catch(() => undefined));

  const isWrittenTo = ({ name }: GaleraNode) => proxies.every((proxy) => proxy.active() === name);
  const stage: Stage = {
    ...{ cluster, installation, services, reader, close, stopLoad },
    isWrittenTo,
    writer() {
      const node = cluster.nodes.find(isWrittenTo);
      if (node === undefined) throw new Error('the proxies are not of one mind');
      return node;
    },
    until,
    async killKeeper() {
      const holder = await installation.withDb(async (db) => (await findLease(db, 'keeper'))?.holder ?? '');
      const i = services.findIndex(({ process }) => holder.includes(`-${process.pid}-`));
      const service = services[i];
      if (service === undefined) throw new Error(`nobody is the keeper: ${holder}`);
      const startedAt = Date.now();
      await end(service);
      return installation.withDb(async (db) => {
        const before = (await getFeed(db)).lastNumber;
        await until('the other one numbers', async () => (await getFeed(db)).lastNumber > before);
        const tookMs = Date.now() - startedAt;
        services[i] = await start(i);
        return { tookMs };
      });
    },
    phase: (what, mostMs, inject) => {
      say(what);
      return runPhase(loads, what, mostMs, inject);
    },
    acknowledged: () => loads.flatMap(({ ledger }) => [...ledger.acked]),
    sent: () => loads.reduce((sum, { ledger }) => sum + ledger.sent, 0),
    otherRefusals: () =>
      loads.reduce((sum, { ledger }) => sum + ledger.refusals.length - ledger.retryable, 0),
    numbersOfRows: () =>
      installation.withDb(async (db) => {
        const row: unknown = await db('opt_outs')
          .countDistinct({ distinct: 'feed_number' })
          .count({ rows: '*' })
          .first();
        return row as { rows: number; distinct: number };
      }),
    stopServices: async () => void (await Promise.all(services.map((service) => service.stop()))),
  };
  await until('all clients are served', () =>
    loads.every(({ ledger }) => ledger.acked.size >= leastAckedAPart),
  );
  return stage;
}

async function runPhase(
  loads: readonly Load[],
  what: string,
  mostMs: number,
  inject: (telling: Telling) => Promise<void>,
): Promise<Phase> {
  const figures: string[] = [];
  let mend = () => Promise.resolve();
  const sizes = () => loads.map(({ ledger }) => ledger.acked.size);
  const untilMore = (when: string) => {
    const [before, startedAt] = [sizes(), Date.now()];
    return until(`${what}: ${when}`, () => {
      const least = Date.now() < startedAt + partMs ? ackedAPart : leastAckedAPart;
      return sizes().every((size, i) => size >= (before[i] ?? 0) + least);
    });
  };
  const [first, sentBefore] = [sizes(), loads.map(({ ledger }) => ledger.sent)];
  const silences = watchSilences(loads);
  await inject({
    figure: (text) => void figures.push(text),
    countFrom: () => silences.countFrom(),
    afterwards: (given) => (mend = given),
  });
  await untilMore('the clients of both nodes are served again');
  await mend();
  await untilMore('and behind it');
  const longest = silences.stop();
  const last = sizes();
  const acknowledged = loads.flatMap(({ ledger }, i) => [...ledger.acked].slice(first[i], last[i]));
  const sent = loads.reduce((sum, { ledger }, i) => sum + ledger.sent - (sentBefore[i] ?? 0), 0);
  const told = longest.map((ms) => `${(ms / 1000).toFixed(1)} s`).join(' and ');
  return {
    acknowledged,
    finding: ({ lost, doubled }) => ({
      ...{ what, faults: 1, sent, acknowledged: acknowledged.length, lost, doubled },
      figure: [`back after ${told}`, ...figures].join('; '),
      holds: lost + doubled === 0 && longest.every((ms) => ms <= mostMs),
    }),
  };
}

/** The longest time in which the clients of each service node got no acknowledged answer. */
function watchSilences(loads: readonly Load[]) {
  const seen = loads.map(({ ledger }) => ({ size: ledger.acked.size, at: Date.now(), longest: 0 }));
  const look = () => {
    const now = Date.now();
    for (const [i, one] of seen.entries()) {
      const size = loads[i]?.ledger.acked.size ?? 0;
      one.longest = Math.max(one.longest, now - one.at);
      if (size > one.size) [one.size, one.at] = [size, now];
    }
  };
  const timer = setInterval(look, 20);
  return {
    countFrom: () => {
      for (const one of seen) [one.at, one.longest] = [Date.now(), 0];
    },
    stop: () => {
      clearInterval(timer);
      look();
      return seen.map(({ longest }) => longest);
    },
  };
}

async function migrateOnce(url: string): Promise<void> {
  const db = connect(url, { timeoutMs: 60_000, poolSize: 2 });
  await migrate(db).finally(() => db.destroy());
}

const isUp = (service?: SpawnedService) =>
  service?.process.exitCode === null && service.process.signalCode === null;

async function end(service: SpawnedService): Promise<void> {
  if (!isUp(service)) return;
  service.process.kill('SIGKILL');
  await once(service.process, 'exit');
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`it did not come to pass: ${what}`);
    await sleep(50);
  }
}

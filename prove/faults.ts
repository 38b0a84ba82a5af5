import Database from 'better-sqlite3';
import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { sqlitePath } from '../src/db/sqlite.js';
import { rowsOfList } from '../test/support/core.js';
import { send, type Answer, type Ledger } from '../test/support/ledger.js';
import { until } from '../test/support/service.js';
import type { Way } from '../test/support/ways.js';
import type { Finding, Proof, Setting } from './proof.js';
import { provenBySuite } from './suites.js';
import { mountSmallDisk, type SmallDisk } from './support/disk.js';
import { acknowledgesInSpiteOfFaults } from './support/early.js';
import { timeoutMs } from './support/installation.js';
import { patiently } from './support/patiently.js';
import { pour } from './support/pour.js';
import { openWorld, type World } from './support/world.js';

/** docs/reliability.md: three times DATABASE_TIMEOUT_MS, and a second for a machine that is busy. */
const limitMs = 3 * timeoutMs + 1000;
/** Settings of lists are remembered for two seconds: later on, a fault meets the look-up as well. */
const roundsAtMs = [0, 2500];
const askedAtOnce = 3;
const mostMore = 200;

interface Fault {
  readonly what: string;
  /** @returns what ends it. */
  readonly inflict: (world: World) => Promise<() => unknown>;
  /** A thousand at once were refused by it; one by one, some find room all the same. */
  readonly isPartial?: boolean;
}

const holdWriteLock: Fault = {
  what: 'another process holds the write lock',
  async inflict({ of }) {
    const database = new Database(sqlitePath(of.url), { timeout: 0 });
    await until('the file can be locked', () => {
      try {
        database.exec('BEGIN IMMEDIATE');
        return true;
      } catch {
        return false;
      }
    });
    return () => {
      database.exec('ROLLBACK');
      database.close();
    };
  },
};

const ofMysql: readonly Fault[] = [
  {
    what: 'the database stands still (SIGSTOP)',
    inflict: (world) => {
      world.signalDatabase('SIGSTOP');
      return Promise.resolve(() => world.signalDatabase('SIGCONT'));
    },
  },
  {
    what: 'connections to the database are half open',
    inflict: ({ toDatabase }) => Promise.resolve(toDatabase?.mute() ?? (() => undefined)),
  },
  {
    what: 'the database is killed (SIGKILL)',
    inflict: async ({ server }) => {
      await server?.kill9();
      return () => server?.restart();
    },
  },
];

const suites = provenBySuite(5, 'faults', '', {
  'each door of a list, while nothing can be written and while the database is gone': [
    'opt-out/faults.test.ts',
  ],
  'the recorder, while its rows are locked': ['core/recorder-faults.test.ts'],
  'imports, while the database is away': [
    'api/idempotency-failures.test.ts',
    'download/scrub-faults.test.ts',
  ],
});

/** Promise 5: a fault of the database is a 503 at every door, within a limit, and is over when it is over. */
export const faults: Proof = {
  promise: 5,
  name: 'faults',
  says: 'A fault is a 503, never a false yes',
  engines: ['sqlite', 'mysql'],
  isQuickToo: false, // most of it is in the suite as it is
  async prove(setting) {
    const { engine } = setting;
    const findings = await proveIn(
      await openWorld(engine),
      engine === 'sqlite' ? [holdWriteLock] : ofMysql,
      setting,
    );
    findings.push(...(await proveOnFullDisk(setting)));
    return [...findings, ...(await suites.prove(setting)), await acknowledgesInSpiteOfFaults()];
  },
};

async function proveOnFullDisk(setting: Setting): Promise<Finding[]> {
  const what = 'the disk is full';
  const disk = await mountSmallDisk(setting.engine === 'sqlite' ? 64 : 400);
  if (disk === null) return [{ what, notRun: 'to mount a small disk takes root', holds: true }];
  try {
    const serverSettings = ['--innodb-log-file-size=16M'];
    const world = await openWorld(setting.engine, { folder: disk.folder, serverSettings });
    return await proveIn(world, [{ what, inflict: fillUp(disk), isPartial: true }], setting);
  } finally {
    await disk.close();
  }
}

function fillUp(disk: SmallDisk): Fault['inflict'] {
  return async ({ of, service }) => {
    disk.fill();
    const notes = { intended: new Set<string>(), acked: new Set<string>(), refusals: [], ackedBy: new Map() };
    const ledger: Ledger = { ...notes, retryable: 0, sent: 0, breaks: 0 };
    // A server has some room left in its files.
    await pour(of, service.url, ledger);
    return () => disk.makeRoom();
  };
}

async function proveIn(world: World, all: readonly Fault[], { say }: Setting): Promise<Finding[]> {
  try {
    const findings: Finding[] = [];
    for (const [i, fault] of all.entries()) {
      say(fault.what);
      findings.push(await proveOne(world, fault, `f${i}`));
    }
    return findings;
  } finally {
    await world.close();
  }
}

interface Told extends Answer {
  readonly way: string;
  readonly email: string;
  readonly tookMs: number;
}

async function proveOne(world: World, fault: Fault, name: string): Promise<Finding> {
  const { of } = world;
  let asked = 0;
  const agent = new http.Agent({ keepAlive: false });
  async function ask(way: Way): Promise<Told | null> {
    const email = `${name}-${++asked}@example.com`;
    const startedAt = performance.now();
    const answer = await send(agent, world.service.url, way, email);
    return answer && { ...answer, email, way: way.name, tookMs: performance.now() - startedAt };
  }
  for (const way of of.ways) {
    if (!(await ask(way))?.isTaken) throw new Error(`${way.name} does not work before the fault`);
  }
  const before = asked;
  const mend = await fault.inflict(world);
  const askAll = () =>
    Promise.all(of.ways.flatMap((way) => Array.from({ length: askedAtOnce }, () => ask(way))));
  const rounds = roundsAtMs.map(async (ms) => {
    await wait(ms);
    return askAll();
  });
  const told = (await Promise.all(rounds)).flat();
  // What room is left in the server's files is used up by and by.
  for (let more = 0; more < mostMore && fault.isPartial && told.every((one) => one?.isTaken); more++) {
    told.push(...(await askAll()));
  }
  const sent = asked - before;
  await mend();
  const mendedAt = Date.now();
  const acked = told.filter((one) => one?.isTaken).map((one) => one?.email ?? '');
  for (const way of of.ways) {
    await patiently(`${way.name} works again`, async () => {
      const answer = await ask(way);
      if (answer?.isTaken) acked.push(answer.email);
      return answer?.isTaken === true;
    });
  }
  const backMs = Date.now() - mendedAt;
  const rows = await of.withDb((db) => rowsOfList(db, of.list.id));
  const there = new Set(rows.map((row) => String(row.address)));
  const lost = acked.filter((email) => !there.has(email)).length;
  const refused = told.filter((one) => one?.isRetryable).length;
  const taken = told.filter((one) => one?.isTaken).length;
  const [slowest] = told.toSorted((a, b) => (b?.tookMs ?? Infinity) - (a?.tookMs ?? Infinity));
  const slowestMs = Math.round(slowest?.tookMs ?? Infinity);
  return {
    what: `${fault.what}; each way asked ${told.length / of.ways.length} times`,
    ...{ faults: 1, sent, acknowledged: taken, lost },
    figure: `${refused} answered 503 with Retry-After, the slowest after ${slowestMs} ms (${slowest?.way}; limit ${limitMs}); all ways back ${backMs} ms after the fault`,
    holds:
      lost === 0 &&
      refused > 0 &&
      refused + taken === told.length &&
      (fault.isPartial === true || taken === 0) &&
      slowestMs <= limitMs,
  };
}

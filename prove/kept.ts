import Database from 'better-sqlite3';
import { setTimeout as wait } from 'node:timers/promises';
import { sqlitePath } from '../src/db/sqlite.js';
import { startLoad, type Ledger } from '../test/support/ledger.js';
import { until } from '../test/support/service.js';
import type { Finding, Proof, Setting } from './proof.js';
import { mountSmallDisk, type SmallDisk } from './support/disk.js';
import { acknowledgesTooEarly } from './support/early.js';
import { timeoutMs } from './support/installation.js';
import { patiently } from './support/patiently.js';
import { pour } from './support/pour.js';
import { compare, countBreaches, readBack } from './support/read-back.js';
import { openWorld, type World } from './support/world.js';

const connections = 32;
/** How long a client waits for an answer; the service itself takes three times its timeout at most. */
const patienceMs = 4 * timeoutMs;

interface Fault {
  readonly what: string;
  /** How often, in the quick form and in the long one. */
  readonly times: readonly [quick: number, long: number];
  /** The database is well all the while: whoever is answered is answered with success. */
  readonly isHarmless?: boolean;
  /** Puts it on, and takes it off again once the clients have felt it. */
  readonly inflict: (
    world: World,
    felt: (failures?: number) => Promise<void>,
    ledger: Ledger,
  ) => Promise<void>;
}

const killOfService: Fault = {
  what: 'SIGKILL of the service',
  times: [2, 5],
  isHarmless: true,
  async inflict(world, felt) {
    await world.killService();
    await felt(connections);
    await world.startService();
  },
};

const muteClients: Fault = {
  what: 'half-open connections of half of the clients',
  times: [0, 2],
  isHarmless: true,
  async inflict({ toService }, felt) {
    const mend = toService.mute();
    await felt(connections / 2);
    mend();
  },
};

const ofSqlite: readonly Fault[] = [
  killOfService,
  {
    what: 'another process holds the write lock for longer than the timeout',
    times: [0, 2],
    async inflict({ of }, felt) {
      const database = new Database(sqlitePath(of.url), { timeout: 0 });
      await until('the file can be locked', () => tryTo(() => database.exec('BEGIN IMMEDIATE')));
      await Promise.all([felt(connections), wait(2 * timeoutMs)]);
      database.exec('ROLLBACK');
      database.close();
    },
  },
  muteClients,
];

const ofMysql: readonly Fault[] = [
  { ...killOfService, times: [1, 5] },
  {
    what: 'SIGKILL of the database',
    times: [1, 3],
    async inflict({ server }, felt) {
      await server?.kill9();
      await felt(connections);
      await server?.restart();
    },
  },
  {
    what: 'SIGKILL of the service and of the database at once',
    times: [0, 2],
    async inflict(world, felt) {
      await Promise.all([world.killService(), world.server?.kill9()]);
      await felt(connections);
      await world.server?.restart();
      await world.startService();
    },
  },
  {
    what: 'SIGSTOP of the database for longer than the timeout',
    times: [0, 2],
    async inflict(world, felt) {
      world.signalDatabase('SIGSTOP');
      await Promise.all([felt(connections), wait(2 * timeoutMs)]);
      world.signalDatabase('SIGCONT');
    },
  },
  {
    what: 'half-open connections to the database',
    times: [0, 2],
    async inflict({ toDatabase }, felt) {
      const mend = toDatabase?.mute();
      await Promise.all([felt(connections), wait(2 * timeoutMs)]);
      mend?.();
    },
  },
  muteClients,
];

/** Promise 1, by a ledger that the clients keep: what was acknowledged is there, wherever a list is handed out. */
export const kept: Proof = {
  promise: 1,
  name: 'kept',
  says: 'What was acknowledged is kept',
  engines: ['sqlite', 'mysql'],
  isQuickToo: true,
  async prove(setting) {
    const { engine, size } = setting;
    const findings: Finding[] = [];
    const faults = engine === 'sqlite' ? ofSqlite : ofMysql;
    findings.push(...(await proveIn(await openWorld(engine, worldOptions(size)), setting, faults, 20_000)));
    if (size === 'long') findings.push(...(await proveOnFullDisk(setting)));
    findings.push(await acknowledgesTooEarly(engine));
    return findings;
  },
};

/** @param least how many are acknowledged over the faults of the long form. */
async function proveIn(
  world: World,
  setting: Setting,
  faults: readonly Fault[],
  least: number,
): Promise<Finding[]> {
  const { of } = world;
  const isQuick = setting.size === 'quick';
  const toDo = faults.filter(({ times }) => times[isQuick ? 0 : 1] > 0);
  /** Of each fault. */
  const share = isQuick ? 200 : Math.ceil(least / toDo.length);
  const load = startLoad(
    (connection) => (connection % 2 === 0 ? world.service.url : `http://127.0.0.1:${world.toService.port}`),
    of.link,
    { connections, name: 'k', ways: of.ways, patienceMs: isQuick ? 60_000 : patienceMs },
  );
  const { ledger } = load;
  try {
    const chapters = [];
    for (const fault of toDo) {
      const { what, times, inflict } = fault;
      const began = standOf(ledger);
      const count = times[isQuick ? 0 : 1];
      let slowestMs = 0;
      for (let time = 1; time <= count; time++) {
        setting.say(`${what}, ${time} of ${count}`);
        await acknowledged(ledger, began.acked + Math.floor((share * time) / count));
        const failures = () => ledger.breaks + ledger.refusals.length;
        const before = failures();
        await inflict(
          world,
          (least = 1) => patiently('the clients feel it', () => failures() >= before + least),
          ledger,
        );
        const mendedAt = Date.now();
        await acknowledged(ledger, ledger.acked.size + 1);
        slowestMs = Math.max(slowestMs, Date.now() - mendedAt);
      }
      chapters.push({ fault, count, began, ended: standOf(ledger), slowestMs });
    }
    await acknowledged(ledger, ledger.acked.size + 100);
    await load.stop();
    setting.say('everything is read back');
    const found = await readBack(of, world.service.url);
    const breaches = await countBreaches(of);
    const acked = [...ledger.acked];
    const invented = found.database.filter((email) => !ledger.intended.has(email)).length;
    const isEveryWayUsed = of.ways.every(({ name }) => (ledger.ackedBy.get(name) ?? 0) > 0);
    const wrong = ledger.refusals.length - ledger.retryable;
    return chapters.map(({ fault: { what, isHarmless }, count, began, ended, slowestMs }): Finding => {
      const mine = acked.slice(began.acked, ended.acked);
      const { lost, doubled } = compare(mine, found);
      const refused = ended.refusals - began.refusals;
      const broken = ended.breaks - began.breaks;
      const isFelt = isHarmless === true ? broken > 0 && refused === 0 : refused + broken > 0;
      return {
        ...{ what, faults: count, sent: ended.sent - began.sent, acknowledged: mine.length, lost, doubled },
        figure: `${refused} answered 503, ${broken} connections broken, on again ${slowestMs} ms after the fault`,
        holds:
          lost + doubled + invented + wrong + breaches === 0 &&
          mine.length >= share &&
          isEveryWayUsed &&
          isFelt,
      };
    });
  } finally {
    await load.stop();
    await world.close();
  }
}

async function proveOnFullDisk(setting: Setting): Promise<Finding[]> {
  const { engine } = setting;
  const what = 'a full disk';
  const disk = await mountSmallDisk(engine === 'sqlite' ? 64 : 400);
  if (disk === null) return [{ what, notRun: 'to mount a small disk takes root', holds: true }];
  try {
    const world = await openWorld(engine, {
      ...worldOptions(setting.size),
      folder: disk.folder,
      serverSettings: ['--innodb-log-file-size=16M'],
    });
    return await proveIn(world, setting, [{ what, times: [0, 2], inflict: fillUp(disk) }], 2000);
  } finally {
    await disk.close();
  }
}

/** A server has some room left in its files: they are filled up by many more than the load brings. */
function fillUp(disk: SmallDisk): Fault['inflict'] {
  return async ({ of, service }, felt, ledger) => {
    disk.fill();
    await Promise.all([felt(connections), pour(of, service.url, ledger)]);
    disk.makeRoom();
  };
}

/** A quick form on a busy machine is not to wait for the database's timeouts: none of its faults is about them. */
function worldOptions(size: Setting['size']): { env: Record<string, string> } {
  return { env: size === 'quick' ? { DATABASE_TIMEOUT_MS: '10000' } : {} };
}

function standOf({ acked, refusals, sent, breaks }: Ledger) {
  return { acked: acked.size, refusals: refusals.length, sent, breaks };
}

function acknowledged(ledger: Ledger, count: number): Promise<void> {
  return patiently(`${count} are acknowledged`, () => ledger.acked.size >= count);
}

function tryTo(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

import { once } from 'node:events';
import { getCounts, getFeed, hasPendingChanges } from '../src/core/feed.js';
import { connect, type Db } from '../src/db/connect.js';
import { countsByKind, rowsOfList } from '../test/support/core.js';
import { freshMigratedDatabase } from '../test/support/template.js';
import type { Finding, Proof, Setting } from './proof.js';
import { startWriters, type Writers } from './support/feed-writers.js';
import { followDelta, followFeed, followNaively, naivesOf, type Followed } from './support/followers.js';
import { install, type Installation } from './support/installation.js';
import { patiently } from './support/patiently.js';
import { countBreaches } from './support/read-back.js';

const quickWriters = 6;

/**
 * Promise 3: six writers by the service's doors and two processes whose transactions stay open for long, a
 * service that is stopped, killed and started again, and three readers that follow their cursors meanwhile.
 * That the writing is of a kind to lose rows in is shown by readers who follow the order of recording.
 */
export const feed: Proof = {
  promise: 3,
  name: 'feed',
  says: 'A delta misses nothing',
  engines: ['sqlite', 'mysql'],
  isQuickToo: true,
  async prove(setting) {
    const database = await freshMigratedDatabase();
    try {
      const of = await install(database.url);
      const db = connect(database.url, { timeoutMs: 20_000, poolSize: 8 });
      try {
        return await proveOn(of, db, setting);
      } finally {
        await db.destroy();
      }
    } finally {
      await database.drop();
    }
  },
};

async function proveOn(of: Installation, db: Db, { engine, size, say }: Setting): Promise<Finding[]> {
  const least = size === 'quick' ? 500 : 6000;
  const stops: readonly NodeJS.Signals[] =
    size === 'quick' ? ['SIGTERM'] : ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL'];
  // A slow writer keeps the others waiting, in a file all of them.
  const start = () => of.start({ DATABASE_TIMEOUT_MS: '20000' });
  let service = await start();
  let isOver = false;
  const over = () => isOver;
  const naives = await naivesOf(db, engine);
  const writers = startWriters(of, () => service.url, quickWriters);
  try {
    const { epoch } = await getFeed(db);
    const origin = () => service.url;
    const readers = Promise.all([
      ...[followDelta(of, origin, epoch, over), followDelta(of, origin, epoch, over)],
      followFeed(of, origin, over),
    ]);
    const naiveReaders = Promise.all(naives.map((naive) => followNaively(naive, over)));
    // Awaited in the end, if all goes well until then.
    for (const reading of [readers, naiveReaders]) reading.catch(() => undefined);
    await patiently('the slow writers write', () => writers.late.size > 1);
    writers.writeQuickly();
    const written = (part: number) =>
      patiently(`${least} are written`, () => writers.acked.size >= least * part);
    for (const [i, signal] of stops.entries()) {
      await written((i + 1) / (stops.length + 1));
      say(`the service gets ${signal}`);
      const ended = once(service.process, 'exit');
      service.process.kill(signal);
      await ended;
      service = await start();
    }
    await written(1);
    await writers.stop();
    say('the rest is numbered');
    await patiently('everything is numbered', async () => !(await hasPendingChanges(db, of.list.id)));
    isOver = true;
    return [
      await followed(of, db, writers, await readers, stops.length),
      await numberedOnce(of, db),
      ...(await missed(of, db, naives, await naiveReaders)),
    ];
  } finally {
    isOver = true;
    writers.kill();
    service.process.kill('SIGKILL');
  }
}

async function followed(
  of: Installation,
  db: Db,
  { acked, late, sent }: Writers,
  readers: readonly Followed[],
  faults: number,
): Promise<Finding> {
  const rows = await rowsOfList(db, of.list.id);
  const standing = new Set(rows.filter((row) => row.removed_at === null).map((row) => String(row.address)));
  const lost = [...acked].filter((email) => !standing.has(email)).length;
  const invented = [...standing].filter((email) => !acked.has(email)).length;
  let missed = 0;
  let misled = 0;
  for (const { state, backwards } of readers) {
    for (const { address, removed_at } of rows) {
      const last = state.get(String(address));
      if (last === undefined) missed++;
      else if (last !== (removed_at === null)) misled++;
    }
    misled += backwards;
  }
  const steps = readers.map((reader) => reader.steps);
  return {
    what: 'three readers that follow their cursors, while the service is stopped and killed',
    ...{ faults, sent: sent(), acknowledged: acked.size, lost },
    figure:
      `${missed} missed, ${misled} out of order; ${late.size} committed late, ${rows.length - standing.size} ` +
      `removed again, read in ${Math.min(...steps)} steps at least`,
    holds: lost + invented + missed + misled === 0 && Math.min(...steps) > 2 && late.size * 6 >= acked.size,
  };
}

async function numberedOnce(of: Installation, db: Db): Promise<Finding> {
  const rows = await rowsOfList(db, of.list.id);
  const given = rows.map((row) => row.feed_number ?? 0);
  const { lastNumber } = await getFeed(db);
  const { last_number: _, ...counts } = await getCounts(db, of.list.id);
  const counted = countsByKind(rows);
  const doubled = rows.length - new Set(given).size;
  const areCountsTrue = Object.entries(counted).every(
    ([kind, count]) => counts[kind as keyof typeof counts] === count,
  );
  const breaches = await countBreaches(of);
  return {
    what: 'each row has one number, and counts once',
    doubled,
    figure: `${rows.length} rows, the last number ${lastNumber}, ${breaches} breaches in the audit`,
    holds:
      doubled + breaches === 0 &&
      Math.max(...given) <= lastNumber &&
      Math.min(...given) >= 1 &&
      areCountsTrue,
  };
}

async function missed(
  of: Installation,
  db: Db,
  naives: readonly { readonly what: string }[],
  seen: readonly ReadonlySet<string>[],
): Promise<Finding[]> {
  const keys = (await rowsOfList(db, of.list.id)).map((row) => row.address_key.toString('hex'));
  return naives.map(({ what }, i): Finding => {
    const lost = keys.filter((key) => !seen[i]?.has(key)).length;
    return {
      what: `${what}, meanwhile`,
      lost,
      figure: `of ${keys.length}`,
      holds: lost > 0,
      isControl: true,
    };
  });
}

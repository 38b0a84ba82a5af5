import type { List } from '../src/core/lists.js';
import type { Bench, Figure, Setting } from './bench.js';
import { loadOf, warmUp, type Load } from './support/load.js';
import { recordedLoadOf } from './support/recorded.js';
import {
  engineNames,
  engines,
  newDatabase,
  newList,
  startBaseline,
  startService,
  type BenchDatabase,
  type EngineName,
} from './support/service.js';

type DoorLoad = Omit<Load, 'url' | 'ms'>;

function oneClick({ publicId }: List): DoorLoad {
  return {
    method: 'POST',
    path: `/l/${publicId}?email=ann.{}@example.com`,
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'List-Unsubscribe=One-Click',
  };
}

/** Every request brings another recipient. */
const doorLoads: Record<string, (list: List) => DoorLoad> = {
  'one-click': oneClick,
  pixel: ({ publicId }) => ({
    path: `/l/${publicId}/pixel.gif?email=bob.{}@example.com`,
    headers: { Accept: 'image/avif,image/webp,*/*;q=0.8' },
  }),
  server: ({ publicId }) => ({
    method: 'POST',
    path: `/l/${publicId}/notify`,
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'email=cem.{}@example.com',
  }),
};

const toReach: Record<EngineName, { atLeast: number; p99: number }> = {
  mysql: { atLeast: 0.4, p99: 25 },
  sqlite: { atLeast: 0.3, p99: 75 },
};

/**
 * The doors that machines call, on one process, with 64 connections from loopback: the attack rule counts these like
 * others, and blocks no private address.
 */
export const doors: Bench = {
  name: 'doors',
  says: 'one-click, pixel and server-to-server notifications, recorded',
  async run(setting) {
    const figures: Figure[] = [];
    for (const engine of engines) {
      const database = await newDatabase(setting, engine, 'doors');
      if (database === null) continue;
      try {
        figures.push(...(await measure(setting, database)));
      } finally {
        await database.close();
      }
    }
    return figures;
  },
};

async function measure(setting: Setting, database: BenchDatabase): Promise<Figure[]> {
  const list = await newList(database);
  const service = await startService({ DATABASE_URL: database.url });
  const bare = await startBaseline('http');
  const seen = Object.entries(doorLoads).map(([door, loadOn]) => {
    return { door, loadOn, ours: [] as number[], p99: [] as number[] };
  });
  const baseline: number[] = [];
  try {
    for (const { loadOn } of seen) await warmUp(setting, { url: service.url, ...loadOn(list) });
    await warmUp(setting, { url: bare.url, ...oneClick(list) });
    for (let round = 0; round < setting.rounds; round++) {
      setting.say(`  ${engineNames[database.engine]}, round ${round + 1} of ${setting.rounds}`);
      const { perSecond } = await loadOf(setting, { url: bare.url, ms: setting.windowMs, ...oneClick(list) });
      baseline.push(perSecond);
      for (const { loadOn, ours, p99 } of seen) {
        const recorded = await recordedLoadOf(setting, database, (list) => {
          return { url: service.url, ms: setting.windowMs, ...loadOn(list) };
        });
        ours.push(recorded.perSecond);
        p99.push(recorded.p99);
      }
    }
  } finally {
    await Promise.all([service.stop(), bare.stop()]);
  }
  const { atLeast, p99: mostMs } = toReach[database.engine];
  return seen.map(({ door, ours, p99 }) => ({
    what: `${door}, ${engineNames[database.engine]}`,
    against: 'bare node:http',
    toReach: `${atLeast.toFixed(2)}, p99 ${mostMs} ms`,
    ours,
    baseline,
    unit: '/s',
    atLeast,
    limits: [{ what: 'p99 ms', seen: p99, atMost: mostMs }],
  }));
}

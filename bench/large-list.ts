import type { List } from '../src/core/lists.js';
import type { Bench, Figure, Setting } from './bench.js';
import { withBigLists } from './support/big-lists.js';
import { warmUp } from './support/load.js';
import { oneClick } from './support/one-click.js';
import { recordedLoadInto } from './support/recorded.js';
import { engineNames, engines, newList, startService, type BenchDatabase } from './support/service.js';

/** Recording into a list that is large already, against recording into one that was empty. */
export const largeList: Bench = {
  name: 'large-list',
  says: 'one-click opt-outs of a large list and of an empty one',
  async run(setting) {
    const figures: Figure[] = [];
    for (const engine of engines) {
      const found = await withBigLists(setting, engine, async (database, { largest, rowsOf }) => {
        const { ours, baseline } = await measure(setting, database, largest);
        return {
          what: `one-click into a list of ${rowsOf(largest).toLocaleString('en')}, ${engineNames[engine]}`,
          against: 'into an empty list',
          toReach: '0.80',
          ...{ ours, baseline, unit: '/s', atLeast: 0.8 },
        };
      });
      if (found !== null) figures.push(found);
    }
    return figures;
  },
};

async function measure(setting: Setting, database: BenchDatabase, large: List) {
  const service = await startService({ DATABASE_URL: database.url });
  const ours: number[] = [];
  const baseline: number[] = [];
  try {
    await warmUp(setting, { url: service.url, ...oneClick(await newList(database)) });
    for (let round = 0; round < setting.rounds; round++) {
      setting.say(`  ${engineNames[database.engine]}, round ${round + 1} of ${setting.rounds}`);
      for (const [list, seen] of [
        [await newList(database), baseline],
        [large, ours],
      ] as const) {
        const { perSecond } = await recordedLoadInto(setting, database, list, {
          url: service.url,
          ms: setting.windowMs,
          ...oneClick(list),
          // On a machine that has much else to do, some of them are answered within a short window.
          connections: setting.isSmoke ? 4 : 64,
        });
        seen.push(perSecond);
      }
    }
  } finally {
    await service.stop();
  }
  return { ours, baseline };
}

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
  type RunningProgram,
} from './support/service.js';

/** What a browser sends; every request brings another recipient. */
const headers = {
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language': 'en-GB,en;q=0.7,ja;q=0.3',
  'Content-Type': 'application/x-www-form-urlencoded',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Site': 'same-origin',
};

/**
 * The hosted form's POST with its thank-you page, beside the same app that records nothing, which shows what the
 * recording costs, and beside one that records each opt-out by itself, which shows what it gains by groups.
 */
export const hostedForm: Bench = {
  name: 'form',
  says: "the hosted form's POST, recorded",
  async run(setting) {
    const figures: Figure[] = [];
    for (const engine of engines) {
      const database = await newDatabase(setting, engine, 'form');
      const another = await newDatabase(setting, engine, 'form_inserts');
      if (database === null || another === null) continue;
      try {
        figures.push(...(await measure(setting, database, another)));
      } finally {
        await Promise.all([database.close(), another.close()]);
      }
    }
    return figures;
  },
};

/** @param another for the baselines: so that nobody's keeper works for two. */
async function measure(setting: Setting, database: BenchDatabase, another: BenchDatabase): Promise<Figure[]> {
  const list = await newList(another);
  const [groups, inserts, service] = [
    await startBaseline('form-groups', { DATABASE_URL: another.url }),
    await startBaseline('form-inserts', { DATABASE_URL: another.url }),
    await startService({ DATABASE_URL: database.url }),
  ];
  const seen = { groups: [] as number[], inserts: [] as number[], ours: [] as number[] };
  try {
    await warmUp(setting, formLoad(setting, groups, list));
    await warmUp(setting, formLoad(setting, inserts, list));
    await warmUp(setting, formLoad(setting, service, await newList(database)));
    for (let round = 0; round < setting.rounds; round++) {
      setting.say(`  ${engineNames[database.engine]}, round ${round + 1} of ${setting.rounds}`);
      seen.groups.push((await loadOf(setting, formLoad(setting, groups, list))).perSecond);
      const recordedBy = async (program: RunningProgram, into: BenchDatabase) =>
        (await recordedLoadOf(setting, into, (list) => formLoad(setting, program, list))).perSecond;
      seen.ours.push(await recordedBy(service, database));
      seen.inserts.push(await recordedBy(inserts, another));
    }
  } finally {
    await Promise.all([groups, inserts, service].map((program) => program.stop()));
  }
  const what = `hosted form, ${engineNames[database.engine]}`;
  const figure = { what, ours: seen.ours, unit: '/s' };
  return [
    {
      ...figure,
      against: 'the same, nothing recorded, answered in groups of 3 ms',
      toReach: '0.85',
      baseline: seen.groups,
      atLeast: 0.85,
    },
    {
      ...figure,
      against: 'the same, one INSERT a request',
      toReach: '1.4',
      baseline: seen.inserts,
      atLeast: 1.4,
    },
  ];
}

function formLoad({ windowMs }: Setting, { url }: RunningProgram, { publicId }: List): Load {
  return {
    url,
    method: 'POST',
    path: `/l/${publicId}/opt-out`,
    headers,
    body: 'lang=en&email=ann.{}%40example.com',
    ms: windowMs,
  };
}

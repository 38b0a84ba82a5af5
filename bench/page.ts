import type { Bench } from './bench.js';
import { loadOf, warmUp } from './support/load.js';
import { newDatabase, newList, startBaseline, startService } from './support/service.js';

const headers = {
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language': 'en-GB,en;q=0.7,ja;q=0.3',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Site': 'none',
};

/** The page that a list's link shows to a person. It asks the database for the list every other second: either engine will do. */
export const page: Bench = {
  name: 'page',
  says: 'the hosted page',
  async run(setting) {
    const database = await newDatabase(setting, 'sqlite', 'page');
    if (database === null) throw new Error('SQLite is always there');
    const list = await newList(database, {
      operatorName: 'Acme Ltd',
      postalAddress: '1 High Street\nLondon',
      contact: 'help@acme.example',
    });
    const service = await startService({ DATABASE_URL: database.url });
    const express = await startBaseline('express');
    const load = { path: `/l/${list.publicId}`, headers };
    const ours: number[] = [];
    const baseline: number[] = [];
    try {
      for (const { url } of [express, service]) await warmUp(setting, { url, ...load });
      for (let round = 0; round < setting.rounds; round++) {
        setting.say(`  round ${round + 1} of ${setting.rounds}`);
        for (const [{ url }, seen] of [
          [express, baseline],
          [service, ours],
        ] as const) {
          const { perSecond, notOk } = await loadOf(setting, { url, ms: setting.windowMs, ...load });
          if (notOk > 0) throw new Error(`${notOk} requests for the page were refused`);
          seen.push(perSecond);
        }
      }
    } finally {
      await Promise.all([service.stop(), express.stop(), database.close()]);
    }
    return [
      {
        what: 'hosted page',
        against: 'an Express route that says ok',
        toReach: '0.80',
        ours,
        baseline,
        unit: '/s',
        atLeast: 0.8,
      },
    ];
  },
};

import type { List } from '../src/core/lists.js';
import { createSession, formTokenOf } from '../src/core/sessions.js';
import { getAccount } from '../src/core/accounts.js';
import { createUser } from '../src/core/users.js';
import type { Bench, Figure, Setting } from './bench.js';
import { withBigLists } from './support/big-lists.js';
import { loadOf, warmUp, type Loaded } from './support/load.js';
import { oneClick } from './support/one-click.js';
import {
  engineNames,
  engines,
  newList,
  startService,
  type BenchDatabase,
  type RunningProgram,
} from './support/service.js';

const mostStepMs = 250;
const mostOthersMs = 25;
const connections = 16;
/** Some on every page, some on few of them, none at all: what no index answers. */
const parts = ['owalski', 'ssi4321', 'zzqx'];

/** A person who looks for a part of addresses in the console, page by page, and everyone else meanwhile. */
export const search: Bench = {
  name: 'search',
  says: 'a part of addresses, page by page in the console',
  async run(setting) {
    const figures: Figure[] = [];
    for (const engine of engines) {
      const found = await withBigLists(setting, engine, (database, { largest, rowsOf }) =>
        measure(setting, database, largest, rowsOf(largest)),
      );
      if (found !== null) figures.push(found);
    }
    return figures;
  },
};

async function measure(setting: Setting, database: BenchDatabase, list: List, rows: number): Promise<Figure> {
  const { engine } = database;
  const service = await startService({ DATABASE_URL: database.url });
  const alone: Loaded[] = [];
  const meanwhile: Loaded[] = [];
  const longest: number[] = [];
  try {
    const other = await newList(database);
    const others = () =>
      loadOf(setting, { url: service.url, ms: setting.windowMs, ...oneClick(other), connections });
    await warmUp(setting, { url: service.url, ...oneClick(other), connections });
    const search = await searcherOf(database, service, list);
    for (let round = 0; round < setting.rounds; round++) {
      setting.say(`  ${engineNames[engine]}, round ${round + 1} of ${setting.rounds}`);
      // By itself, on a machine that does nothing else.
      longest.push(Math.max(...(await search(() => performance.now() + setting.windowMs))));
      alone.push(await others());
      let isOver = false;
      const [loaded] = await Promise.all([
        others().finally(() => (isOver = true)),
        search(() => (isOver ? 0 : Infinity)),
      ]);
      meanwhile.push(loaded);
    }
  } finally {
    await service.stop();
  }
  return {
    what: `one-click of others while ${rows.toLocaleString('en')} addresses are searched for a part, ${engineNames[engine]}`,
    against: 'while nobody searches',
    toReach: `0.50, p99 ${mostOthersMs} ms, a step ${mostStepMs} ms`,
    ours: meanwhile.map(({ perSecond }) => perSecond),
    baseline: alone.map(({ perSecond }) => perSecond),
    unit: '/s',
    atLeast: 0.5,
    limits: [
      { what: 'longest step ms', seen: longest, atMost: mostStepMs },
      { what: 'p99 ms of others', seen: meanwhile.map(({ p99 }) => p99), atMost: mostOthersMs },
    ],
  };
}

let users = 0;

/** Searches for each part, and turns the pages, until a time is past; answers how long each page took: milliseconds. */
async function searcherOf({ db, accountId }: BenchDatabase, { url }: RunningProgram, list: List) {
  const place = { role: 'owner' as const, account: await getAccount(db, accountId) };
  const who = { email: `olive${++users}.${list.id}@console.example`, name: 'Olive Owner' };
  const user = await createUser(db, place, who, { actor: 'bench' });
  const token = await createSession(db, user, { ip: '127.0.0.1', browser: 'bench' });
  const base = `/console/lists/${list.publicId}/opt-outs`;
  const ask = (path: string, form?: Record<string, string>) =>
    fetch(`${url}${path}`, {
      redirect: 'manual',
      headers: { Cookie: `signoff=${token}`, 'Sec-Fetch-Site': 'same-origin' },
      ...(form === undefined
        ? {}
        : { method: 'POST', body: new URLSearchParams({ csrf: formTokenOf(token), ...form }) }),
    });
  const placeOf = async (form: Record<string, string>) => {
    const sent = await ask(base, form);
    const location = sent.headers.get('location');
    if (sent.status !== 303 || location === null)
      throw new Error(`the search was answered by ${sent.status}`);
    return location;
  };

  return async (until: () => number): Promise<number[]> => {
    const tookMs: number[] = [];
    let found = 0;
    const end = until();
    const isDue = () => performance.now() < Math.min(end, until());
    for (let turn = 0; tookMs.length === 0 || isDue(); turn++) {
      let path: string | null = await placeOf({ address: `*${parts[turn % parts.length]}*` });
      for (let pages = 0; path !== null && pages < 20 && (tookMs.length === 0 || isDue()); pages++) {
        const startedAt = performance.now();
        const answer = await ask(path);
        const html = await answer.text();
        tookMs.push(performance.now() - startedAt);
        if (answer.status !== 200) throw new Error(`a page of the search was answered by ${answer.status}`);
        found += html.split('@gmail.com').length - 1;
        const [, link = null, go = null] =
          /<(?:a [^>]*href="([^"]*)"|button [^>]*name="go" value="([^"]*)")>(?:Next page|Go on searching)</.exec(
            html,
          ) ?? [];
        path = go === null ? link : await placeOf({ go });
      }
    }
    if (found === 0) throw new Error('the search has found nobody');
    return tookMs;
  };
}

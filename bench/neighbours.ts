import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { List } from '../src/core/lists.js';
import type { Bench, Figure, Setting } from './bench.js';
import { apiClient, type ApiClient } from './support/api.js';
import { withBigLists } from './support/big-lists.js';
import { downloadOf, keyFor } from './support/downloads.js';
import { importFile } from './support/import-file.js';
import { warmUp, type Loaded } from './support/load.js';
import { oneClick } from './support/one-click.js';
import { recordedLoadOf } from './support/recorded.js';
import {
  engineNames,
  engines,
  newList,
  startService,
  type BenchDatabase,
  type RunningProgram,
} from './support/service.js';

const mostMs = 25;
const connections = 16;

/** Everyone else: one-click opt-outs over 16 connections, while others take much at once, and while nobody does. */
export const neighbours: Bench = {
  name: 'neighbours',
  says: 'everyone else, while two lists are downloaded, and while a file is imported',
  async run(setting) {
    const figures: Figure[] = [];
    for (const engine of engines) {
      const found = await withBigLists(setting, engine, (database, { downloaded }) =>
        measure(setting, database, downloaded),
      );
      figures.push(...(found ?? []));
    }
    return figures;
  },
};

async function measure(setting: Setting, database: BenchDatabase, list: List): Promise<Figure[]> {
  const { engine } = database;
  const service = await startService({ DATABASE_URL: database.url });
  const key = await keyFor(database, list);
  const call = await apiClient(database, service, ['read', 'record']);
  const file = await importFile(setting, setting.rows(500_000));
  const others = () =>
    recordedLoadOf(setting, database, (list) => {
      return { url: service.url, ms: setting.windowMs, ...oneClick(list), connections };
    });
  const alone: Loaded[] = [];
  const whileDownloaded: Loaded[] = [];
  const whileImported: Loaded[] = [];
  try {
    await warmUp(setting, { url: service.url, ...oneClick(await newList(database)), connections });
    for (let round = 0; round < setting.rounds; round++) {
      setting.say(`  ${engineNames[engine]}, round ${round + 1} of ${setting.rounds}`);
      alone.push(await others());
      whileDownloaded.push(await whileDownloading(service, list, key, others));
      whileImported.push(await whileImporting(call, await newList(database), file, others));
    }
  } finally {
    await service.stop();
  }
  const figureOf = (what: string, seen: readonly Loaded[]): Figure => ({
    what: `one-click of others, ${what}, ${engineNames[engine]}`,
    against: 'while nobody else is there',
    toReach: `0.50, p99 ${mostMs} ms`,
    ours: seen.map(({ perSecond }) => perSecond),
    baseline: alone.map(({ perSecond }) => perSecond),
    unit: '/s',
    atLeast: 0.5,
    limits: [{ what: 'p99 ms', seen: seen.map(({ p99 }) => p99), atMost: mostMs }],
  });
  return [
    figureOf('while a list is downloaded twice at once', whileDownloaded),
    figureOf('while a file is imported', whileImported),
  ];
}

/** One plain and one of MD5s, begun anew as often as they end. */
async function whileDownloading(
  service: RunningProgram,
  list: List,
  key: string,
  work: () => Promise<Loaded>,
): Promise<Loaded> {
  const over = new AbortController();
  const downloads = ['plain', 'md5'].map(async (format) => {
    while (!over.signal.aborted) {
      await downloadOf(service.url, list, { key, format }, over.signal).catch((error: unknown) => {
        if (!over.signal.aborted) throw error;
      });
    }
  });
  const end = async () => {
    try {
      return await work();
    } finally {
      over.abort();
    }
  };
  const [loaded] = await Promise.all([end(), ...downloads]);
  return loaded;
}

/** Uploaded, and taken up by the keeper of the service that the others call. */
async function whileImporting(
  call: ApiClient,
  list: List,
  file: string,
  work: () => Promise<Loaded>,
): Promise<Loaded> {
  const path = `/lists/${list.publicId}/imports`;
  const { id } = (await call('POST', path, await readFile(file), 'text/csv')) as { id: string };
  const until = async (isSo: (job: Job) => boolean) => {
    for (;;) {
      const job = (await call('GET', `${path}/${id}`)) as Job;
      if (isSo(job)) return job;
      await pause(20);
    }
  };
  await until(({ taken, finished_at }) => taken > 0 || finished_at !== null);
  const loaded = await work();
  const { state, refused } = await until(({ finished_at }) => finished_at !== null);
  if (state !== 'done' || refused > 0)
    throw new Error(`the import ended ${state}, and refused ${refused} lines`);
  return loaded;
}

interface Job {
  readonly state: string;
  readonly taken: number;
  readonly refused: number;
  readonly finished_at: string | null;
}

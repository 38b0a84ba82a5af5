import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { sqlitePath } from '../src/db/sqlite.js';
import type { Bench, Figure, Setting } from './bench.js';
import { withBigLists } from './support/big-lists.js';
import { downloadOf, keyFor } from './support/downloads.js';
import { engineNames, engines, startService, type BenchDatabase } from './support/service.js';
import type { List } from '../src/core/lists.js';

/** All that the process holds; on SQLite 64 MB of it are the database's pages. */
const mostMb = { mysql: 150, sqlite: 250 } as const;

/** What a mailer downloads, the least share of its baseline's rate, and that baseline. */
const kinds = {
  plain: { query: { format: 'plain' }, atLeast: 0.9 },
  md5: { query: { format: 'md5' }, atLeast: 0.8 },
  gzip: { query: { format: 'plain', gzip: 'yes' }, atLeast: 0.4 },
} as const;
type Kind = keyof typeof kinds;

/** A whole list over HTTP, against the database's own client (or driver) reading the same column of the same rows. */
export const download: Bench = {
  name: 'download',
  says: 'a whole list: plain, as MD5s and zipped',
  async run(setting) {
    const figures: Figure[] = [];
    for (const engine of engines) {
      const found = await withBigLists(setting, engine, (database, { downloaded, rowsOf }) =>
        measure(setting, database, downloaded, rowsOf(downloaded)),
      );
      figures.push(...(found ?? []));
    }
    return figures;
  },
};

async function measure(
  setting: Setting,
  database: BenchDatabase,
  list: List,
  rows: number,
): Promise<Figure[]> {
  const { engine } = database;
  const key = await keyFor(database, list);
  const service = await startService({ DATABASE_URL: database.url });
  const rates: Record<Kind | 'bare', number[]> = { plain: [], md5: [], gzip: [], bare: [] };
  const peaks: number[] = [];
  const atRest = service.peakOctets();
  const download = async (kind: Kind) => {
    const startedAt = performance.now();
    await downloadOf(service.url, list, { key, ...kinds[kind].query });
    return perSecond(rows, startedAt);
  };
  try {
    await download('plain');
    for (let round = 0; round < setting.rounds; round++) {
      setting.say(`  ${engineNames[engine]}, round ${round + 1} of ${setting.rounds}`);
      const startedAt = performance.now();
      await dumpOf(database, list);
      rates.bare.push(perSecond(rows, startedAt));
      service.forgetPeak();
      for (const kind of ['plain', 'md5', 'gzip'] as const) rates[kind].push(await download(kind));
      peaks.push(service.peakOctets() / 1024 ** 2);
    }
    await untilNoted(database, list, rows, 1 + 3 * setting.rounds);
  } finally {
    await service.stop();
  }
  const on = `${rows.toLocaleString('en')} rows, ${engineNames[engine]}`;
  const bare =
    engine === 'mysql' ? '`mariadb -B -N --quick` to /dev/null' : 'a bare loop over better-sqlite3';
  return (['plain', 'md5', 'gzip'] as const).map((kind) => ({
    what: kind === 'plain' ? `plain download, ${on}` : `${kind === 'md5' ? 'MD5s' : 'gzip'}, ${on}`,
    against: kind === 'plain' ? bare : 'the plain download',
    toReach: `${kinds[kind].atLeast.toFixed(2)}${kind === 'plain' ? `, ${mostMb[engine]} MB` : ''}`,
    ours: rates[kind],
    baseline: kind === 'plain' ? rates.bare : rates.plain,
    unit: 'rows/s',
    atLeast: kinds[kind].atLeast,
    limits:
      kind === 'plain'
        ? [
            {
              what: `peak MB (${Math.round(atRest / 1024 ** 2)} at rest)`,
              seen: peaks,
              atMost: mostMb[engine],
            },
          ]
        : [],
  }));
}

/** The access log says of each download, shortly after its end, how many entries it has brought. */
async function untilNoted(
  { db }: BenchDatabase,
  list: List,
  entries: number,
  downloads: number,
): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const whole: unknown[] = await db('downloads').where({ list_id: list.id, entries }).select('id');
    if (whole.length === downloads) return;
    await pause(50);
  }
  throw new Error('not all downloads were whole');
}

/** The same column of the same rows, as they stand, to nowhere. */
async function dumpOf({ engine, url }: BenchDatabase, list: List): Promise<void> {
  const sql = `SELECT address FROM opt_outs WHERE list_id = ${list.id} AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > ${Date.now()})`;
  if (engine === 'sqlite') {
    const database = new Database(sqlitePath(url), { readonly: true });
    database.pragma('cache_size = -65536');
    for (const row of database.prepare(sql).raw().iterate()) void row;
    database.close();
    return;
  }
  const { hostname, port, username, password, pathname } = new URL(url);
  const server = ['--no-defaults', `-h${hostname}`, `-P${port}`, `-u${username}`];
  const child = spawn('mariadb', [...server, '-B', '-N', '--quick', pathname.slice(1), '-e', sql], {
    env: { PATH: process.env.PATH, MYSQL_PWD: password },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [said, [code]] = await Promise.all([
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  if (code !== 0) throw new Error(`mariadb failed: ${said}`);
}

function perSecond(rows: number, since: number): number {
  return (rows / (performance.now() - since)) * 1000;
}

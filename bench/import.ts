import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import type * as Addresses from '../src/core/address.js';
import type { List } from '../src/core/lists.js';
import type * as OptOutWrites from '../src/core/opt-out-writes.js';
import type * as OptOuts from '../src/core/opt-outs.js';
import type * as Connect from '../src/db/connect.js';
import { projectPath } from '../src/paths.js';
import type { Bench, Figure, Setting } from './bench.js';
import { importFile } from './support/import-file.js';
import {
  countRows,
  engineNames,
  engines,
  newDatabase,
  newList,
  type BenchDatabase,
} from './support/service.js';

/** A round; once, five times as many for the memory. */
const linesARound = 1_000_000;
const rowsAStatement = 1000;
const mostGrownMb = 50;

/** `signoff import` of a file of addresses, against a bare loop of the statements that it makes. */
export const importing: Bench = {
  name: 'import',
  says: 'a file of addresses by the command line',
  async run(setting) {
    const figures: Figure[] = [];
    const file = await importFile(setting, setting.rows(linesARound));
    const longFile = await importFile(setting, setting.rows(5 * linesARound));
    for (const engine of engines) {
      const database = await newDatabase(setting, engine, 'import');
      if (database === null) continue;
      try {
        figures.push(await measure(setting, database, file, longFile));
      } finally {
        await database.close();
      }
    }
    return figures;
  },
};

async function measure(
  setting: Setting,
  database: BenchDatabase,
  file: string,
  longFile: string,
): Promise<Figure> {
  const { engine } = database;
  const lines = setting.rows(linesARound);
  const ours: number[] = [];
  const baseline: number[] = [];
  for (let round = 0; round < setting.rounds; round++) {
    setting.say(`  ${engineNames[engine]}, round ${round + 1} of ${setting.rounds}`);
    for (const [work, seen] of [
      [bareLoop, baseline],
      [importOf, ours],
    ] as const) {
      const list = await newList(database);
      const startedAt = performance.now();
      await work(database, list, file);
      seen.push((lines / (performance.now() - startedAt)) * 1000);
      if ((await countRows(database.db, list)) !== lines) throw new Error('not all lines were recorded');
    }
  }
  const longLines = setting.rows(5 * linesARound);
  setting.say(`  ${engineNames[engine]}, the memory of ${longLines.toLocaleString('en')} lines`);
  const memory = await importOf(database, await newList(database), longFile);
  const early = Math.max(...memory.slice(0, Math.ceil(memory.length / 10)));
  const grownMb = (Math.max(...memory) - early) / 1024 ** 2;
  return {
    what: `import of ${lines.toLocaleString('en')} lines, ${engineNames[engine]}`,
    against: `the same statements of ${rowsAStatement.toLocaleString('en')} rows one after the other`,
    toReach: '0.70, flat memory',
    ...{ ours, baseline, unit: 'lines/s', atLeast: 0.7 },
    limits: [
      {
        what: `MB grown over the last nine tenths of ${longLines.toLocaleString('en')} lines`,
        seen: [grownMb],
        atMost: mostGrownMb,
      },
    ],
  };
}

/** @returns what memory it held, ten times a second: octets. */
async function importOf({ url }: BenchDatabase, { publicId }: List, file: string): Promise<number[]> {
  const program = projectPath('dist', 'src', 'cli.js');
  const child = spawn(process.execPath, [program, 'import', file, '--list', publicId, '--json'], {
    env: { PATH: process.env.PATH, DATABASE_URL: url, SIGNOFF_SECRET: 'a secret of at least 32 characters' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const memory: number[] = [];
  const timer = setInterval(() => {
    const [, kilobytes] =
      /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
    if (kilobytes !== undefined) memory.push(Number(kilobytes) * 1024);
  }, 100);
  const [said, warned, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  clearInterval(timer);
  if (code !== 0) throw new Error(`the import failed: ${said}${warned}`);
  return memory.length === 0 ? [0] : memory;
}

async function bareLoop({ url }: BenchDatabase, list: List, file: string): Promise<void> {
  const { parseAddress } = await built<typeof Addresses>('core/address');
  const { rowOf, compareRows } = await built<typeof OptOuts>('core/opt-outs');
  const { writeOptOuts } = await built<typeof OptOutWrites>('core/opt-out-writes');
  const { connect } = await built<typeof Connect>('db/connect');
  const db = connect(url, { timeoutMs: 60_000, poolSize: 1 });
  let rows: OptOuts.OptOutRow[] = [];
  const write = async () => {
    await writeOptOuts(db, rows.sort(compareRows));
    rows = [];
  };
  const times = { createdAt: Date.now(), recordedAt: Date.now() };
  for await (const line of createInterface(createReadStream(file))) {
    const parsed = parseAddress(line);
    if (!parsed.ok) throw new Error('the file holds what is no address');
    rows.push(rowOf({ listId: list.id, address: parsed.address, tag: '*', source: 'import', ...times }));
    if (rows.length === rowsAStatement) await write();
  }
  if (rows.length > 0) await write();
  await db.destroy();
}

/** As `npm run build` has made it: what runs a program from its source adds calls of its own to each function. */
function built<Module>(name: string): Promise<Module> {
  return import(
    pathToFileURL(projectPath('dist', 'src', ...`${name}.js`.split('/'))).href
  ) as Promise<Module>;
}

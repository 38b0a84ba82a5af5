import { spawn } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import process from 'node:process';
import { projectPath } from '../../src/paths.js';
import { migratedDatabase, newList, rowsOfList } from '../../test/support/core.js';
import { startLoad } from '../../test/support/ledger.js';
import { until } from '../../test/support/service.js';
import type { Engine, Finding } from '../proof.js';

/** The control: a server that says yes, and records a moment later, is killed under the same load. */
export async function acknowledgesTooEarly(_engine: Engine): Promise<Finding> {
  const test = await migratedDatabase({ folder: os.tmpdir() });
  const listId = await newList(test.db);
  const file = projectPath('test', 'support', 'acks-too-early.ts');
  const child = spawn(process.execPath, ['--import=tsx', file, test.url, String(listId)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until('it listens', () => said.endsWith('\n'));
    const { port } = JSON.parse(said) as { port: number };
    const recorded = async () => (await rowsOfList(test.db, listId)).map((row) => String(row.address));
    const load = startLoad(() => `http://127.0.0.1:${port}`, '/l/x', { connections: 32, name: 'e' });
    try {
      await until('some are recorded by now', async () => (await recorded()).length > 0);
      child.kill('SIGKILL');
      await once(child, 'exit');
    } finally {
      await load.stop();
    }
    const rows = new Set(await recorded());
    const { acked, sent } = load.ledger;
    const lost = [...acked].filter((email) => !rows.has(email)).length;
    return {
      what: 'SIGKILL of one that acknowledges before it has recorded',
      ...{ faults: 1, sent, acknowledged: acked.size, lost },
      ...{ holds: rows.size > 0 && lost > 0, isControl: true },
    };
  } finally {
    child.kill('SIGKILL');
    await test.close();
  }
}

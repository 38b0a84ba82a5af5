import { spawn } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import process from 'node:process';
import { projectPath } from '../../src/paths.js';
import { migratedDatabase, newList, rowsOfList } from '../../test/support/core.js';
import { holdWrites } from '../../test/support/faults.js';
import { startLoad } from '../../test/support/ledger.js';
import { until } from '../../test/support/service.js';
import type { Engine, Finding } from '../proof.js';

/** The control: a server that says yes, and records a moment later, is killed under the same load. */
export async function acknowledgesTooEarly(_engine: Engine): Promise<Finding> {
  const { child, port, recorded, close } = await startTooEarly();
  try {
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
    await close();
  }
}

/** The control of faults: the same server says yes while nothing can be written. */
export async function acknowledgesInSpiteOfFaults(): Promise<Finding> {
  const { test, port, close } = await startTooEarly();
  const sent = 20;
  try {
    const mend = await holdWrites({ databaseUrl: test.url });
    let acknowledged = 0;
    try {
      for (let n = 0; n < sent; n++) {
        const answer = await fetch(`http://127.0.0.1:${port}/l/x?email=f${n}@example.com`, {
          method: 'POST',
        });
        await answer.text();
        if (answer.ok) acknowledged++;
      }
    } finally {
      await mend();
    }
    const what = 'one that acknowledges before it has recorded, while nothing can be written';
    return { what, faults: 1, sent, acknowledged, holds: acknowledged > 0, isControl: true };
  } finally {
    await close();
  }
}

async function startTooEarly() {
  const test = await migratedDatabase({ folder: os.tmpdir() });
  const listId = await newList(test.db);
  const file = projectPath('test', 'support', 'acks-too-early.ts');
  const child = spawn(process.execPath, ['--import=tsx', file, test.url, String(listId)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const close = async () => {
    child.kill('SIGKILL');
    await test.close();
  };
  try {
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until('it listens', () => said.endsWith('\n'));
    const { port } = JSON.parse(said) as { port: number };
    const recorded = async () => (await rowsOfList(test.db, listId)).map((row) => String(row.address));
    return { test, child, port, recorded, close };
  } catch (error) {
    await close();
    throw error;
  }
}

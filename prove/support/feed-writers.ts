import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { projectPath } from '../../src/paths.js';
import { send } from '../../test/support/ledger.js';
import { oneClickWay, type Way } from '../../test/support/ways.js';
import type { Installation } from './installation.js';

export interface Writers {
  /** Addresses that were acknowledged, and not taken off again since. */
  readonly acked: ReadonlySet<string>;
  /** Those that committed long after they were recorded. */
  readonly late: ReadonlySet<string>;
  /** Requests that were sent. */
  readonly sent: () => number;
  /** Writes by the service's doors from now on. */
  writeQuickly(): void;
  /** Lets all of them end. */
  stop(): Promise<void>;
  kill(): void;
}

/** For which one opt-out, or one removal, may be sent again and again. */
const mostMs = 60_000;

/** @param origin where the service listens now; what it does not answer is sent again until it does. */
export function startWriters(of: Installation, origin: () => string, quickWriters: number): Writers {
  const acked = new Set<string>();
  const late = new Set<string>();
  let sent = 0;
  let isWriting = true;
  let isKilled = false;
  const working: Promise<unknown>[] = [];
  const failures: unknown[] = [];
  const record = oneClickWay(of.link);
  const remove: Way = {
    name: 'removal',
    ask: (email) => ({
      method: 'DELETE',
      path: `/api/v1/lists/${of.list.publicId}/opt-outs/${encodeURIComponent(email)}`,
      headers: { Authorization: `Bearer ${of.apiKey}` },
    }),
  };
  const children = ['s', 't'].map((name) => writeSlowly(name));

  /** Records new addresses, takes a few off again, and records some of those once more. */
  async function write(writer: number): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 3 });
    const bring = async (way: Way, email: string) => {
      const deadline = Date.now() + mostMs;
      while (!isKilled) {
        if (Date.now() > deadline) throw new Error(`${way.name} of ${email} is acknowledged by nobody`);
        sent++;
        if ((await send(agent, origin(), way, email))?.isTaken) return;
        await wait(50);
      }
    };
    for (let n = 0; isWriting; n++) {
      const emails = Array.from({ length: 3 }, (_, i) => `w${writer}-${n}-${i}@example.com`);
      await Promise.all(emails.map((email) => bring(record, email)));
      for (const email of emails) acked.add(email);
      const [gone = ''] = emails;
      if (n % 4 === 0) {
        await bring(remove, gone);
        acked.delete(gone);
      }
      if (n % 8 === 0) {
        await bring(record, gone);
        acked.add(gone);
      }
      // Of all that is written, a fifth is late.
      do await wait(10);
      while (isWriting && late.size * 5 < acked.size);
    }
    agent.destroy();
  }

  /** In a process of its own, as another node with long transactions would, until it is told to end. */
  function writeSlowly(name: string): ChildProcess {
    const file = projectPath('test', 'support', 'slow-writer.ts');
    const child = spawn(process.execPath, ['--import=tsx', file, of.url, String(of.list.id), name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface(child.stdout).on('line', (email) => {
      acked.add(email);
      late.add(email);
    });
    working.push(once(child, 'exit'), once(child.stdout, 'close'));
    return child;
  }

  return {
    ...{ acked, late },
    sent: () => sent,
    writeQuickly() {
      const noteFailure = (error: unknown) => void failures.push(error);
      working.push(...Array.from({ length: quickWriters }, (_, i) => write(i).catch(noteFailure)));
    },
    async stop() {
      isWriting = false;
      for (const child of children) child.kill('SIGTERM');
      await Promise.all(working);
      if (failures.length > 0) throw failures[0];
    },
    kill() {
      isWriting = false;
      isKilled = true;
      for (const child of children) child.kill('SIGKILL');
    },
  };
}

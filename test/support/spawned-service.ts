import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { programArguments } from './program.js';

export interface SpawnedService {
  readonly process: ChildProcess;
  readonly port: number;
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** What it wrote so far, to both streams, by lines. */
  readonly lines: string[];
  /** SIGTERM, and its exit code. */
  stop(): Promise<number | null>;
}

/** What a start comes to that does not last. */
export interface FailedStart {
  readonly code: number | null;
  readonly said: string;
}

/** Runs `src/server.ts` as a process of its own, with this environment and no more of ours than it needs. */
export async function spawnService(
  env: Record<string, string>,
  cwd = os.tmpdir(),
): Promise<SpawnedService | FailedStart> {
  const child = spawn(process.execPath, programArguments('server'), {
    cwd,
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const ended = once(child, 'close') as Promise<[number | null]>;
  const port = await new Promise<number | null>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        lines.push(line);
        const listening = /"port":(\d+),.*"msg":"listening"/.exec(line);
        if (listening) resolve(Number(listening[1]));
      });
    }
    void ended.then(() => resolve(null));
  });
  if (port === null) return { code: (await ended)[0], said: lines.join('\n') };
  // It says that it listens a moment before its start is over: what it prints then, and what it does on signals.
  for (let i = 0; i < 3; i++) await fetch(`http://127.0.0.1:${port}/healthz`).then((answer) => answer.text());
  return {
    process: child,
    port,
    url: `http://127.0.0.1:${port}`,
    lines,
    stop: async () => {
      child.kill('SIGTERM');
      return (await ended)[0];
    },
  };
}

/** The same, where anything but a service that runs is a failure. */
export async function spawnRunningService(
  env: Record<string, string>,
  cwd?: string,
): Promise<SpawnedService> {
  const service = await spawnService(env, cwd);
  if ('said' in service) throw new Error(`it did not start: ${service.said}`);
  return service;
}

/** Octets of memory that a process holds; Linux alone tells. */
export function residentMemoryOf({ process: { pid } }: SpawnedService): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

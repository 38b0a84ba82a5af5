import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { projectPath } from '../../src/paths.js';

export interface Listening {
  readonly port: number;
}

/** test/support/lets-all-in.ts as a process of its own. */
export async function lettingAllIn(databaseUrl: string): Promise<Listening & { stop(): Promise<void> }> {
  const file = projectPath('test', 'support', 'lets-all-in.ts');
  const child = spawn(process.execPath, ['--import=tsx', file], {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      BASE_URL: 'http://signoff.test',
      SIGNOFF_SECRET: 'a secret of at least 32 characters',
      DATABASE_URL: databaseUrl,
      PORT: '0',
      RECIPIENT_REQUESTS_PER_MINUTE: '1000000',
      API_REQUESTS_PER_MINUTE: '1000000',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const port = await new Promise<number>((resolve, reject) => {
    createInterface(child.stdout).once('line', (line) => resolve((JSON.parse(line) as Listening).port));
    void ended.then(() => reject(new Error('it did not start')));
  });
  return {
    port,
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/**
 * Runs one command of `signoff` after the other, as `kept-command.ts` names them: each gets the arguments,
 * environment, folder and input of its own, and is over once nothing holds its process open any more.
 */
import { once } from 'node:events';
import process from 'node:process';
import { Readable, Writable } from 'node:stream';
import type { KeptAnswer, KeptCommand } from './kept-command.js';

/** What a command left open would keep its process from ending. */
const leftOpenLimitMs = 10_000;
const { run } = (await import(process.argv[2] ?? '')) as { run: () => Promise<void> };

process.on('message', (command: KeptCommand) => {
  void carriedOut(command).then((answer) => process.send?.(answer));
});
/** The channel to who asks. */
const own = await heldOpen();
process.send?.({ isReady: true });

async function carriedOut({ args, env, cwd, input }: KeptCommand): Promise<KeptAnswer> {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, env);
  process.chdir(cwd);
  process.argv = [process.execPath, 'signoff', ...args];
  process.exitCode = undefined;
  const [stdout, stderr] = [captured('stdout'), captured('stderr')];
  Object.defineProperty(process, 'stdin', {
    value: Readable.from(input === '' ? [] : [Buffer.from(input)]),
    configurable: true,
  });
  await run();
  const leftOpen = await leftOpenBy(Date.now() + leftOpenLimitMs);
  for (const signal of ['SIGINT', 'SIGTERM']) process.removeAllListeners(signal);
  return { code: Number(process.exitCode ?? 0), stdout: await stdout(), stderr: await stderr(), leftOpen };
}

/** Puts a stream in the place of one of the process's; what it gives back ends it and has what was written. */
function captured(name: 'stdout' | 'stderr'): () => Promise<string> {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  Object.defineProperty(process, name, { value: stream, configurable: true });
  return async () => {
    stream.end();
    await once(stream, 'close');
    return new TextDecoder().decode(Buffer.concat(chunks));
  };
}

async function leftOpenBy(deadline: number): Promise<string[]> {
  for (;;) {
    const now = await heldOpen();
    for (const kind of own) if (now.includes(kind)) now.splice(now.indexOf(kind), 1);
    if (now.length === 0 || Date.now() > deadline) return now;
  }
}

/** What keeps this process from ending, after a turn of the loop. */
async function heldOpen(): Promise<string[]> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return process.getActiveResourcesInfo();
}

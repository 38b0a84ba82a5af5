import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { folderOfTests } from '../support/engine.js';
import { runKept } from '../support/kept-command.js';
import { programArguments } from '../support/program.js';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What was printed with `--json`. */
  json<T>(): T;
}

/** The settings of a service on this database; the command reads the same ones. */
export function environmentOf(databaseUrl: string): Record<string, string> {
  return {
    NODE_ENV: 'production',
    BASE_URL: 'https://out.example.com',
    SIGNOFF_SECRET: 'a secret of at least 32 characters',
    DATABASE_URL: databaseUrl,
  };
}

const folders: string[] = [];
process.on('exit', () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** An empty folder that goes away with this process. */
export function emptyFolder(): string {
  const folder = mkdtempSync(path.join(folderOfTests, 'signoff-cli-'));
  folders.push(folder);
  return folder;
}

const nowhere = emptyFolder();

interface RunOptions {
  /** What standard input holds. */
  input?: string;
  /** A folder that has no `.env`, unless one is named. */
  cwd?: string;
}

/** Runs the real command: in the process that is kept for that, if it is free and Node is to have no options. */
export async function signoff(
  env: Record<string, string>,
  args: readonly string[],
  { input = '', cwd = nowhere }: RunOptions = {},
): Promise<Ran> {
  const command = { args, env: { PATH: process.env.PATH ?? '', ...env }, cwd, input };
  const answer = env.NODE_OPTIONS === undefined ? await runKept(command) : null;
  if (answer === null) return signoffAlone(env, args, { input, cwd });
  return { ...answer, json: <T>() => JSON.parse(answer.stdout) as T };
}

/** The same in a process of its own, as people run it. */
export async function signoffAlone(
  env: Record<string, string>,
  args: readonly string[],
  { input = '', cwd = nowhere }: RunOptions = {},
): Promise<Ran> {
  const { child, ran } = startSignoff(env, args, { cwd });
  child.stdin?.end(input);
  return ran;
}

/** The same, for a test that has something to do with the process while it runs. */
export function startSignoff(
  env: Record<string, string>,
  args: readonly string[],
  { cwd = nowhere }: { cwd?: string } = {},
): { child: ChildProcess; ran: Promise<Ran> } {
  const child = spawn(process.execPath, [...programArguments('cli'), ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: 'pipe',
  });
  // A command that ends before it has read all of its input closes the pipe.
  child.stdin.on('error', () => undefined);
  const ran = Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]).then(([stdout, stderr, [code]]) => ({
    code,
    stdout,
    stderr,
    json: <T>() => JSON.parse(stdout) as T,
  }));
  return { child, ran };
}

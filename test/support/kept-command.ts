import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { projectPath } from '../../src/paths.js';
import { isBuilt, loader } from './program.js';

export interface KeptCommand {
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  readonly cwd: string;
  readonly input: string;
}

export interface KeptAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What would have kept a process of its own from ending. */
  readonly leftOpen: string[];
}

let kept: Promise<ChildProcess> | undefined;
let isBusy = false;

/**
 * Runs a command of `signoff` in a process that is kept for the next one, since to start takes most of them
 * twenty times as long as to run. One runs there at a time.
 *
 * @returns null while another runs: what goes on beside it takes a process of its own.
 */
export async function runKept(command: KeptCommand): Promise<KeptAnswer | null> {
  if (isBusy) return null;
  isBusy = true;
  try {
    const child = await (kept ??= start());
    const answer = await answerOf(child, command);
    if (answer.leftOpen.length > 0) throw new Error(`it left open: ${answer.leftOpen.join(', ')}`);
    return answer;
  } catch (error) {
    (await kept?.catch(() => null))?.kill();
    kept = undefined;
    throw error;
  } finally {
    isBusy = false;
  }
}

/** Holds this process open only while the command runs. */
async function answerOf(child: ChildProcess, command: KeptCommand): Promise<KeptAnswer> {
  const over = new AbortController();
  const { signal } = over;
  child.ref();
  child.channel?.ref();
  try {
    child.send(command);
    const ended = once(child, 'exit', { signal }).then(([code]) => {
      throw new Error(`the process ended with ${code} at: signoff ${command.args.join(' ')}`);
    });
    const answered = once(child, 'message', { signal }) as Promise<[KeptAnswer]>;
    return (await Promise.race([answered, ended]))[0];
  } finally {
    over.abort();
    child.unref();
    child.channel?.unref();
  }
}

async function start(): Promise<ChildProcess> {
  const program = isBuilt ? ['dist', 'src', 'cli', 'program.js'] : ['src', 'cli', 'program.ts'];
  const child = fork(
    projectPath('test', 'support', 'kept-process.ts'),
    [pathToFileURL(projectPath(...program)).href],
    { execArgv: [`--import=${loader()}`], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  process.once('exit', () => child.kill());
  await once(child, 'message');
  return child;
}

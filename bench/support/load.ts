import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { Setting } from '../bench.js';

/** What wrk is to send; `{}` in the path, the body or a header is a number that no other request has. */
export interface Load {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly connections?: number;
  readonly ms: number;
}

export interface Loaded {
  /** That were answered inside the window. */
  readonly requests: number;
  readonly perSecond: number;
  /** Milliseconds from the request to the last octet of its answer. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Answers of status 400 and above. */
  readonly notOk: number;
  /** Connections that failed or broke, and answers that took over half a minute. */
  readonly broken: number;
}

/** Whether this machine has wrk; `npm run test:setup` installs it. */
export function hasWrk(): boolean {
  return spawnSync('wrk', ['--version']).error === undefined;
}

let windows = 0;

/** A smoke run wants answers, and no rate: a window is over with some, which on a busy machine take a while. */
const mostSmokeSeconds = 10;
const enough = 100;
const tellsWhenEnough = `
local answers = 0
function response()
  answers = answers + 1
  if answers == ${enough} then
    io.stdout:write("enough\\n")
    io.stdout:flush()
  end
end
`;

/** Puts a server under load from one thread of wrk, each connection sending its next request once it has its answer. */
export async function loadOf(setting: Setting, load: Load): Promise<Loaded> {
  const { connections = 64, ms } = load;
  const script = path.join(setting.folder, `load-${++windows}.lua`);
  writeFileSync(script, scriptOf(load, windows) + (setting.isSmoke ? tellsWhenEnough : ''));
  const seconds = setting.isSmoke ? mostSmokeSeconds : Math.max(1, Math.round(ms / 1000));
  return runWrk(load, script, connections, seconds);
}

/** @param seconds whole ones, as wrk counts; fewer, where the script says that it has seen enough. */
async function runWrk(
  { url, path: target }: Load,
  script: string,
  connections: number,
  seconds: number,
): Promise<Loaded> {
  const args = [
    ...['-t1', `-c${connections}`, `-d${seconds}`, '--timeout', '30', '-s', script],
    `${url}${target.replaceAll('{}', '0')}`,
  ];
  const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  createInterface(child.stdout).on('line', (line) => {
    // It ends as it would when its time is up.
    if (line === 'enough') child.kill('SIGINT');
  });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const [, json] = /^loaded (.*)$/m.exec(out) ?? [];
  if (json === undefined) throw new Error(`wrk failed: ${out}${err}`);
  return JSON.parse(json) as Loaded;
}

/** A load that nobody looks at, so that what is measured next is compiled and its connections are made. */
export async function warmUp(setting: Setting, load: Omit<Load, 'ms'>): Promise<void> {
  if (!setting.isSmoke) await loadOf(setting, { ...load, ms: Math.min(setting.windowMs, 2000) });
}

function scriptOf({ method = 'GET', path: target, headers = {}, body }: Load, window: number): string {
  const numbered = (text: string) => luaText(text).replaceAll('{}', `" .. number .. "`);
  const pairs = (write: (value: string) => string) =>
    Object.entries(headers).map(([name, value]) => `[${luaText(name)}] = ${write(value)}`);
  return `
local count = 0
local number = ""
function request()
  count = count + 1
  number = "${window}x" .. count
  return wrk.format(${luaText(method)}, ${numbered(target)}, { ${pairs(numbered).join(', ')} }, ${
    body === undefined ? 'nil' : numbered(body)
  })
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\nloaded {"requests":%d,"perSecond":%.1f,"p50":%.2f,"p99":%.2f,"max":%.2f,"notOk":%d,"broken":%d}\\n',
    summary.requests, summary.requests * 1000000 / summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
`;
}

function luaText(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}"`;
}

import { spawn } from 'node:child_process';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { projectPath } from '../src/paths.js';
import { residentMemoryOf } from '../test/support/spawned-service.js';
import type { Way } from '../test/support/ways.js';
import type { Finding, Proof, Setting } from './proof.js';
import type { Order, RawWay, Seen } from './support/crowd.js';
import { lettingAllIn, type Listening } from './support/letting-all-in.js';
import { openWorld, type World } from './support/world.js';

const measuredSeconds = 4;
const seconds = 60;
/** So many times the most that it can take. */
const times = 3;
const mostConnections = 9000;
/** Within which accepted ones are answered, all but one in a hundred. */
const acceptedMs = 6000;

const mostGrowth = 400 * 1024 * 1024;

/** Promise 7: three times as much as it can take, from a crowd that does not wait for its answers. */
export const overload: Proof = {
  promise: 7,
  name: 'overload',
  says: 'Overload sheds, it does not break',
  engines: ['sqlite', 'mysql'],
  isQuickToo: false,
  async prove(setting) {
    // The crowd, and some more; the line may take half of it.
    const connections = mostConnections + 200;
    const env = { DATABASE_TIMEOUT_MS: '5000', MAX_CONNECTIONS: String(connections) };
    const world = await openWorld(setting.engine, { isShared: true, env });
    try {
      const burst = await burstOn(world, setting);
      const { finding, accepted } = await overloadOn(world, setting);
      return [burst, finding, await withoutEntrance(world, setting, accepted)];
    } finally {
      await world.close();
    }
  },
};

/** Numbers of requests, so that no two crowds bring the same addresses. */
let numbers = 0;

async function crowd(
  { port }: Listening,
  ways: readonly Way[],
  order: Pick<Order, 'connections' | 'seconds' | 'overload'>,
): Promise<Seen & { readonly acked: string[] }> {
  const from = numbers;
  numbers += 1_000_000;
  if (numbers > 9_999_999) throw new Error('the numbers of requests have seven digits');
  const whole: Order = { ...order, port, from, ways: ways.map(rawOf) };
  const program = projectPath('prove', 'support', 'crowd.ts');
  const child = spawn(process.execPath, ['--import=tsx', program, JSON.stringify(whole)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const seen = JSON.parse(await text(child.stdout)) as Seen;
  const bits = Buffer.from(seen.takenBits, 'base64');
  const acked: string[] = [];
  for (let n = 0; n < seen.sent; n++) {
    if (((bits[n >> 3] ?? 0) >> (n & 7)) & 1) acked.push(addressOf(from + n));
  }
  return { ...seen, acked };
}

const addressOf = (number: number) => `p${String(number).padStart(7, '0')}@example.com`;

function rawOf({ name, ask }: Way): RawWay {
  const { method, path, headers, body = '' } = ask('pNUMBER@example.com');
  const length = Buffer.byteLength(body.replaceAll('NUMBER', '0000000'));
  const lines = Object.entries({ Host: 'signoff.test', ...headers, 'Content-Length': String(length) });
  const isSendcloud = name === "SendCloud's API";
  return {
    octets: `${method} ${path} HTTP/1.1\r\n${lines.map(([n, value]) => `${n}: ${value}\r\n`).join('')}\r\n${body}`,
    yes: isSendcloud ? '"statusCode":40401' : '',
    notNow: isSendcloud ? '"statusCode":501' : null,
  };
}

/** Many at once are no overload, where they can be served within a second. */
async function burstOn({ of, service }: World, { say }: Setting): Promise<Finding> {
  say('a burst');
  const pixels = of.ways.filter(({ name }) => name === 'the pixel');
  const before = await crowd(service, pixels, { connections: 64, seconds: 2, overload: null });
  const connections = Math.min(2000, Math.round(before.taken.count / 2));
  const seen = await crowd(service, pixels, { connections, seconds: 0, overload: null });
  const { sent, taken, refused, acked } = seen;
  const ledger = await kept(of, acked);
  return {
    what: 'as many pixels at once as it takes in a second, 2,000 at most, each on a new connection',
    ...{ sent, acknowledged: taken.count, ...ledger },
    figure: `${refused.count} answered 503; the last one after ${taken.max} ms`,
    holds: sent === connections && taken.count === sent && ledger.lost === 0,
  };
}

async function overloadOn(world: World, { say }: Setting) {
  const { of, service } = world;
  say('the most that it can take');
  await crowd(service, of.ways, { connections: 64, seconds: 1, overload: null });
  const closed = await crowd(service, of.ways, {
    ...{ connections: 128, seconds: measuredSeconds, overload: null },
  });
  const most = closed.taken.count / measuredSeconds;
  const memoryBefore = residentMemoryOf(service);
  say(`${Math.round(most)} a second; ${times} times as many for ${seconds} s`);
  const watch = watched(world);
  const seen = await crowd(service, of.ways, {
    connections: mostConnections,
    seconds,
    overload: { most, times },
  });
  const normalMs = await untilNormal(service);
  const { memory, healthMs } = await watch();

  const { sent, unsent, taken, refused, others, acked, tailMs } = seen;
  const ledger = await kept(of, acked);
  const finding: Finding = {
    what: `${times} times as much as it can take for ${seconds} s, through ${of.ways.length} doors`,
    ...{ sent, acknowledged: taken.count, ...ledger },
    figure:
      `${Math.round(most)} a second before; ${refused.count} answered 503 (median ${refused.median} ms, 99 of 100 within ` +
      `${refused.p99} ms), accepted ones median ${taken.median} ms, 99 of 100 within ${taken.p99} ms, at most ${taken.max} ms; ` +
      `${unsent} not sent, since ${mostConnections} requests were open; /healthz at most ${healthMs} ms; ` +
      `memory ${megabytes(memoryBefore)} MB before, ${megabytes(memory)} MB at most; ` +
      `all answered ${Math.round(tailMs)} ms after the last was sent, and ${Math.round(normalMs)} ms later within 250 ms` +
      (Object.keys(others).length === 0 ? '' : `; others: ${JSON.stringify(others)}`),
    holds:
      ledger.lost === 0 &&
      ledger.doubled === 0 &&
      taken.count > 0 &&
      refused.count > 0 &&
      Object.keys(others).length === 0 &&
      taken.count + refused.count === sent &&
      sent + unsent >= 2.5 * taken.count &&
      taken.p99 <= acceptedMs &&
      memory - memoryBefore < mostGrowth &&
      normalMs <= 5000,
  };
  return { finding, accepted: taken };
}

/** The control: without the entrance nobody is turned away, and all who come wait for all who came before. */
async function withoutEntrance(world: World, { say }: Setting, accepted: Seen['taken']): Promise<Finding> {
  say('the control');
  const { of } = world;
  await world.killService();
  const service = await lettingAllIn(of.url);
  try {
    await crowd(service, of.ways, { connections: 64, seconds: 1, overload: null });
    const closed = await crowd(service, of.ways, { connections: 128, seconds: 4, overload: null });
    const most = closed.taken.count / 4;
    const { sent, unsent, taken, refused, others } = await crowd(service, of.ways, {
      ...{ connections: mostConnections, seconds: 20, overload: { most, times } },
    });
    return {
      what: 'the same for 20 s without the entrance',
      ...{ sent, acknowledged: taken.count },
      figure:
        `${refused.count} answered 503; accepted ones median ${taken.median} ms, 99 of 100 within ${taken.p99} ms; ` +
        `${unsent} not sent, since ${mostConnections} requests were open` +
        (Object.keys(others).length === 0 ? '' : `; others: ${JSON.stringify(others)}`),
      holds: taken.p99 > 2 * accepted.p99,
      isControl: true,
    };
  } finally {
    await service.stop();
  }
}

/** What is seen from outside meanwhile, twice a second. */
function watched({ service }: World): () => Promise<{ memory: number; healthMs: number }> {
  let isOver = false;
  let memory = 0;
  let healthMs = 0;
  const watching = (async () => {
    while (!isOver) {
      const startedAt = performance.now();
      const { status } = await fetch(`${service.url}/healthz`, { headers: { Connection: 'close' } });
      healthMs = Math.max(healthMs, status === 200 ? Math.round(performance.now() - startedAt) : Infinity);
      memory = Math.max(memory, residentMemoryOf(service));
      await wait(500);
    }
  })();
  return async () => {
    isOver = true;
    await watching;
    return { memory, healthMs };
  };
}

/** How long it takes until somebody on a new connection has the page within 250 ms: milliseconds. */
async function untilNormal({ url }: Listening & { readonly url: string }): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const askedAt = performance.now();
    const { status } = await fetch(`${url}/readyz`, { headers: { Connection: 'close' } });
    const now = performance.now();
    if ((status === 200 && now - askedAt <= 250) || now - startedAt > 10_000) return now - startedAt;
  }
}

async function kept(of: World['of'], acked: readonly string[]): Promise<{ lost: number; doubled: number }> {
  const rows = await of.withDb((db) =>
    db<{ list_id: number; address: Buffer }>('opt_outs').where({ list_id: of.list.id }).select('address'),
  );
  const there = new Set(rows.map(({ address }) => address.toString()));
  return { lost: acked.filter((email) => !there.has(email)).length, doubled: rows.length - there.size };
}

function megabytes(octets: number): number {
  return Math.round(octets / 1024 / 1024);
}

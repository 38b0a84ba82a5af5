import { once } from 'node:events';
import http from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { createList } from '../src/core/lists.js';
import { createAccount } from '../src/core/accounts.js';
import { connect as connectDatabase } from '../src/db/connect.js';
import { answerOn, exchange } from '../test/support/raw-http.js';
import { spawnRunningService, type SpawnedService } from '../test/support/spawned-service.js';
import { freshMigratedDatabase } from '../test/support/template.js';
import type { Finding, Proof } from './proof.js';

/** Connections that the service lets in. Slow clients take all of them but twenty. */
const limit = 120;
/** For which somebody who is not slow waits at most, on a machine that is busy with other things too. */
const mostMs = 2000;

/** How slow clients are got rid of, while somebody who is not slow is served. In long alone: the limits are seconds. */
export const slow: Proof = {
  promise: 7,
  name: 'slow',
  says: 'Slow clients hold nobody up',
  engines: ['sqlite', 'mysql'],
  isQuickToo: false,
  async prove({ say }) {
    const database = await freshMigratedDatabase();
    const db = connectDatabase(database.url, { timeoutMs: 10_000, poolSize: 1 });
    const account = await createAccount(db, 'Acme');
    const { publicId } = await createList(db, account.id, { name: 'Acme News' }, { actor: 'test' });
    const service = await spawnRunningService({
      NODE_ENV: 'production',
      BASE_URL: 'http://signoff.test',
      SIGNOFF_SECRET: 'a secret of at least 32 characters',
      DATABASE_URL: database.url,
      MAX_CONNECTIONS: String(limit),
    });
    const findings: Finding[] = [];
    try {
      for (const [what, attack] of Object.entries(attacks)) {
        say(what);
        const good = startGoodClient(service, publicId);
        const outcome = await attack(service, publicId);
        findings.push({ what, ...told(outcome, await good.stop()) });
      }
      say('the limit of connections');
      findings.push(await fullOfIdlers(service, publicId));
      findings.push(await tooLarge(service));
      say('the control');
      return [...findings, await withoutTimeouts()];
    } finally {
      await service.stop();
      await db.destroy();
      await database.drop();
    }
  },
};

interface Outcome {
  readonly clients: number;
  /** Whose connection the service has ended in time. */
  readonly ended: number;
  /** Seconds until the last one had been. */
  readonly seconds: number;
  readonly withinSeconds: number;
}

/** What slow clients do, each some fewer times than there are connections. */
const attacks: Readonly<Record<string, (service: SpawnedService, id: string) => Promise<Outcome>>> = {
  'connections that say nothing': (service) => crowd(service, 15, () => undefined),
  'headers that come octet by octet': (service, id) =>
    crowd(service, 15, (socket) => drip(socket, `GET /l/${id} HTTP/1.1\r\nHost: x\r\n`, 'X-Slow: 1\r\n')),
  'bodies that come octet by octet': (service, id) => {
    const type = 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000';
    return crowd(service, 35, (socket) =>
      drip(socket, `POST /l/${id}/opt-out HTTP/1.1\r\nHost: x\r\n${type}\r\n\r\n`, 'a'),
    );
  },
  'requests that begin once more on a kept connection, and stop': (service) =>
    crowd(
      service,
      12,
      (socket) => void socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\n'),
    ),
};

async function crowd(
  { port }: Pick<SpawnedService, 'port'>,
  withinSeconds: number,
  begin: (socket: Socket) => void,
): Promise<Outcome> {
  const clients = limit - 20;
  const startedAt = Date.now();
  let last = startedAt;
  const sockets = Array.from({ length: clients }, () => connect({ port, host: '127.0.0.1' }));
  const ends = sockets.map((socket) => {
    begin(socket);
    return answerOn(socket).then(() => {
      last = Date.now();
    });
  });
  const isOver = Promise.all(ends).then(() => clients);
  // The limit itself, and some seconds for a machine that is busy with other things.
  const patience = wait((withinSeconds + 3) * 1000, -1, { ref: false });
  const all = await Promise.race([isOver, patience]);
  const ended = all === -1 ? sockets.filter((socket) => socket.destroyed).length : clients;
  for (const socket of sockets) socket.destroy();
  return { clients, ended, seconds: (last - startedAt) / 1000, withinSeconds };
}

/** The control: who says nothing stays. */
async function withoutTimeouts(): Promise<Finding> {
  const server = http.createServer((_, res) => res.end());
  Object.assign(server, { headersTimeout: 0, requestTimeout: 0, keepAliveTimeout: 0, timeout: 0 });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const { clients, ended, withinSeconds } = await crowd({ port }, 15, () => undefined);
    return {
      what: 'connections that say nothing, to a server without time-outs',
      figure: `${ended} of ${clients} slow clients ended within ${withinSeconds} s`,
      holds: ended < clients,
      isControl: true,
    };
  } finally {
    server.close().closeAllConnections();
  }
}

function drip(socket: Socket, head: string, more: string): void {
  socket.write(head);
  const timer = setInterval(() => socket.write(more), 1000);
  socket.on('close', () => clearInterval(timer));
}

interface Served {
  readonly answered: number;
  readonly failed: number;
  readonly slowestMs: number;
  readonly medianMs: number;
}

/** Somebody on a new connection each time, ten times a second. */
function startGoodClient({ port }: SpawnedService, id: string) {
  const times: number[] = [];
  let failed = 0;
  let isStopping = false;
  const working = (async () => {
    while (!isStopping) {
      const startedAt = performance.now();
      const body = 'email=ann@example.com';
      const status = await post(port, `/l/${id}/opt-out`, body);
      if (status === 200) times.push(performance.now() - startedAt);
      else failed++;
      await wait(100);
    }
  })();
  return {
    async stop(): Promise<Served> {
      isStopping = true;
      await working;
      times.sort((a, b) => a - b);
      const at = (share: number) => times[Math.floor((times.length - 1) * share)] ?? 0;
      return { answered: times.length, failed, slowestMs: at(1), medianMs: at(0.5) };
    },
  };
}

function post(port: number, path: string, body: string): Promise<number> {
  return new Promise((resolve) => {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'text/html' };
    const asked = http.request({ port, path, method: 'POST', agent: false, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    asked.on('error', () => resolve(0)).end(body);
  });
}

function told({ clients, ended, seconds, withinSeconds }: Outcome, served: Served) {
  const { answered, failed, slowestMs, medianMs } = served;
  return {
    sent: answered + failed,
    acknowledged: answered,
    figure:
      `${ended} of ${clients} slow clients ended within ${seconds.toFixed(1)} s (limit ${withinSeconds} s); ` +
      `others meanwhile: median ${medianMs.toFixed(1)} ms, slowest ${slowestMs.toFixed(0)} ms`,
    holds:
      ended === clients && seconds <= withinSeconds && answered > 0 && failed === 0 && slowestMs <= mostMs,
  };
}

/** Kept connections that nobody uses fill all places: they make room for who wants one. */
async function fullOfIdlers(service: SpawnedService, id: string): Promise<Finding> {
  const idlers = Array.from({ length: limit }, () => connect({ port: service.port, host: '127.0.0.1' }));
  let answered = 0;
  for (const socket of idlers) {
    socket.on('error', () => undefined).once('data', () => answered++);
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  }
  for (let i = 0; answered < limit && i < 500; i++) await wait(10);
  const statuses: number[] = [];
  for (let i = 0; i < 10; i++)
    statuses.push(await post(service.port, `/l/${id}/opt-out`, 'email=bob@example.com'));
  for (const socket of idlers) socket.destroy();
  const first = statuses.indexOf(200);
  return {
    what: 'as many idle connections as are let in',
    sent: statuses.length,
    acknowledged: statuses.filter((status) => status === 200).length,
    figure: `${answered} idle ones; somebody else is served at try ${first + 1}, and from then on`,
    holds:
      answered === limit &&
      first !== -1 &&
      first <= 2 &&
      statuses.slice(first).every((status) => status === 200),
  };
}

/** Headers of more octets than are taken, as one and as thousands. */
async function tooLarge({ port }: SpawnedService): Promise<Finding> {
  const head = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n';
  const one = await exchange(port, `${head}X: ${'x'.repeat(20_000)}\r\n\r\n`);
  const many = await exchange(port, `${head}${'aaaa: bbbb\r\n'.repeat(5000)}\r\n`);
  const fitting = await exchange(port, `${head}${'a: b\r\n'.repeat(2200)}\r\n`);
  const statuses = [one.status, many.status, fitting.status];
  return {
    what: 'a header of 20 KB, 5,000 headers, and 2,200 that fit',
    sent: 3,
    figure: `answered ${statuses.join(', ')}`,
    holds: statuses.join() === '431,431,200',
  };
}

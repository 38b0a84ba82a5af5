import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import request, { type Response, type Test } from 'supertest';
import { createListener } from '../../src/app.js';
import type { List } from '../../src/core/lists.js';
import { createEntrance, usualLimits, type EntranceLimits } from '../../src/http/entrance.js';
import { readMetrics, valueOf } from '../support/prometheus.js';
import { exchange } from '../support/raw-http.js';
import { addressesOf } from '../support/records.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { browser, imageOfBrowser, program } from '../support/visitors.js';

/** The service's own listener, behind an entrance that is as narrow as a test wants it. */
interface Narrow {
  readonly url: string;
  readonly port: number;
  readonly server: Server;
  /** While it is so, nobody is let in. */
  isHeld: boolean;
  readonly waiting: () => number;
  close(): Promise<unknown>;
}

async function listenBehind(
  { deps }: TestService,
  limits: Partial<EntranceLimits>,
  isHeld = true,
): Promise<Narrow> {
  const narrow = { isHeld };
  const entrance = createEntrance(() => narrow.isHeld, { ...usualLimits, ...limits });
  const server = createServer(createListener({ ...deps, entrance }));
  server.on('connection', entrance.connected);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return Object.assign(narrow, {
    ...{ url: `http://127.0.0.1:${port}`, port, server, waiting: entrance.waiting },
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  });
}

const token = 'a-token-of-the-metrics';
const oneClick = 'List-Unsubscribe=One-Click';

describe('The entrance', () => {
  let service: TestService;
  let list: List;
  let at: string;
  before(async () => {
    service = await startTestService({ METRICS_TOKEN: token });
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    at = `/l/${list.publicId}`;
  });

  async function turnedAway(): Promise<number> {
    const told = readMetrics(await service.deps.metrics.registry.metrics());
    return valueOf(told, 'signoff_turned_away_requests_total');
  }

  describe('that is full', () => {
    let full: Narrow;
    before(async () => {
      full = await listenBehind(service, { most: 0 });
    });
    after(() => full.close());

    const ask = {
      get: (path: string, headers = {}) => request(full.url).get(path).set(headers),
      post: (path: string, body = 'email=ann@example.com') =>
        request(full.url).post(path).type('form').set(program).send(body),
    };
    const isUnavailable = async (test: Test): Promise<Response> => {
      const answer = await test;
      assert.equal(answer.status, 503, answer.text);
      assert.equal(answer.get('Retry-After'), '5');
      assert.match(answer.get('Cache-Control') ?? '', /^no-store/);
      assert.equal(answer.get('X-Content-Type-Options'), 'nosniff');
      return answer;
    };

    it('answers 503 at the doors of machines as they do, and records nothing', async () => {
      const asked = [
        ask.get(`${at}/pixel.gif?email=ann@example.com`, imageOfBrowser),
        ask.get(`${at}?email=ann@example.com`, imageOfBrowser),
        ask.get(`${at}?email=ann@example.com`, program),
        ask.post(`${at}?email=ann@example.com`, oneClick),
        ask.post(`${at}/notify`),
        ask.get(`${at}/notify?email=ann@example.com`, program),
        ask.get(`${at.replace('/l/', '/o/')}/pixel.gif`, imageOfBrowser),
        ask.get(`${at}/download`, program),
        ask.post(`${at}/scrub`),
      ];
      for (const test of asked) {
        const answer = await isUnavailable(test);
        assert.match(answer.get('Content-Type') ?? '', /^application\/problem\+json/);
        const { code, title } = JSON.parse(answer.text) as Record<string, string>;
        assert.equal(code, 'unavailable');
        assert.match(title ?? '', /^This cannot be done at the moment\. Nothing is lost/);
      }
      assert.deepEqual(await addressesOf(service, list), []);
    });

    it('answers people with a page in their language, and records nothing', async () => {
      const english = [
        ask.get(at, browser),
        ask.get(`${at}?email=ann@example.com`, browser),
        ask.post(`${at}/opt-out`).set(browser),
        ask.post(`${at}/undo`).set(browser),
        ask.get('/', browser),
      ];
      for (const test of english) {
        const { text, headers } = await isUnavailable(test);
        assert.match(text, /<html lang="en"[^]*<h1>We could not record this just now<\/h1>/);
        assert.match(text, /Please try again in 5 seconds\./);
        assert.match(String(headers['content-security-policy']), /style-src 'self'/);
      }
      const german = ask.get(at, { ...browser, 'Accept-Language': 'de' });
      assert.match((await isUnavailable(german)).text, /<html lang="de"/);
      assert.match((await isUnavailable(ask.get(`${at}?lang=fr`, browser))).text, /<html lang="fr"/);
      assert.deepEqual(await addressesOf(service, list), []);
    });

    it('answers users of the console in a sentence', async () => {
      const { text } = await isUnavailable(ask.get('/console/sign-in', browser));
      assert.match(text, /^There is too much to do at the moment\. Please try again in a few seconds\.\n$/);
    });

    it("answers in the words of our API and of the vendors' own", async () => {
      const ours = JSON.parse(
        (await isUnavailable(ask.get(`/api/v1/lists/${list.publicId}/opt-outs`))).text,
      ) as object;
      assert.deepEqual(Object.entries(ours).slice(0, 4), [
        ['type', 'http://signoff.test/api/v1#unavailable'],
        ['title', (ours as { title: string }).title],
        ['status', 503],
        ['code', 'unavailable'],
      ]);
      const mailgun = await isUnavailable(ask.get('/v3/mg.example.com/unsubscribes'));
      assert.deepEqual(Object.keys(JSON.parse(mailgun.text) as object), ['message']);
      assert.ok(mailgun.get('X-RateLimit-Limit'));
      const json = await isUnavailable(ask.post('/transaction/v2/unsubscribes/cancel.json', '{}'));
      const { errors } = JSON.parse(json.text) as { errors: { code: string }[] };
      assert.deepEqual(
        errors.map(({ code }) => code),
        ['00-503'],
      );
      const xml = await isUnavailable(ask.post('/transaction/v2/unsubscribes/download.xml', '{}'));
      assert.match(xml.text, /^<errors>\n<error>\n<code>00-503<\/code>/);
      // Its status is 200 whatever happens.
      const sendcloud = await ask.post('/apiv2/unsubscribe/add');
      const { result, statusCode } = JSON.parse(sendcloud.text) as Record<string, unknown>;
      assert.deepEqual([sendcloud.status, result, statusCode], [200, false, 501]);
      assert.equal(sendcloud.get('Retry-After'), '5');
    });

    it('still tells whether it lives, is ready, and what it counts', async () => {
      const before = await turnedAway();
      await isUnavailable(ask.get(`${at}/pixel.gif?email=ann@example.com`));
      assert.equal((await ask.get('/healthz')).status, 200);
      assert.equal((await ask.get('/readyz')).status, 200);
      const { status, text } = await ask.get('/metrics', { Authorization: `Bearer ${token}` });
      assert.equal(status, 200);
      assert.equal(valueOf(readMetrics(text), 'signoff_turned_away_requests_total'), before + 1);
      const labels = { door: 'pixel', outcome: 'unavailable' };
      assert.ok(valueOf(readMetrics(text), 'signoff_requests_total', labels) > 0);
      const warned = service.logged.filter((line) =>
        line.includes('more requests come than can be answered'),
      );
      assert.equal(warned.length, 1, 'and does not fill the log');
    });

    it('keeps the connection of who sent little, and ends that of who is about to send much', async () => {
      const head = `POST ${at}/scrub HTTP/1.1\r\nHost: x\r\n`;
      const much = await exchange(full.port, `${head}Content-Length: 1000000\r\n\r\n`);
      assert.equal(much.status, 503);
      assert.match(much.text, /\r\nConnection: close\r\n/);
      const chunked = await exchange(full.port, `${head}Transfer-Encoding: chunked\r\n\r\n`);
      assert.match(chunked.text, /\r\nConnection: close\r\n/);
      const little = `${head}Content-Length: 5\r\n\r\nhello`;
      const both = await exchange(full.port, little + little.replace('Host', 'Connection: close\r\nHost'));
      assert.equal(both.text.match(/HTTP\/1\.1 503 /g)?.length, 2);
    });
  });

  describe('where there is a line', () => {
    let narrow: Narrow;
    const open = async (limits: Partial<EntranceLimits>) => (narrow = await listenBehind(service, limits));
    afterEach(() => narrow.close());

    /** Comes to the end of the line, by a pixel of its own. */
    async function come(name: string): Promise<{ answer: Promise<Response> }> {
      const before = narrow.waiting();
      const answer = request(narrow.url).get(`${at}/pixel.gif?email=${name}@example.com`).then();
      await until(`${name} waits`, () => narrow.waiting() === before + 1);
      return { answer };
    }
    const statusOf = async ({ answer }: { answer: Promise<Response> }) => (await answer).status;

    it('lets in who waits', async () => {
      await open({});
      const all = [await come('ann'), await come('bob'), await come('cem')];
      assert.equal((await request(narrow.url).get('/healthz')).status, 200, 'past the line');
      assert.deepEqual(await addressesOf(service, list), []);
      narrow.isHeld = false;
      assert.deepEqual(await Promise.all(all.map(statusOf)), [200, 200, 200]);
      assert.equal(narrow.waiting(), 0);
      assert.equal((await addressesOf(service, list)).length, 3);
    });

    it('turns away at once who would wait for too long, and lets in those before', async () => {
      await open({ patienceMs: 20, fewest: 2 });
      const before = [await come('ann'), await come('bob')];
      let refused = 0;
      const later: Promise<number>[] = [];
      // The first of these may come before anybody has waited for long.
      while (refused === 0) {
        const one = request(narrow.url).get(`${at}/pixel.gif?email=late${later.length}@example.com`);
        later.push(one.then(({ status }) => (status === 503 ? ++refused : 0, status)));
        await until(
          'it waits, or has its answer',
          () => narrow.waiting() === 2 + later.length || refused > 0,
        );
      }
      narrow.isHeld = false;
      assert.deepEqual(await Promise.all(before.map(statusOf)), [200, 200]);
      const letIn = (await Promise.all(later)).filter((status) => status === 200).length;
      assert.equal((await addressesOf(service, list)).length, 2 + letIn);
    });

    it('turns away who has waited for too long, and records nothing of it', async () => {
      await open({ longestMs: 10 });
      const ann = await come('ann');
      const startedAt = performance.now();
      await until('that is over', () => performance.now() - startedAt > 10);
      narrow.isHeld = false;
      assert.equal(await statusOf(ann), 503);
      assert.deepEqual(await addressesOf(service, list), []);
    });

    it('passes over a form whose client has left, and still takes the pixel of one', async () => {
      await open({});
      const type = 'Content-Type: application/x-www-form-urlencoded';
      const asked = [
        `POST ${at}?email=ann@example.com HTTP/1.1\r\nHost: x\r\n${type}\r\nContent-Length: ${oneClick.length}\r\n\r\n${oneClick}`,
        `GET ${at}/pixel.gif?email=bob@example.com HTTP/1.1\r\nHost: x\r\n\r\n`,
      ];
      const sockets = asked.map((octets) => {
        const socket = connect(narrow.port, '127.0.0.1');
        socket.write(octets);
        return socket;
      });
      await until('both wait', () => narrow.waiting() === 2);
      for (const socket of sockets) socket.destroy();
      const connections = () =>
        new Promise<number>((resolve) => narrow.server.getConnections((_, n) => resolve(n)));
      await until('both have left', async () => (await connections()) === 0);
      narrow.isHeld = false;
      await until('the line is over', () => narrow.waiting() === 0);
      await until('bob is there', async () => (await addressesOf(service, list)).length > 0);
      assert.deepEqual(await addressesOf(service, list), ['bob@example.com']);
    });
  });

  describe('by itself', () => {
    const closing: (() => Promise<void>)[] = [];
    afterEach(async () => {
      for (const close of closing.splice(0)) await close();
    });

    interface Alone {
      readonly port: number;
      readonly waiting: () => number;
      /** How many connections it has accepted. */
      readonly accepted: () => number;
    }

    async function listen(
      isHeld: () => boolean,
      limits: Partial<EntranceLimits>,
      answer: () => void,
      turnAway: () => void,
    ): Promise<Alone> {
      const entrance = createEntrance(isHeld, { ...usualLimits, ...limits });
      const saying = (note: () => void, status: number) => (_: IncomingMessage, res: ServerResponse) => {
        note();
        res.writeHead(status, { Connection: 'close' }).end();
      };
      const server = createServer(entrance.through(saying(answer, 200), saying(turnAway, 503)));
      let accepted = 0;
      server.on('connection', entrance.connected).on('connection', () => accepted++);
      await once(server.listen(0, '127.0.0.1'), 'listening');
      closing.push(() => new Promise((resolve) => server.close(() => resolve()).closeAllConnections()));
      const { port } = server.address() as AddressInfo;
      return { port, waiting: entrance.waiting, accepted: () => accepted };
    }

    const octets = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
    const comeAll = (port: number, count: number) =>
      Promise.all(Array.from({ length: count }, async () => (await exchange(port, octets)).status));

    it('turns nobody away while others connect, unless there are too many to remember', async () => {
      const crowd = 100;
      for (const [mostRefused, isEarly] of [
        [crowd, false],
        [10, true],
      ] as const) {
        const acceptedThen: number[] = [];
        const turnAway = () => void acceptedThen.push(alone.accepted());
        const alone = await listen(
          () => true,
          { most: 0, mostRefused },
          () => undefined,
          turnAway,
        );
        assert.deepEqual(new Set(await comeAll(alone.port, crowd)), new Set([503]));
        assert.equal(acceptedThen.length, crowd);
        // Where the kernel is slow to connect them, a turn may bring none.
        assert.equal((acceptedThen[0] ?? 0) < crowd / 2, isEarly, `${acceptedThen[0]} had been accepted`);
      }
    });

    it('lets in no more at a time than can be seen to be too much', async () => {
      let isClosed = true;
      let letIn = 0;
      // As where the rows of a request reach the recorder only when its body is read.
      let seen = 0;
      const answer = () => {
        letIn++;
        setImmediate(() => seen++);
      };
      const { port, waiting } = await listen(
        () => isClosed || seen >= 2,
        { atOnce: 2, sliceMs: 10_000, longestMs: 60_000 },
        answer,
        () => undefined,
      );
      const answers = comeAll(port, 6);
      await until('all wait', () => waiting() === 6);
      isClosed = false;
      await until('some are in', () => seen > 0);
      assert.deepEqual([letIn, waiting()], [2, 4]);
      seen = -Infinity;
      assert.deepEqual(new Set(await answers), new Set([200]));
    });
  });

  it('accepts a crowd of new connections before it commits what they bring', async () => {
    const crowd = 150;
    const wide = await listenBehind(service, {}, false);
    const commits = async () => {
      const told = readMetrics(await service.deps.metrics.registry.metrics());
      return valueOf(told, 'signoff_recorder_batch_rows_count');
    };
    const before = await commits();
    const answers = await Promise.all(
      Array.from(
        { length: crowd },
        (_, n) =>
          new Promise<number>((resolve, reject) => {
            const path = `${at}/pixel.gif?email=p${n}@example.com`;
            http
              .get({ port: wide.port, path, agent: false }, (answer) => {
                answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
              })
              .on('error', reject);
          }),
      ),
    );
    assert.deepEqual(new Set(answers), new Set([200]));
    assert.equal((await addressesOf(service, list)).length, crowd);
    const made = (await commits()) - before;
    assert.ok(made < crowd / 5, `${made} commits`);
    await wide.close();
  });
});

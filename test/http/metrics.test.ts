import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import request, { type Response, type Test } from 'supertest';
import type { List } from '../../src/core/lists.js';
import { countedDoors, outcomes, type CountedDoor, type Outcome } from '../../src/http/metrics.js';
import { doors, forwarded, mailersNetwork } from '../support/doors.js';
import { download, listOf } from '../support/downloads.js';
import { engine } from '../support/engine.js';
import { holdWrites, startFragileService } from '../support/faults.js';
import { insertManyRows } from '../support/many-rows.js';
import { readMetrics, valueOf, type Told } from '../support/prometheus.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { browser, imageOfBrowser, prefetches, program } from '../support/visitors.js';

const token = 'a token of the metrics'.replaceAll(' ', '-');
const isOn = { METRICS_TOKEN: token, METRICS_BIND: '127.0.0.1:0' };

const scrape = ({ metricsPort }: TestService) => fetch(`http://127.0.0.1:${metricsPort}/metrics`);

async function told(service: TestService): Promise<Told> {
  const answer = await scrape(service);
  assert.equal(answer.status, 200);
  return readMetrics(await answer.text());
}

describe('/metrics', () => {
  it('is no page at all where it has not been switched on', async () => {
    const service = await startTestService();
    try {
      const answers = await Promise.all(
        ['/metrics', '/no-metrics'].map((path) =>
          request(service.url).get(path).set('Authorization', `Bearer ${token}`),
        ),
      );
      assert.deepEqual(
        answers.map(({ status, text }) => [status, text]),
        [
          [404, answers[1]?.text],
          [404, answers[1]?.text],
        ],
      );
      assert.equal(service.metricsPort, null);
    } finally {
      await service.close();
    }
  });

  describe('with METRICS_TOKEN', () => {
    let service: TestService;
    before(async () => {
      service = await startTestService({ METRICS_TOKEN: token });
    });
    after(() => service.close());

    it('answers to the holder of the token', async () => {
      for (const authorization of [`Bearer ${token}`, `bearer  ${token} `]) {
        const answer = await request(service.url).get('/metrics').set('Authorization', authorization);
        assert.equal(answer.status, 200);
        assert.equal(answer.get('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8');
        assert.equal(answer.get('Cache-Control'), 'no-store, no-transform');
        assert.equal(valueOf(readMetrics(answer.text), 'signoff_database_up'), 1);
      }
      const head = await request(service.url).head('/metrics').set('Authorization', `Bearer ${token}`);
      assert.deepEqual([head.status, head.text], [200, undefined]);
    });

    it('is to everybody else the page that there is none', async () => {
      const shown = async (test: Test) => {
        const { status, text, headers } = await test;
        const { date, 'x-request-id': _, ...others } = headers as Record<string, string>;
        assert.ok(date);
        return { status, text, others };
      };
      const nothing = await shown(request(service.url).get('/no-metrics'));
      assert.equal(nothing.status, 404);
      const get = () => request(service.url).get('/metrics');
      const wrong = [
        get(),
        get().query({ token }),
        ...['', 'Bearer', `Basic ${token}`, token, `Bearer ${token}x`, `Bearer ${token.slice(1)}`].map(
          (authorization) => get().set('Authorization', authorization),
        ),
        get().set('Authorization', `Bearer ${'x'.repeat(8000)}`),
        request(service.url).post('/metrics').set('Authorization', `Bearer ${token}`),
      ];
      for (const test of wrong) assert.deepEqual(await shown(test), nothing);
    });

    it('opens no listener of its own', () => {
      assert.equal(service.metricsPort, null);
    });
  });

  describe('with METRICS_BIND', () => {
    it('has a listener of its own, which serves nothing else, and stops with the service', async () => {
      const service = await startTestService({ METRICS_BIND: '127.0.0.1:0' });
      const list = await makeList(service);
      const own = `http://127.0.0.1:${service.metricsPort}`;
      assert.equal((await fetch(`${own}/metrics`)).status, 200);
      assert.equal((await fetch(`${own}/metrics?x=1`, { method: 'HEAD' })).status, 200);
      for (const path of ['/', '/readyz', '/metricsx', `/l/${list.publicId}?email=ann@example.com`]) {
        assert.equal((await fetch(own + path)).status, 404, path);
      }
      assert.equal((await fetch(`${own}/metrics`, { method: 'POST' })).status, 404);
      assert.equal((await fetch(`${service.url}/metrics`)).status, 404, 'not on the other port');
      await service.close();
      await assert.rejects(fetch(`${own}/metrics`));
    });

    it('keeps nobody waiting at the stop who has opened a connection and asks nothing', async () => {
      const service = await startTestService({ METRICS_BIND: '127.0.0.1:0', STOP_SECONDS: '600' });
      const agent = new http.Agent({ keepAlive: true });
      await new Promise((resolve) => {
        http.get({ port: service.metricsPort, path: '/metrics', agent }, (answer) => {
          answer.resume().on('end', resolve);
        });
      });
      await service.close();
      agent.destroy();
    });

    it('refuses the start by name where something listens there, and leaves nothing open', async () => {
      const first = await startTestService({ METRICS_BIND: '127.0.0.1:0' });
      try {
        await assert.rejects(
          startTestService({ METRICS_BIND: `127.0.0.1:${first.metricsPort}` }),
          /^StartRefused: METRICS_BIND, 127\.0\.0\.1 port \d+, cannot be listened on: something listens there/,
        );
      } finally {
        await first.close();
      }
    });
  });
});

describe('The metrics', () => {
  let service: TestService;
  let list: List;
  /** Public ids, keys and addresses that have come through while they were counted. */
  const seen: string[] = ['ann', 'example.com', token];
  before(async () => {
    service = await startTestService({ ...isOn, RECIPIENT_REQUESTS_PER_MINUTE: '60' });
    list = await make();
  });
  after(() => service.close());

  async function make(settings: Parameters<typeof makeList>[1] = {}): Promise<List> {
    const made = await makeList(service, { ipWhitelist: mailersNetwork, ...settings });
    seen.push(made.publicId);
    return made;
  }

  /** What happens to the counts of requests meanwhile, and nothing else does: `door outcome` by how many. */
  async function counted(act: () => Promise<unknown>): Promise<Record<string, number>> {
    const before = await told(service);
    await act();
    // An answer is counted when it is out: its client may have it a moment earlier.
    let changes: Record<string, number> = {};
    let sum = -1;
    await until('all is counted', async () => {
      const after = await told(service);
      changes = {};
      for (const door of countedDoors) {
        for (const outcome of outcomes) {
          const of = (one: Told) => valueOf(one, 'signoff_requests_total', { door, outcome });
          if (of(after) !== of(before)) changes[`${door} ${outcome}`] = of(after) - of(before);
        }
      }
      const isStill = sum === Object.values(changes).reduce((one, other) => one + other, 0);
      sum = Object.values(changes).reduce((one, other) => one + other, 0);
      return sum > 0 && isStill;
    });
    return changes;
  }

  const one = (door: CountedDoor, outcome: Outcome) => ({ [`${door} ${outcome}`]: 1 });
  const get = (path: string, headers = {}) => request(service.url).get(path).set(headers);
  const post = (path: string, fields: Record<string, string>) =>
    request(service.url).post(path).type('form').send(fields);
  const answered = async (test: Promise<Response> | Test, status: number) => {
    const answer = await test;
    assert.equal(answer.status, status, answer.text);
    return answer;
  };

  const doorOf: Record<string, CountedDoor> = {
    page: 'form',
    'direct-link': 'direct-link',
    'one-click': 'one-click',
    pixel: 'pixel',
    server: 'server',
  };
  for (const door of doors) {
    const name = doorOf[door.source] ?? 'other';
    it(`tell what was recorded, and what was refused, through ${door.name}`, async () => {
      const at = await make(door.settings);
      const before = await told(service);
      const ask = (email: string) => door.ask(service, at.publicId, [['email', email]]);
      // The button stands on a page, which is opened first.
      const opened: Record<string, number> = door.name.includes('button') ? one('page', 'answered') : {};
      const recorded = await counted(() => answered(ask('ann@example.com'), 200));
      assert.deepEqual(recorded, { ...opened, ...one(name, 'recorded') });
      const after = await told(service);
      for (const [metric, labels] of [
        ['signoff_opt_outs_recorded_total', { source: door.source }],
        ['signoff_recorder_batch_rows_count', {}],
        ['signoff_recorder_batch_rows_sum', {}],
        ['signoff_recorder_statement_seconds_count', {}],
        ['signoff_request_duration_seconds_count', { door: name }],
      ] as const) {
        assert.equal(valueOf(after, metric, labels), valueOf(before, metric, labels) + 1, metric);
      }
      const refused = await counted(() => ask('ann.example.com'));
      assert.deepEqual(refused, one(door.isVisit ? 'page' : name, 'refused'));
    });
  }

  it('tell what was shown, and what led to nothing', async () => {
    const path = `/l/${list.publicId}`;
    const asked: [test: () => Test, status: number, door: CountedDoor, outcome: Outcome][] = [
      [() => get(path, browser), 200, 'page', 'answered'],
      [() => request(service.url).head(path), 200, 'page', 'answered'],
      [() => request(service.url).options(path), 204, 'page', 'answered'],
      [() => get(path, program), 200, 'page', 'answered'],
      [() => get('/l/none', browser), 404, 'page', 'refused'],
      [() => request(service.url).delete(path), 405, 'page', 'refused'],
      [() => get(`${path}/opt-out`, browser), 303, 'form', 'answered'],
      [
        () => get(`${path}/pixel.gif?email=ann@example.com`, prefetches['a prefetched image']),
        204,
        'pixel',
        'answered',
      ],
      [() => get(`${path}/pixel.gif`, imageOfBrowser), 400, 'pixel', 'refused'],
      [() => request(service.url).options(`${path}/notify`), 204, 'server', 'answered'],
      [() => get(`${path}/notify?email=ann@example.com`, program), 403, 'server', 'refused'],
      [() => post(`${path}?email=ann@example.com`, { x: '1' }), 400, 'one-click', 'refused'],
      [() => post(`${path}/undo`, { token: 'x' }), 410, 'undo', 'refused'],
      [() => post(`${path}/reason`, { token: 'x', reason: 'spam' }), 410, 'reason', 'refused'],
      [() => get(`${path}/download`), 403, 'download', 'refused'],
      [() => get(`${path}/scrub`), 405, 'scrub', 'refused'],
      [() => get('/nothing'), 404, 'other', 'refused'],
      [() => get('/l/%E0%A4%A'), 400, 'other', 'refused'],
    ];
    for (const [test, status, door, outcome] of asked) {
      assert.deepEqual(await counted(() => answered(test(), status)), one(door, outcome));
    }
  });

  it('tell what came after an opt-out, and that something failed', async () => {
    const path = `/l/${list.publicId}`;
    const leave = async () => {
      const { text } = await answered(post(`${path}/opt-out`, { email: 'ann@example.com' }), 200);
      return /name="token" value="([\w-]+)"/.exec(text)?.[1] ?? '';
    };
    const sealed = await leave();
    const why = await counted(() => answered(post(`${path}/reason`, { token: sealed, reason: 'spam' }), 200));
    assert.deepEqual(why, one('reason', 'answered'));
    const { db } = service.deps;
    await db.schema.renameTable('history', 'history_away');
    try {
      const undone = await counted(() => answered(post(`${path}/undo`, { token: sealed }), 500));
      assert.deepEqual(undone, one('undo', 'failed'));
    } finally {
      await db.schema.renameTable('history_away', 'history');
    }
    const undone = await counted(() => answered(post(`${path}/undo`, { token: sealed }), 200));
    assert.deepEqual(undone, one('undo', 'answered'));
  });

  it('tell whom the brake has turned away', async () => {
    const paths: [string, CountedDoor][] = [
      ['', 'page'],
      ...(['undo', 'reason'] as const).map((door): [string, CountedDoor] => [`/${door}`, door]),
      ['/opt-out', 'form'],
    ];
    const ask = (path: string) =>
      forwarded(request(service.url).get(`/l/${list.publicId}${path}`).set(browser), '198.51.100.77');
    await until('it brakes', async () => (await ask('')).status === 429);
    for (const [path, door] of paths) {
      const before = valueOf(await told(service), 'signoff_blocked_requests_total', { door });
      assert.deepEqual(await counted(() => answered(ask(path), 429)), one(door, 'blocked'));
      assert.equal(valueOf(await told(service), 'signoff_blocked_requests_total', { door }), before + 1);
    }
  });

  it('tell of signed links that do not open, each once', async () => {
    for (const headers of [browser, program, imageOfBrowser]) {
      const before = valueOf(await told(service), 'signoff_invalid_tokens_total');
      assert.deepEqual(await counted(() => answered(get('/o/AQ', headers), 404)), one('page', 'refused'));
      assert.equal(valueOf(await told(service), 'signoff_invalid_tokens_total'), before + 1);
    }
  });

  it('tell of downloads: what, how much, and that nothing has changed', async () => {
    const ours = await listOf(service, ['ann@example.com', 'bob@example.com']);
    seen.push(ours.key, ours.list.publicId);
    const before = await told(service);
    const first = await answered(download(service, ours, { format: 'plain' }), 200);
    const etag = first.get('ETag') ?? '';
    const cursor = first.get('Signoff-Cursor') ?? '';
    const same = () => download(service, ours, { format: 'plain' }).set('If-None-Match', etag);
    assert.deepEqual(await counted(() => answered(same(), 304)), one('download', 'unchanged'));
    await answered(download(service, ours, { since: '1970-01-01' }), 200);
    await answered(download(service, ours, { format: 'sha256', cursor }), 200);
    const done = (one: Told, extent: string, format: string) =>
      valueOf(one, 'signoff_downloads_total', { extent, format, outcome: 'done' });
    await until('all are counted', async () => done(await told(service), 'delta', 'sha256') === 1);
    const after = await told(service);
    assert.deepEqual([done(after, 'all', 'plain'), done(after, 'since', 'md5')], [1, 1]);
    await until(
      'none is under way',
      async () => valueOf(await told(service), 'signoff_downloads_under_way') === 0,
    );
    const grown = (name: string) => valueOf(after, name) - valueOf(before, name);
    assert.equal(grown('signoff_downloaded_entries_total'), 4);
    const octets = grown('signoff_downloaded_octets_total');
    assert.ok(octets > 3 * 300 && octets < 3 * 3000, `${octets} octets`);
  });

  it('tell of a download that is under way, and that it was cut off', async function () {
    this.timeout(60_000);
    const big = await listOf(service);
    await insertManyRows(service.databaseUrl, big.list.id, 50_000, 'a'.repeat(220));
    const asked = http.get(`${service.url}/l/${big.list.publicId}/download?key=${big.key}&format=plain`, {
      agent: false,
    });
    asked.on('error', () => undefined);
    const answer = await new Promise<http.IncomingMessage>((resolve) => asked.on('response', resolve));
    await until(
      'it is under way',
      async () => valueOf(await told(service), 'signoff_downloads_under_way') === 1,
    );
    const before = valueOf(await told(service), 'signoff_downloaded_entries_total');
    await once(answer, 'readable');
    answer.destroy();
    const cutOff = { extent: 'all', format: 'plain', outcome: 'cut-off' };
    await until(
      'it is counted',
      async () => valueOf(await told(service), 'signoff_downloads_total', cutOff) === 1,
    );
    const after = await told(service);
    await until(
      'none is under way',
      async () => valueOf(await told(service), 'signoff_downloads_under_way') === 0,
    );
    const entries = valueOf(after, 'signoff_downloaded_entries_total') - before;
    assert.ok(entries > 0 && entries < 50_000, `${entries} entries`);
  });

  it('hold no address, list or key, and nothing of what was asked', async () => {
    await get('/nothing-of-ann?email=ann@example.com', { 'User-Agent': 'ann' });
    const text = await (await scrape(service)).text();
    for (const one of seen) assert.ok(!text.includes(one), one);
    const labels = [...readMetrics(text).values()].flatMap(({ samples }) =>
      samples.flatMap((sample) => Object.entries(sample.labels)),
    );
    const known = new Set<string>([...countedDoors, ...outcomes, 'api', 'import', 'console']);
    for (const more of ['all', 'since', 'delta', 'md5', 'sha256', 'plain', 'done', 'cut-off'])
      known.add(more);
    for (const [label, value] of labels) {
      assert.ok(label === 'le' ? /^(\d+(\.\d+)?|\+Inf)$/.test(value) : known.has(value), `${label}=${value}`);
    }
  });

  it('ask the database once for two scrapes at a time', async () => {
    let asked = 0;
    const count = ({ sql }: { sql: string }) => void (/from `feed`/.test(sql) && asked++);
    // The keeper asks for the same now and then.
    await service.keeper.stop();
    service.deps.db.on('query', count);
    const { scrape: tell } = service.deps;
    const texts = await Promise.all([tell?.(), tell?.(), tell?.()]);
    assert.ok(texts.every((text) => text?.includes('signoff_database_up 1\n')));
    assert.equal(asked, 1);
    await tell?.();
    assert.equal(asked, 2);
    service.deps.db.removeListener('query', count);
  });

  it('tell for how long nobody has been at work', async () => {
    // The keeper was stopped before this; its lease is given up.
    await service.deps.db('leases').update({ expires_at: Date.now() - 61_000 });
    const after = await told(service);
    const lag = valueOf(after, 'signoff_keeper_lag_seconds');
    assert.ok(lag >= 61 && lag < 90, `${lag}`);
    await service.deps.recorder.record([]);
    await post(`/l/${list.publicId}/opt-out`, { email: 'zoe@example.com' });
    await until('the change is seen to wait', async () => {
      const feedLag = valueOf(await told(service), 'signoff_feed_lag_seconds');
      return feedLag > 0 && feedLag < 30;
    });
  });

  it('tell how many clients are kept out', async () => {
    const { db } = service.deps;
    assert.equal(valueOf(await told(service), 'signoff_blocks'), 0);
    const now = Date.now();
    const block = (network: string, ends_at: number, lifted_at: number | null = null) => ({
      ...{ account_id: service.accountId, network, started_at: now - 5000, ends_at, lifted_at },
    });
    await db('blocks').insert([
      block('203.0.113.7', now + 60_000),
      block('203.0.113.8', now + 60_000),
      block('203.0.113.9', now - 1),
      block('203.0.113.10', now + 60_000, now - 1000),
    ]);
    assert.equal(valueOf(await told(service), 'signoff_blocks'), 2);
    await db('blocks').delete();
  });

  it('tell of the process itself', async () => {
    const now = await told(service);
    assert.ok(valueOf(now, 'process_resident_memory_bytes') > 10_000_000);
    const startedAt = valueOf(now, 'process_start_time_seconds');
    assert.ok(startedAt <= Date.now() / 1000 && startedAt > Date.now() / 1000 - 86_400);
    assert.ok(valueOf(now, 'nodejs_eventloop_lag_p99_seconds') >= 0);
    await until('a late event loop is told', async () => {
      const end = Date.now() + 150;
      while (Date.now() < end);
      const late = valueOf(await told(service), 'nodejs_eventloop_lag_max_seconds');
      return late > 0.1 && late < 10;
    });
  });
});

describe('The metrics, while the database is away', () => {
  it('are told without what it knows, and whole again when it is back', async () => {
    const service = await startFragileService({ ...isOn, DATABASE_TIMEOUT_MS: '1000' });
    try {
      const list = await makeList(service);
      await fetch(`${service.url}/l/${list.publicId}`);
      assert.equal(valueOf(await told(service), 'signoff_feed_last_number'), 0);
      const pixel = () =>
        request(service.url).get(`/l/${list.publicId}/pixel.gif?email=ann@example.com`).set(imageOfBrowser);
      const letGo = await holdWrites(service);
      assert.equal((await pixel()).status, 503);
      await letGo();
      const mend = await service.loseDatabase();
      const lost = await told(service);
      assert.equal(valueOf(lost, 'signoff_database_up'), 0);
      for (const name of ['feed_lag_seconds', 'keeper_lag_seconds', 'feed_last_number', 'blocks']) {
        assert.deepEqual(lost.get(`signoff_${name}`)?.samples, [], name);
      }
      assert.equal(valueOf(lost, 'signoff_requests_total', { door: 'pixel', outcome: 'unavailable' }), 1);
      assert.equal(valueOf(lost, 'signoff_recorder_failures_total'), 1);
      assert.ok(valueOf(lost, 'process_resident_memory_bytes') > 0);
      await mend();
      await until('it is back', async () => valueOf(await told(service), 'signoff_database_up') === 1);
      assert.equal(valueOf(await told(service), 'signoff_feed_last_number'), 0);
    } finally {
      await service.close();
    }
  });

  if (engine === 'mysql') {
    it('come in three seconds from one that hangs, which is asked by one of them at a time', async function () {
      this.timeout(30_000);
      const service = await startTestService({ ...isOn, DATABASE_TIMEOUT_MS: '60000' });
      try {
        // What reads as well as what writes waits for this one.
        const mend = await holdWrites(service);
        try {
          let asked = 0;
          const count = ({ sql }: { sql: string }) => void (/^SELECT o\.recorded_at/.test(sql) && asked++);
          service.deps.db.on('query', count);
          const startedAt = Date.now();
          const all = await Promise.all([told(service), told(service), told(service)]);
          assert.ok(Date.now() - startedAt < 6000);
          const isUp = all.map((one) => valueOf(one, 'signoff_database_up'));
          assert.deepEqual(isUp, [0, 0, 0]);
          assert.equal(valueOf(await told(service), 'signoff_database_up'), 0);
          assert.equal(asked, 1, 'and the next one does not ask either');
        } finally {
          await mend();
        }
        await until('it is back', async () => valueOf(await told(service), 'signoff_database_up') === 1);
      } finally {
        await service.close();
      }
    });
  }
});

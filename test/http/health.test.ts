import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import request from 'supertest';
import { forwarded } from '../support/doors.js';
import { startFragileService, type FragileService } from '../support/faults.js';
import { answerOn } from '../support/raw-http.js';
import { addressesOf } from '../support/records.js';
import { makeList, startTestService, until, untilNumbered, type TestService } from '../support/service.js';
import { optOutOf } from '../support/core.js';

interface Ready {
  status: string;
  feed: { last_number: number };
  keeper: { late_ms: number };
  recorder: { waiting: number; inFlight: number };
  warnings: string[];
}

const readyz = async ({ url }: { url: string }) => {
  const answer = await request(url).get('/readyz');
  return { status: answer.status, retryAfter: answer.get('Retry-After'), body: answer.body as Ready };
};

describe('/healthz and /readyz', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('say that the process lives, and that it can be sent requests, and nobody keeps that', async () => {
    for (const [path, status] of [
      ['/healthz', 'alive'],
      ['/readyz', 'ready'],
    ] as const) {
      const answer = await request(service.url).get(path);
      assert.equal(answer.status, 200);
      assert.equal((answer.body as Ready).status, status);
      assert.equal(answer.get('Cache-Control'), 'no-store, no-transform');
      const head = await request(service.url).head(path);
      assert.deepEqual([head.status, head.text], [200, undefined]);
    }
  });

  it('tell how far the work behind has come', async () => {
    const before = await readyz(service);
    assert.deepEqual(before.body.recorder, { waiting: 0, inFlight: 0 });
    assert.deepEqual(before.body.warnings, []);
    assert.ok(before.body.keeper.late_ms < 30_000);
    const list = await makeList(service);
    await service.deps.recorder.record([optOutOf(list.id, 'ann@example.com')]);
    await untilNumbered(service, list);
    assert.equal((await readyz(service)).body.feed.last_number, before.body.feed.last_number + 1);
  });

  it('warn for a day once a forwarding header came from a peer that TRUST_PROXY does not name', async () => {
    await request(service.url).get('/l/none').set('Forwarded', 'for=203.0.113.7');
    const { status, body } = await readyz(service);
    assert.equal(status, 200, 'it can serve all the same');
    assert.match(body.warnings.join(), /TRUST_PROXY/);
    assert.doesNotMatch(JSON.stringify(body), /203\.0\.113/);
    await request(service.url).get('/l/none').set('X-Forwarded-For', '203.0.113.8');
    const warned = service.logged.filter((line) => line.includes('TRUST_PROXY does not name'));
    assert.equal(warned.length, 1, 'the log is told once an hour');
    service.deps.state.forwardedByStrangerAt = Date.now() - 25 * 3_600_000;
    assert.deepEqual((await readyz(service)).body.warnings, []);
  });

  it('tell a stranger whether we are ready, and not how many people leave', async () => {
    const answer = await forwarded(request(service.url).get('/readyz'), '198.51.100.7');
    assert.deepEqual(Object.keys(answer.body as Ready).sort(), ['keeper', 'status', 'warnings']);
    const behindUnknown = await request(service.url).get('/readyz').set('X-Real-IP', '198.51.100.7');
    assert.equal((behindUnknown.body as Partial<Ready>).feed, undefined);
    assert.notEqual((await readyz(service)).body.feed, undefined);
  });
});

describe('/readyz', () => {
  it('warns while nobody does the work behind, and takes no process out for it', async () => {
    const service = await startTestService();
    try {
      await until('the keeper is at work', async () => (await readyz(service)).body.keeper.late_ms === 0);
      await service.keeper.stop();
      const { status, body } = await readyz(service);
      assert.equal(status, 200);
      assert.match(body.warnings.join(), /keeper/);
    } finally {
      await service.close();
    }
  });

  it('is 503 while the process stops, which finishes what it has accepted', async () => {
    const service = await startTestService();
    const list = await makeList(service);
    const body = 'List-Unsubscribe=One-Click';
    const socket = connect(service.port, '127.0.0.1');
    socket.write(
      `POST /l/${list.publicId}?email=ann@example.com HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n` +
        `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    // The 100 that says: it has been accepted.
    await once(socket, 'data');
    const stopped = service.stop();
    const answer = answerOn(socket);
    socket.write(`${body}GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const { text } = await answer;
    assert.match(
      text,
      /^HTTP\/1\.1 200 OK[\s\S]*HTTP\/1\.1 503 Service Unavailable[\s\S]*"status":"stopping"/,
    );
    assert.match(text, /\r\nRetry-After: 5\r\n/);
    await stopped;
    await assert.rejects(fetch(`${service.url}/readyz`), 'nobody listens any more');
    await assert.rejects(addressesOf(service, list), 'its database is closed');
    await service.close();
  });

  describe('while the database is away', () => {
    let service: FragileService;
    before(async () => {
      service = await startFragileService({ DATABASE_TIMEOUT_MS: '1000' });
    });
    after(() => service.close());

    it('is 503, and ready again by itself; /healthz stays: a restart would mend nothing', async () => {
      assert.equal((await readyz(service)).status, 200);
      const mend = await service.loseDatabase();
      const lost = await readyz(service);
      assert.deepEqual([lost.status, lost.retryAfter, lost.body.status], [503, '5', 'unavailable']);
      assert.match(lost.body.warnings.join(), /database/);
      assert.equal((await request(service.url).get('/healthz')).status, 200);
      await mend();
      await until('it is ready', async () => (await readyz(service)).status === 200);
    });
  });
});

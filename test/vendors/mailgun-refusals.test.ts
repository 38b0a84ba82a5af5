import assert from 'node:assert/strict';
import http from 'node:http';
import request, { type Test } from 'supertest';
import { createAccount } from '../../src/core/accounts.js';
import { nameList } from '../../src/core/list-names.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf } from '../support/core.js';
import { exchange } from '../support/raw-http.js';
import { addressesOf } from '../support/records.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import {
  assertAnswer,
  assertRateHeaders,
  mailgunAccount,
  messageOf,
  type MailgunAccount,
} from './mailgun-account.js';

const json = (value: unknown) => JSON.stringify(value);
const record = { address: 'ann@example.com' };

describe('What Mailgun programs get wrong', () => {
  let service: TestService;
  let mailgun: MailgunAccount;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    mailgun = await mailgunAccount(service);
  });
  const held = () => addressesOf(service, mailgun.list);

  describe('in a record', () => {
    const bodies: [what: string, body: string, message: RegExp][] = [
      ['JSON that ends too soon', '[{"address":', /^Invalid json: /],
      ['no JSON', 'hello', /^Invalid json: /],
      ['nothing', '', /^Invalid json: /],
      ['a text', '"ann@example.com"', /^Invalid json: a record is an object$/],
      ['a number', '7', /^Invalid json: a record is an object$/],
      ['null', 'null', /^Invalid json: a record is an object$/],
      ['null among records', json([record, null]), /^Invalid json: a record is an object \(record 2\)$/],
      ['records in records', json([[record]]), /\(record 1\)$/],
      [
        'an address that is a number',
        json([{ address: 1 }]),
        /^Invalid json: address is a text \(record 1\)$/,
      ],
      ['an address that is a list', json([{ address: ['ann@example.com'] }]), /^Invalid json: address/],
      ['an address that is an object', json([{ address: { toString: 'x' } }]), /^Invalid json: address/],
      [
        'no address',
        json([record, { tags: ['a'] }]),
        /^Invalid format for parameter address: {2}\(record 2\)$/,
      ],
      [
        'a bad address',
        json([record, record, { address: 'ann@' }]),
        /^Invalid format for parameter address: ann@ \(record 3\)$/,
      ],
      ['a merge tag', json([{ address: '{{email}}' }]), /^Invalid format for parameter address: /],
      [
        'an endless address',
        json([{ address: `${'a'.repeat(100_000)}@example.com` }]),
        /^Invalid format .{300,400}$/,
      ],
      [
        'a zero in an address',
        json([{ address: 'a\0@example.com' }]),
        /^Invalid format for parameter address/,
      ],
      [
        'tags that are a number',
        json([{ ...record, tags: 7 }]),
        /^Invalid json: tags is a list of texts \(record 1\)$/,
      ],
      [
        'tags with an object',
        json([{ ...record, tags: ['a', {}] }]),
        /^Invalid json: tags is a list of texts/,
      ],
      ['a tag that is true', json([{ ...record, tag: true }]), /^Invalid json: tag is a list of texts/],
      [
        'a tag that is too long',
        json([{ ...record, tags: ['é'.repeat(65)] }]),
        /^Invalid format for parameter tags: .*128 octets \(record 1\)$/,
      ],
      [
        'a tag of control characters',
        json([{ ...record, tags: ['a\nb'] }]),
        /^Invalid format for parameter tags: /,
      ],
      [
        'a time that is none',
        json([{ ...record, created_at: 'yesterday' }]),
        /^Invalid format for parameter created_at: yesterday \(record 1\)$/,
      ],
      [
        'a time that is a number',
        json([{ ...record, created_at: 1_700_000_000 }]),
        /^Invalid json: created_at is a text/,
      ],
      [
        'a day that does not exist',
        json([{ ...record, created_at: '31 Feb 2026 10:00:00 UTC' }]),
        /^Invalid format for parameter created_at/,
      ],
      [
        '1,001 records',
        json(Array.from({ length: 1001 }, () => record)),
        /^Invalid json: more than 1000 records$/,
      ],
      [
        'too many tags of too many addresses',
        json(
          Array.from({ length: 100 }, (_, n) => ({
            address: `a${n}@x.org`,
            tags: Array.from({ length: 101 }, (_, t) => `t${t}`),
          })),
        ),
        /^Invalid json: more than 10000 tags of addresses$/,
      ],
      [
        'a prototype',
        '[{"__proto__":{"address":"ann@example.com"}}]',
        /^Invalid format for parameter address/,
      ],
      [
        'a constructor',
        '{"constructor":{"prototype":{"address":"ann@example.com"}}}',
        /^Invalid format for parameter address/,
      ],
      ['lists without end', '['.repeat(100_000), /^Invalid json: /],
      ['lists in lists', '['.repeat(50_000) + ']'.repeat(50_000), /^Invalid json: /],
    ];
    for (const [what, body, message] of bodies) {
      it(`refuses ${what}, and takes nothing`, async () => {
        const answer = await mailgun.ask('post').type('json').send(body);
        assert.match(messageOf(answer, 400), message);
        assert.deepEqual(await held(), []);
        assert.equal(({} as Record<string, unknown>).address, undefined);
      });
    }

    const forms: [what: string, ask: (test: Test) => Test, message: RegExp][] = [
      ['an empty form', (test) => test.type('form').send(''), /^Invalid format for parameter address: $/],
      [
        'a form without an address',
        (test) => test.field('tag', 'a'),
        /^Invalid format for parameter address: $/,
      ],
      ['two addresses', (test) => test.type('form').send('address=a@x.org&address=b@x.org'), /several times/],
      [
        'an address by index',
        (test) => test.type('form').send('address[]=a@x.org'),
        /^Invalid format for parameter address: $/,
      ],
      [
        'octets that are no UTF-8',
        (test) => test.type('form').send('address=%ff%fe@x.org'),
        /^Invalid format for parameter address/,
      ],
      [
        'a tag that is no UTF-8',
        (test) => test.type('form').send('address=a@x.org&tag=%ff'),
        /^Invalid format for parameter tags/,
      ],
      [
        'a form that breaks off',
        (test) =>
          test
            .type('multipart/form-data; boundary=x')
            .send('--x\r\nContent-Disposition: form-data; name="address"\r\n\r\na@x.org'),
        /./,
      ],
      ['a form without a boundary', (test) => test.type('multipart/form-data').send('--x--'), /./],
      [
        'too many fields',
        (test) => test.type('form').send(`address=a@x.org${'&tag=a'.repeat(60)}`),
        /fields/,
      ],
    ];
    for (const [what, ask, message] of forms) {
      it(`refuses ${what}, and takes nothing`, async () => {
        assert.match(messageOf(await ask(mailgun.ask('post')), 400), message);
        assert.deepEqual(await held(), []);
      });
    }

    it('refuses octets of JSON that are not UTF-8', async () => {
      const head = `POST ${mailgun.path()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n`;
      const auth = `Authorization: Basic ${Buffer.from(`api:${mailgun.key}`).toString('base64')}\r\n`;
      const body = Buffer.concat([
        Buffer.from('{"address":"a'),
        Buffer.from([0xff]),
        Buffer.from('@x.org"}'),
      ]);
      const sent = Buffer.concat([Buffer.from(`${head}${auth}Content-Length: ${body.length}\r\n\r\n`), body]);
      const answer = await exchange(service.port, sent);
      assert.equal(answer.status, 400);
      assert.match(answer.body, /^\{"message":"Invalid json: the body is not UTF-8"\}\n$/);
      assert.deepEqual(await held(), []);
    });

    it('refuses a tag beyond those that a list can have, and takes nothing of the batch', async () => {
      const tags = Array.from({ length: 1000 }, (_, n) => `t${n}`);
      await service.deps.db.transaction((trx) => addTags(trx, mailgun.list.id, tags));
      const batch = [record, { address: 'bob@example.com', tags: ['t1', 'one more'] }];
      assert.equal(messageOf(await mailgun.ask('post').send(batch), 400), 'a list has at most 1000 tags');
      assert.deepEqual(await held(), []);
      assertAnswer(await mailgun.ask('post').send([{ ...record, tags }]), 200);
    });
  });

  describe('in how it is sent', () => {
    const kinds: [what: string, headers: Record<string, string>, body: string | Buffer, status: number][] = [
      ['another type', { 'Content-Type': 'application/xml' }, '<address>a@x.org</address>', 415],
      ['another charset', { 'Content-Type': 'application/json; charset=utf-16' }, json(record), 415],
      [
        'a form in another charset',
        { 'Content-Type': 'application/x-www-form-urlencoded; charset=latin1' },
        'address=a@x.org',
        415,
      ],
      [
        'a Content-Encoding',
        { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' },
        json(record),
        415,
      ],
      [
        'a form of over 16 KB',
        { 'Content-Type': 'application/x-www-form-urlencoded' },
        `address=a@x.org&x=${'x'.repeat(17_000)}`,
        413,
      ],
      [
        'JSON of over 2 MB',
        { 'Content-Type': 'application/json' },
        Buffer.alloc(2 * 1024 * 1024 + 1, 0x20),
        413,
      ],
    ];
    for (const [what, headers, body, status] of kinds) {
      it(`refuses ${what} with ${status}`, async () => {
        assert.notEqual(messageOf(await mailgun.ask('post').set(headers).send(body), status), '');
        assert.deepEqual(await held(), []);
      });
    }

    it('goes on with a connection where the body was read, and closes it where it was not', async () => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      const ask = (body: string | Buffer, headers: http.OutgoingHttpHeaders) =>
        new Promise<{ status: number; port: number; connection: string }>((resolve, reject) => {
          const auth = `api:${mailgun.key}`;
          const req = http.request(
            `${service.url}${mailgun.path()}`,
            { method: 'POST', agent, auth, headers },
            (res) => {
              const port = res.socket.localPort ?? 0;
              res
                .resume()
                .on('end', () =>
                  resolve({ status: res.statusCode ?? 0, port, connection: String(res.headers.connection) }),
                );
            },
          );
          req.on('error', reject);
          req.end(body);
        });
      const json_ = { 'Content-Type': 'application/json' };
      const first = await ask('[7]', json_);
      const second = await ask(json([record]), json_);
      const third = await ask('x=1', { 'Content-Type': 'application/x-www-form-urlencoded' });
      assert.deepEqual(
        [first, second, third].map(({ status }) => status),
        [400, 200, 400],
      );
      assert.equal(new Set([first, second, third].map(({ port }) => port)).size, 1, 'one connection');
      const large = await ask(Buffer.alloc(3 * 1024 * 1024, 0x20), json_);
      assert.deepEqual([large.status, large.connection], [413, 'close']);
      agent.destroy();
    });
  });

  describe('in an upload', () => {
    const upload = (body: Buffer, boundary = 'x') =>
      mailgun.ask('post', '/import').type(`multipart/form-data; boundary=${boundary}`).send(body);
    const part = (file: string) =>
      `--x\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n${file}`;

    it('refuses more than 25 MB with 413, told of before or not, and takes as much', async function () {
      this.timeout(60_000);
      const line = 'ann@example.com,\n';
      const most = 25 * 1024 * 1024;
      const file = (octets: number) =>
        `address,tags\n${line.repeat(Math.ceil(octets / line.length))}`.slice(0, octets);
      const tooLarge = Buffer.from(`${part(file(most + 1))}\r\n--x--\r\n`);
      assert.match(messageOf(await upload(tooLarge), 413), /26214400/);
      const muchTooLarge = Buffer.alloc(30 * 1024 * 1024, 0x61);
      assertAnswer(await upload(muchTooLarge), 413);
      assert.deepEqual(await service.deps.db('import_jobs').where({ list_id: mailgun.list.id }), []);
      assertAnswer(await upload(Buffer.from(`${part(file(most))}\r\n--x--\r\n`)), 202);
      // Or the others would wait for it.
      await service.deps
        .db('import_jobs')
        .where({ list_id: mailgun.list.id })
        .update({ state: 'broken', due_at: 0 });
    });

    const uploads: [what: string, body: string, status: number][] = [
      ['a form that breaks off', part('address\nann@example.com\n'), 400],
      ['a form without a file', '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n', 400],
      ['an empty form', '--x--\r\n', 400],
      ['nothing', '', 400],
    ];
    for (const [what, body, status] of uploads) {
      it(`refuses ${what}, and keeps nothing`, async () => {
        assert.notEqual(messageOf(await upload(Buffer.from(body)), status), '');
        assert.deepEqual(await service.deps.db('import_jobs').where({ list_id: mailgun.list.id }), []);
      });
    }

    it('refuses another type, and a Content-Encoding', async () => {
      for (const headers of [
        { 'Content-Type': 'application/json' },
        { 'Content-Type': 'text/csv', 'Content-Encoding': 'gzip' },
      ]) {
        assertAnswer(await mailgun.ask('post', '/import').set(headers).send('address\n'), 415);
      }
    });
  });

  describe('in a path or a query', () => {
    const queries: [query: string, message: RegExp][] = [
      ['?page=second', /^Invalid parameter: page second$/],
      ['?page=next', /^Invalid parameter: pivot $/],
      ['?page=previous&address=', /^Invalid parameter: pivot $/],
      ['?page=next&address=ann', /^Invalid parameter: pivot ann$/],
      ['?page=next&address=%00@x.org', /^Invalid parameter: pivot/],
      ['?limit=-1', /^Invalid parameter: limit -1$/],
      ['?limit=ten', /^Invalid parameter: limit ten$/],
      ['?limit=1e3', /^Invalid parameter: limit 1e3$/],
    ];
    for (const [query, message] of queries) {
      it(`refuses ${query}`, async () => {
        assert.match(messageOf(await mailgun.ask('get', query), 400), message);
      });
    }

    it('finds nobody by a term that nothing can begin with', async () => {
      for (const term of ['%00', '%ff', 'x'.repeat(5000), '%F4%8F%BF%BF', "'--", '@', '%e2%80%8b', 'a@b@c']) {
        const answer = await mailgun.ask('get', `?term=${term}`);
        assertAnswer(answer, 200);
        assert.deepEqual((answer.body as { items: unknown[] }).items, []);
      }
    });

    it('refuses an address that is none, however broken its escapes are', async () => {
      const broken = [
        '%',
        '%zz@x.org%',
        '%ff',
        '%00',
        'ann',
        'ann@',
        '@x.org',
        '%25',
        '..',
        'a@b',
        'a%20b@x.org',
        'x'.repeat(8000),
      ];
      for (const path of broken) {
        for (const method of ['GET', 'DELETE']) {
          const auth = Buffer.from(`api:${mailgun.key}`).toString('base64');
          const answer = await exchange(
            service.port,
            `${method} ${mailgun.path(`/${path}`)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic ${auth}\r\n\r\n`,
          );
          assert.equal(answer.status, 400, `${method} ${path}`);
          assert.match(answer.body, /^\{"message":"Invalid format for parameter address: /);
        }
      }
    });

    it('knows no domain that the account has not', async () => {
      const other = await createAccount(service.deps.db, 'Other');
      const foreign = await makeList({ ...service, accountId: other.id });
      await nameList(service.deps.db, foreign, 'mailgun', 'foreign.example', { actor: 'test' });
      for (const name of [
        'nowhere.example',
        'foreign.example',
        foreign.publicId,
        '%',
        '%ff',
        'a%2Fb',
        '..%2f',
      ]) {
        const answer = await request(service.url).get(`/v3/${name}/unsubscribes`).auth('api', mailgun.key);
        assert.match(messageOf(answer, 404), /^Domain not found: /);
      }
    });

    it('names the methods that there are', async () => {
      const paths: [path: string, methods: string][] = [
        ['', 'GET, HEAD, POST, DELETE, OPTIONS'],
        ['/ann@example.com', 'GET, HEAD, DELETE, OPTIONS'],
        ['/import', 'POST, OPTIONS'],
      ];
      for (const [path, methods] of paths) {
        const refused = await mailgun.ask('put', path).send('x');
        assert.equal(messageOf(refused, 405), 'Method not allowed');
        assert.equal(refused.get('allow'), methods);
        const options = await mailgun.ask('options', path);
        assert.deepEqual([options.status, options.get('allow'), options.text], [204, methods, '']);
        assertRateHeaders(options);
      }
      assertAnswer(await mailgun.ask('get', '/import'), 405);
    });
  });

  it('knows no other path', async () => {
    for (const path of ['/v3', '/v3/', `/v3/${mailgun.domain}/bounces`, '/v3/%/x', '/v3/lists']) {
      assert.equal(messageOf(await request(service.url).get(path), 404), 'Not Found');
      assert.equal(messageOf(await request(service.url).post(path).send('x=1'), 404), 'Not Found');
    }
  });

  describe('in who they are', () => {
    it('refuses a key that is none, byte for byte', async () => {
      const elsewhere = await mailgun.credential({ surface: 'sendcloud', login: 'api' });
      const { url } = service;
      const unknown = [
        request(url).get(mailgun.path()),
        request(url).get(mailgun.path()).set('Authorization', `Bearer ${mailgun.key}`),
        request(url).get(mailgun.path()).set('Authorization', 'Basic %%%'),
        request(url).get(`${mailgun.path()}?key=${mailgun.key}`),
        request(url).get(mailgun.path()).auth('', mailgun.key),
        request(url).get(mailgun.path()).auth('API', mailgun.key),
        request(url).get(mailgun.path()).auth(mailgun.key, 'api'),
        mailgun.ask('get', '', 'wrong'),
        mailgun.ask('get', '', elsewhere),
        mailgun.ask('post', '', 'wrong').send(record),
        mailgun.ask('delete', '', 'wrong'),
      ];
      for (const asked of unknown) {
        const answer = await asked;
        assert.deepEqual([answer.status, answer.text], [401, 'Forbidden\n']);
        assert.equal(answer.get('content-type'), 'text/plain; charset=utf-8');
        assert.equal(answer.get('www-authenticate'), 'Basic realm="MG API"');
        assert.equal(answer.get('cache-control'), 'no-store');
        assertRateHeaders(answer);
      }
      assert.deepEqual(await held(), []);
    });

    it('keeps to the rights, lists and networks of a key', async () => {
      await service.deps.recorder.record([optOutOf(mailgun.list.id, 'ann@example.com')]);
      const reader = await mailgun.credential({ rights: ['read'] });
      assertAnswer(await mailgun.ask('get', '', reader), 200);
      assert.match(messageOf(await mailgun.ask('post', '', reader).send(record), 403), /right to record/);
      assert.match(
        messageOf(
          await mailgun.ask('post', '/import', reader).attach('f', Buffer.from('address\n'), 'a.csv'),
          403,
        ),
        /record/,
      );
      const sender = await mailgun.credential({ rights: ['read', 'record'] });
      for (const path of ['', '/ann@example.com', '/ann@example.com?tag=*']) {
        assert.match(messageOf(await mailgun.ask('delete', path, sender), 403), /right to remove/);
      }
      assertAnswer(await mailgun.ask('post', '', sender).send({ address: 'bob@example.com' }), 200);
      const other = await makeList(service);
      const elsewhere = await mailgun.credential({ lists: [other] });
      assert.match(messageOf(await mailgun.ask('get', '', elsewhere), 404), /^Domain not found/);
      const office = await mailgun.credential({ ipWhitelist: '203.0.113.7' });
      assert.match(messageOf(await mailgun.ask('get', '', office), 403), /127\.0\.0\.1/);
      assert.deepEqual(await held(), ['ann@example.com', 'bob@example.com']);
    });

    it('writes neither keys nor addresses to the log', async () => {
      const logged = () => service.logged.join('\n');
      await request(service.url)
        .get(`${mailgun.path('/ann-in-no-log@example.com')}?key=${mailgun.key}`)
        .auth('api', mailgun.key);
      await mailgun.ask('get', '', 'wrong-key-in-no-log');
      assert.ok(service.logged.length > 0);
      assert.doesNotMatch(logged(), /in-no-log/);
      assert.ok(!logged().includes(mailgun.key));
      assert.ok(!logged().includes(Buffer.from(`api:${mailgun.key}`).toString('base64').slice(0, 40)));
    });
  });
});

describe('A limit of requests at Mailgun', () => {
  let service: TestService;
  let mailgun: MailgunAccount;
  before(async () => {
    service = await startTestService({ API_REQUESTS_PER_MINUTE: '10' });
    mailgun = await mailgunAccount(service);
  });
  after(() => service.close());

  it('is told in every answer, and answered with 429 beyond it', async () => {
    const answers = [await mailgun.ask('get', '/ann'), await mailgun.ask('put')];
    for (let n = 0; n < 8; n++) answers.push(await mailgun.ask('get'));
    const over = [await mailgun.ask('get'), await mailgun.ask('post').send(record)];
    assert.deepEqual(
      [...answers, ...over].map((answer) => [answer.status, Number(answer.get('x-ratelimit-remaining'))]),
      [
        ...[[400, 9] as const, [405, 8] as const],
        ...Array.from({ length: 8 }, (_, n) => [200, 7 - n]),
        ...[[429, 0] as const, [429, 0] as const],
      ],
    );
    assert.ok([...answers, ...over].every((answer) => answer.get('x-ratelimit-limit') === '10'));
    for (const answer of over) {
      assert.notEqual(messageOf(answer, 429), '');
      assert.equal(answer.get('retry-after'), answer.get('x-ratelimit-reset'));
      const seconds = Number(answer.get('retry-after'));
      assert.ok(seconds >= 1 && seconds <= 60, `${seconds}`);
    }
    const another = await mailgun.credential();
    assertAnswer(await mailgun.ask('get', '', another), 200);
    assert.deepEqual(await addressesOf(service, mailgun.list), []);
  });

  it('holds up who tries keys, with a time after which to try again', async () => {
    let last = await mailgun.ask('get', '', 'wrong');
    for (let tries = 1; tries < 100 && last.status === 401; tries++)
      last = await mailgun.ask('get', '', 'wrong');
    assert.notEqual(messageOf(last, 429), '');
    assert.equal(last.get('retry-after'), '60');
  });
});

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import type { Test } from 'supertest';
import { importJobsOfList } from '../../src/core/import-jobs.js';
import { findOptOuts } from '../../src/core/suppressed.js';
import { addressesOf, rowsOf } from '../support/records.js';
import { startTestService, type TestService } from '../support/service.js';
import { assertAnswer, mailgunAccount, messageOf, type MailgunAccount } from './mailgun-account.js';

describe('A Mailgun program that means less than it says', () => {
  let service: TestService;
  let mailgun: MailgunAccount;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    mailgun = await mailgunAccount(service);
  });

  describe('in a removal', () => {
    const empty: [what: string, query: string, body?: (test: Test) => Test][] = [
      ['?tag=', '?tag='],
      ['?tag', '?tag'],
      ['?tags=', '?tags='],
      ['a tag of spaces', '?tag=%20'],
      ['an empty tag beside another', '?tag=news&tag='],
      ['an empty field of a form', '', (test) => test.type('form').send('tag=')],
      ['an empty field of a multipart form', '', (test) => test.field('tag', '')],
      ['an empty text of JSON', '', (test) => test.type('json').send('{"tag":""}')],
      ['an empty list of JSON', '', (test) => test.type('json').send('{"tags":[]}')],
    ];
    for (const [what, query, body = (test: Test) => test] of empty) {
      it(`removes nothing by ${what}, of one address or of all`, async () => {
        await mailgun.ask('post').send({ address: 'ann@example.com', tags: ['*', 'news'] });
        const one = await body(mailgun.ask('delete', `/ann@example.com${query}`));
        assert.equal(messageOf(one, 400), 'Invalid format for parameter tag: ');
        assert.match(messageOf(await body(mailgun.ask('delete', query)), 400), /^Invalid parameter: tags? /);
        assert.deepEqual(
          (await rowsOf(service, mailgun.list)).map(({ removed_at }) => removed_at),
          [null, null],
        );
      });
    }
  });

  describe('in a time', () => {
    const none = [
      ...['Mon, 01 Jan 0001 00:00:00 UTC', '1 Jan 0001 00:00:00 +0000', '0001-01-01T00:00:00Z', '0001-01-01'],
      ...['0001-01-01 00:00:00 +0000 UTC', 'Mon, 01 Jan 0001 08:05:43 +0805', ' '],
    ];
    for (const created_at of none) {
      it(`means now by ${JSON.stringify(created_at)}`, async () => {
        assertAnswer(await mailgun.ask('post').send({ address: 'ann@example.com', created_at }), 200);
        const [row] = await findOptOuts(service.deps.db, mailgun.list.id, 'ann@example.com');
        assert.equal(row?.created_at, row?.recorded_at);
      });
    }

    const unreadable = [
      ...['foo 1970', 'foo 0001', '0001', '0001-01-01 foo', 'Mon, 99 Jan 0001 00:00:00 UTC', '000112345'],
      ...[
        'Mon, 13 Oct 1969 00:00:00 UTC',
        'Thu, 01 Jan 1970 00:00:00 UTC',
        '0999-01-01',
        '1 Jan 0000 00:00:00',
      ],
    ];
    for (const created_at of unreadable) {
      it(`is refused with ${JSON.stringify(created_at)}`, async () => {
        const answer = await mailgun.ask('post').send({ address: 'ann@example.com', created_at });
        assert.equal(messageOf(answer, 400), `Invalid format for parameter created_at: ${created_at}`);
        assert.deepEqual(await addressesOf(service, mailgun.list), []);
      });
    }
  });

  describe('in a file', () => {
    const upload = (file: string | Buffer) =>
      mailgun.ask('post', '/import').attach('file', Buffer.from(file), 'list.csv');
    const long = Array.from({ length: 20_000 }, (_, n) => `p${n}@example.com,news\n`).join('');

    const refused: [what: string, file: string | Buffer, message: RegExp][] = [
      ['nothing in it', '', /^Invalid csv: The file is empty\.$/],
      ['blank lines alone', '\n \r\n\n', /^Invalid csv: The file is empty\.$/],
      ['a byte order mark alone', '\uFEFF', /^Invalid csv: The file is empty\.$/],
      [
        'no column of addresses',
        'name,tags\nann,news\n',
        /^Invalid csv: The first line names no column "address"/,
      ],
      ['no heading', 'ann@example.com,news\n', /^Invalid csv: The first line holds an address/],
      ['no heading, and a megabyte', long.repeat(2), /^Invalid csv: The first line holds an address/],
      ['another heading, gzipped', gzipSync(`email,tags\n${long}`), /^Invalid csv: .*"address"/],
      ['another heading, in UTF-16', Buffer.from('\uFEFFemail\nann@x.org\n', 'utf16le'), /^Invalid csv: /],
      ['a heading without end', 'x'.repeat(2_000_000), /^Invalid csv: /],
      ['a ZIP archive', 'PK\u0003\u0004 and so on', /^Invalid csv: This is a ZIP archive/],
      ['two columns of addresses', 'address,Address\na@x.org,b@x.org\n', /^Invalid csv: .*several columns/],
    ];
    for (const [what, file, message] of refused) {
      it(`is told so before it goes: ${what}`, async () => {
        const told = messageOf(await upload(file), 400);
        assert.match(told, message);
        assert.doesNotMatch(told, /--/);
        assert.deepEqual(await importJobsOfList(service.deps.db, mailgun.list), []);
      });
    }

    const taken: [what: string, file: string | Buffer][] = [
      ['a heading alone', 'address'],
      ['a byte order mark', `\uFEFFaddress;tags\r\n${long}`],
      ['blank lines first', `\r\n\r\n"Address"\t tags\r\n`],
      ['gzip', gzipSync(`tags, ADDRESS\n${long}`)],
      ['UTF-16', Buffer.from(`\uFEFFaddress\n${long}`, 'utf16le')],
      ['blank lines for longer than anybody looks', `${'\n'.repeat(200_000)}address\n`],
    ];
    for (const [what, file] of taken) {
      it(`is taken whole with ${what}`, async () => {
        assertAnswer(await upload(file), 202);
        const [job] = await importJobsOfList(service.deps.db, mailgun.list);
        assert.equal(job?.octets, Buffer.byteLength(file));
      });
    }
  });
});

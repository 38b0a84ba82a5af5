import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { isSuppressed } from '../../src/core/suppressed.js';
import { optOutOf } from '../support/core.js';
import { makeClient, send, type Client } from '../support/customers-mail-cloud.js';
import { exchange } from '../support/raw-http.js';
import { startTestService, type TestService } from '../support/service.js';

const permission = [
  'You do not have the permission to access the specified data.',
  '指定されたデータにアクセスする権限がありません。',
] as const;
const unknownName = [
  'Specified server configuration nobody & <co> {1} does not exist.',
  '指定されたサーバ構成 nobody & <co> {1} は存在しません。',
] as const;
const wrongFormat = [
  'Specified value has invalid (Invalid JSON format).',
  '値の指定方法(JSONフォーマット)が不正です。',
] as const;
const tooMany = [
  'You have exceeded the maximum numbers of address.',
  '指定可能なメールアドレス数を超えました。',
] as const;
const isOrder = [
  'For the start_date please specify a date before the end_date.',
  '開始日には終了日以前の日付を指定してください。',
] as const;
const nothingGiven = [
  'Specified value has invalid (Invalid JSON format).',
  'メールアドレスの指定がありません。',
] as const;
const unknownAlone = [
  'It does not exist the data specified in the email.',
  'emailで指定されたデータは存在しません。',
] as const;
const emptyAt = (position: number) =>
  [`No email address is specified.(${position})`, `メールアドレスの指定がありません。(${position})`] as const;
const requiredAt = (position: number) =>
  [`email is required.(${position})`, `email は必須項目です。(${position})`] as const;
const againAt = (position: number) =>
  [`Duplicate email address.(${position})`, `メールアドレスが重複しています。(${position})`] as const;
const unknownAt = (position: number) =>
  [
    `It does not exist the data specified in the email.(${position})`,
    `emailで指定されたデータは存在しません。(${position})`,
  ] as const;
const required = (name: string) => [`${name} is required.`, `${name} は必須項目です。`] as const;
const invalid = (name: string, what: string) =>
  [`${name} is invalid: ${what}`, `${name} の値が不正です: ${what}`] as const;

type Wrong = [code: string, field: string, messages: readonly [en: string, ja: string]];
const nobody = 'nobody & <co> {1}';
const ann = 'ann@example.com';

const cases: [what: string, action: string, fields: Record<string, unknown>, ...wrong: Wrong[]][] = [
  [
    'no server composition',
    'download',
    { server_composition: undefined },
    ['10-001', 'server_composition', required('server_composition')],
  ],
  [
    'an unknown server composition',
    'download',
    { server_composition: nobody },
    ['10-002', 'server_composition', unknownName],
  ],
  [
    'days that run backwards',
    'download',
    { start_date: '2016-03-11', end_date: '2016-03-10' },
    ['10-003', 'start_date', isOrder],
  ],
  [
    'a start that is no day',
    'download',
    { start_date: '2016-02-30' },
    ['00-400', 'start_date', invalid('start_date', 'yyyy-mm-dd')],
  ],
  [
    'an end that is no day',
    'download',
    { end_date: '20160301' },
    ['00-400', 'end_date', invalid('end_date', 'yyyy-mm-dd')],
  ],
  [
    'an end that is a time',
    'download',
    { end_date: '2016-03-01 00:00:00' },
    ['00-400', 'end_date', invalid('end_date', 'yyyy-mm-dd')],
  ],
  [
    'all of these at once',
    'download',
    {
      server_composition: nobody,
      start_date: '2016-03-11',
      end_date: '2016-03-10',
      filter_name: 7,
      email: [ann],
    },
    ['10-002', 'server_composition', unknownName],
    ['00-400', 'email', invalid('email', 'string')],
    ['10-003', 'start_date', isOrder],
    ['00-400', 'filter_name', invalid('filter_name', 'string')],
  ],
  [
    'a number for a server composition',
    'download',
    { server_composition: 5 },
    ['00-400', 'server_composition', invalid('server_composition', 'string')],
  ],
  [
    'an object for a filter',
    'cancel',
    { email: ann, filter_name: { a: 1 } },
    ['00-400', 'filter_name', invalid('filter_name', 'string')],
  ],
  [
    'an unknown server composition to cancel from',
    'cancel',
    { server_composition: nobody, email: ann },
    ['10-002', 'server_composition', unknownName],
  ],
  [
    'an address that is not on the list',
    'cancel',
    { email: 'bob@example.com' },
    ['12-001', 'email', unknownAlone],
  ],
  [
    'an object with one',
    'cancel',
    { email: { email: 'bob@example.com' } },
    ['12-001', 'email', unknownAlone],
  ],
  ['what is no address', 'cancel', { email: 'x' }, ['12-001', 'email', unknownAlone]],
  ['a part of one that is', 'cancel', { email: 'ann@example' }, ['12-001', 'email', unknownAlone]],
  [
    'a filter that does not match',
    'cancel',
    { email: ann, filter_name: 'Sal' },
    ['12-001', 'email', unknownAlone],
  ],
  [
    'a list of one that is not on it',
    'cancel',
    { email: ['bob@example.com'] },
    ['15-007', 'email', unknownAt(1)],
  ],
  ['JSON that breaks off', 'cancel', { email: '["ann@example.com"' }, ['15-001', 'email', wrongFormat]],
  ['JSON that is none', 'cancel', { email: '{email: 1}' }, ['15-001', 'email', wrongFormat]],
  ['a number', 'cancel', { email: 7 }, ['15-001', 'email', wrongFormat]],
  ['yes', 'cancel', { email: true }, ['15-001', 'email', wrongFormat]],
  ['a list in a list', 'cancel', { email: [[ann]] }, ['15-001', 'email', wrongFormat]],
  ['numbers in a list', 'cancel', { email: [1, 2, ann] }, ['15-001', 'email', wrongFormat]],
  ['an object with a list', 'cancel', { email: { email: [ann] } }, ['15-001', 'email', wrongFormat]],
  ['no email', 'cancel', {}, ['15-002', 'email', nothingGiven]],
  ['null', 'cancel', { email: null }, ['15-002', 'email', nothingGiven]],
  ['an empty text', 'cancel', { email: ' ' }, ['15-002', 'email', nothingGiven]],
  ['an empty list', 'cancel', { email: [] }, ['15-002', 'email', nothingGiven]],
  ['an empty list as a text', 'cancel', { email: '[]' }, ['15-002', 'email', nothingGiven]],
  [
    'empty elements',
    'cancel',
    { email: [ann, '', { email: ' ' }, null] },
    ['15-003', 'email', emptyAt(2)],
    ['15-003', 'email', emptyAt(3)],
    ['15-003', 'email', emptyAt(4)],
  ],
  [
    'objects without an address',
    'cancel',
    { email: [{ email: ann }, { mail: ann }, {}] },
    ['15-004', 'email', requiredAt(2)],
    ['15-004', 'email', requiredAt(3)],
  ],
  ['an object without an address', 'cancel', { email: {} }, ['15-004', 'email', requiredAt(1)]],
  [
    '1,001 addresses',
    'cancel',
    { email: Array.from({ length: 1001 }, (_, i) => `${i}@example.com`) },
    ['15-005', 'email', tooMany],
  ],
  [
    'the same address in other letters',
    'cancel',
    { email: [ann, 'ANN@Example.com', { address: ann }] },
    ['15-006', 'email', againAt(2)],
    ['15-006', 'email', againAt(3)],
  ],
  [
    'what is no address, twice',
    'cancel',
    { email: ['x', 'X'] },
    ['15-006', 'email', againAt(2)],
    ['15-007', 'email', unknownAt(1)],
  ],
  [
    'some that are not on it',
    'cancel',
    { email: [{ email: 'bob@example.com' }, ann, 'cat@example.com'] },
    ['15-007', 'email', unknownAt(1)],
    ['15-007', 'email', unknownAt(3)],
  ],
  [
    'all sorts of things at once',
    'cancel',
    { email: [ann, '', {}, ann, 'bob@example.com'] },
    ['15-003', 'email', emptyAt(2)],
    ['15-004', 'email', requiredAt(3)],
    ['15-006', 'email', againAt(4)],
    ['15-007', 'email', unknownAt(5)],
  ],
  [
    'the same on a list that there is not',
    'cancel',
    { server_composition: nobody, email: ['', 'bob@example.com'] },
    ['10-002', 'server_composition', unknownName],
    ['15-003', 'email', emptyAt(1)],
  ],
];

describe("Customers Mail Cloud's errors", () => {
  let service: TestService;
  let client: Client;
  before(async () => {
    service = await startTestService();
    client = await makeClient(service);
    await service.deps.recorder.record([optOutOf(client.list.id, ann, { tag: 'Sale' })]);
  });
  after(() => service.close());
  // Whatever was wrong: nothing has been done.
  afterEach(async () => {
    assert.equal(await isSuppressed(service.deps.db, client.list.id, ann, { tag: 'Sale' }), true);
    assert.doesNotMatch(service.logged.join(''), /an unexpected error/);
  });

  for (const [what, action, fields, ...wrong] of cases) {
    it(`${action}: ${what}: ${wrong.map(([code]) => code).join(', ')}`, async () => {
      const inLanguage = (index: 0 | 1) =>
        wrong.map(([code, field, messages]) => [code, field, messages[index]]);
      for (const [language, index] of [
        ['en', 0],
        ['ja', 1],
      ] as const) {
        const answer = await client.call(`${action}.json`, fields, { language });
        assert.equal(answer.status, 400);
        assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
        assert.deepEqual(answer.errors, inLanguage(index));
        const inXml = await client.call(`${action}.xml`, fields, { language });
        assert.equal(inXml.status, 400);
        assert.equal(inXml.headers['content-type'], 'application/xml; charset=utf-8');
        const escaped = inLanguage(index).map((texts) =>
          texts.map((text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')),
        );
        assert.deepEqual(inXml.errors, escaped);
      }
    });
  }

  it('are these octets, and nothing else', async () => {
    const fields = { server_composition: '山田 "&" <co>\u0001' };
    assert.equal(
      (await client.call('download.json', fields)).text,
      '{"errors":[{"code":"10-002","field":"server_composition","message":"Specified server configuration 山田 \\"&\\" <co>\\u0001 does not exist."}]}',
    );
    assert.equal(
      (await client.call('download.xml', fields)).text,
      '<errors>\n<error>\n<code>10-002</code>\n<field>server_composition</field>\n<message>Specified server configuration 山田 "&amp;" &lt;co&gt;\ufffd does not exist.</message>\n</error>\n</errors>',
    );
  });

  it('are in Japanese for those who ask for it, and in English otherwise', async () => {
    const said = async (language?: string) => {
      const { errors, headers } = await client.call(
        'cancel.json',
        {},
        language === undefined ? {} : { language },
      );
      assert.equal(headers['content-language'], errors[0]?.[2] === nothingGiven[1] ? 'ja' : 'en');
      return errors[0]?.[2];
    };
    for (const language of ['ja', 'ja-JP', 'ja-JP,ja;q=0.9,en;q=0.8', 'fr, ja;q=0.5']) {
      assert.equal(await said(language), nothingGiven[1], language);
    }
    for (const language of [undefined, 'en', 'en-US', 'fr', '*', 'en, ja;q=0.9', '', ';;;', 'ja;q=0']) {
      assert.equal(await said(language), nothingGiven[0], language);
    }
  });

  it('of permission are 403, in both languages', async () => {
    const user = await makeClient(service, { list: client.list, role: 'API user' });
    for (const [language, index] of [
      ['en', 0],
      ['ja', 1],
    ] as const) {
      const { status, errors } = await user.call('cancel.xml', { email: ann }, { language });
      assert.deepEqual([status, errors], [403, [['12-002', '', permission[index]]]]);
    }
  });

  const json = { 'Content-Type': 'application/json' };
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const bodies: [
    what: string,
    body: string | Buffer,
    headers: Record<string, string>,
    status: number,
    code: string,
  ][] = [
    ['JSON that breaks off', '{"api_user":"acme"', json, 400, '15-001'],
    ['no body', '', json, 400, '15-001'],
    ['a list', '["acme"]', json, 400, '15-001'],
    ['a text', '"acme"', json, 400, '15-001'],
    ['null', 'null', json, 400, '15-001'],
    ['a number', '1e999', json, 400, '15-001'],
    ['JSON as deep as it is long', '['.repeat(100_000), json, 400, '15-001'],
    ['what is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), json, 400, '00-400'],
    ['UTF-16', Buffer.from('{"api_user":"acme"}', 'utf16le'), json, 400, '15-001'],
    ['another charset', '{}', { 'Content-Type': 'application/json; charset=Shift_JIS' }, 415, '00-415'],
    ['a form of another charset', 'filter_name=%8E%52%93%63', form, 400, '00-400'],
    ['octets of another charset in a form', Buffer.from([0x61, 0x3d, 0x8e, 0x52]), form, 400, '00-400'],
    ['a Content-Encoding', gzipSync('{}'), { ...json, 'Content-Encoding': 'gzip' }, 415, '00-415'],
    ['another type', '{}', { 'Content-Type': 'text/plain' }, 415, '00-415'],
    ['multipart', '{}', { 'Content-Type': 'multipart/form-data; boundary=x' }, 415, '00-415'],
    ['more than a megabyte', ' '.repeat(1024 * 1024 + 1), json, 413, '00-413'],
    ['an empty form', '', form, 401, '02-001'],
    ['nothing at all', '', {}, 401, '02-001'],
    ['what only prototypes have', '{"__proto__":{"api_user":"acme","api_key":"x"}}', json, 401, '02-001'],
  ];
  for (const [what, body, headers, status, code] of bodies) {
    it(`come of ${what} as a body: ${status}, ${code}`, async () => {
      for (const action of ['download.json', 'cancel.json', 'download.xml', 'cancel.xml']) {
        const answer = await send(service, action, body, { headers });
        assert.equal(answer.status, status);
        assert.deepEqual([answer.errors.length, answer.errors[0]?.[0]], [1, code], answer.text);
        assert.ok((answer.errors[0]?.[2] ?? '').length > 5);
      }
    });
  }

  it('come of every method but POST', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
      const { status, headers, errors } = await client.call('cancel.json', { email: ann }, { method });
      assert.deepEqual([status, headers.allow, errors[0]?.[0]], [405, 'POST', '00-405']);
    }
    const head = await client.call('cancel.json', {}, { method: 'HEAD' });
    assert.deepEqual([head.status, head.text], [405, '']);
  });

  it('come of every path that is no call', async () => {
    const paths = ['download.csv', 'download', 'cancel.json/x', 'add.xml', '%', ''];
    for (const path of paths) {
      for (const method of ['GET', 'POST']) {
        const { status, headers, errors } = await client.call(path, { email: ann }, { method });
        assert.deepEqual([status, errors[0]?.[0]], [404, '00-404'], path);
        assert.match(String(headers['content-type']), path.endsWith('xml') ? /xml/ : /json/);
      }
    }
    const { errors } = await client.call('../emails/send.json', {}, { language: 'ja' });
    assert.deepEqual(errors, [['00-404', '', '存在しない API です。']]);
    assert.equal((await client.call('add.json', {}, { method: 'HEAD' })).text, '');
  });

  it('are nobody’s to hear where the body broke off, and nothing is done', async () => {
    const body = '{"api_user":"acme","email":"ann@';
    const { status } = await exchange(
      service.port,
      `POST /transaction/v2/unsubscribes/cancel.json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n${body}`,
      { end: true },
    );
    assert.ok(status === 400 || status === 0, String(status));
  });

  it('do not end the connection of a body that was read', async () => {
    const request = (path: string, body: string) =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const path = '/transaction/v2/unsubscribes/cancel.json';
    const { text } = await exchange(
      service.port,
      request(path, '{') + request(path, '{}').replace('Host: x', 'Host: x\r\nConnection: close'),
    );
    assert.deepEqual(
      [...text.matchAll(/"code":"(\d\d-\d\d\d)"/g)].map(([, code]) => code),
      ['15-001', '02-001'],
    );
  });
});

import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { getAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { optOutOf, plant, rowKinds, rowsOfList } from '../support/core.js';
import { makeClient, type Client } from '../support/customers-mail-cloud.js';
import { download } from '../support/downloads.js';
import { engine } from '../support/engine.js';
import { holdWrites } from '../support/faults.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

describe("Customers Mail Cloud's cancel", function () {
  this.timeout(60_000);
  let service: TestService;
  let client: Client;
  before(async () => {
    service = await startTestService({ DATABASE_TIMEOUT_MS: '3000' });
  });
  after(() => service.close());
  beforeEach(async () => {
    client = await makeClient(service);
  });

  const record = (emails: readonly string[], tag = '*', listId = client.list.id) =>
    service.deps.recorder.record(emails.map((email) => optOutOf(listId, email, { tag })));
  /** Addresses that the list itself still suppresses. */
  const standing = async () =>
    (await rowsOfList(service.deps.db, client.list.id))
      .filter((row) => row.removed_at === null)
      .map((row) => String(row.address))
      .sort();
  const [ann, bob, cat] = ['ann@example.com', 'bob@example.com', 'cat@example.com'];

  it('answers as documented, octet by octet', async () => {
    await record([ann, bob]);
    const json = await client.call('cancel.json', { email: ann });
    assert.deepEqual([json.status, json.text], [200, '{"message":"success"}']);
    assert.equal(json.headers['content-type'], 'application/json; charset=utf-8');
    const xml = await client.call('cancel.xml', { email: bob });
    assert.deepEqual([xml.status, xml.text], [200, '<success>\n<message>success</message>\n</success>']);
    assert.equal(xml.headers['content-type'], 'application/xml; charset=utf-8');
  });

  const shapes: [what: string, email: unknown][] = [
    ['an address', 'Ann@Example.COM'],
    ['an address with white space', ' ann@example.com\n'],
    ['an address as JSON', '"ann@example.com"'],
    ['an object', { email: ann }],
    ['an object with an address', { address: ann, name: 'Ann' }],
    ['an object with both', { email: ann, address: 'x' }],
    ['an object as JSON', '{"email":"ann@example.com"}'],
    ['a list', [ann]],
    ['a list as JSON', ' ["ANN@example.com"] '],
    ['a list of objects', [{ email: ann }, { address: bob }]],
    ['a list of objects as JSON', '[{"email":"ann@example.com"},{"address":"bob@example.com"}]'],
    ['a list of both', [ann, { email: bob }]],
  ];
  for (const [what, email] of shapes) {
    it(`takes ${what} as its email`, async () => {
      await record([ann, bob, cat]);
      assert.equal((await client.call('cancel.json', { email })).text, '{"message":"success"}');
      const isTwo = JSON.stringify(email).includes('bob');
      assert.deepEqual(await standing(), isTwo ? [cat] : [bob, cat]);
    });
  }

  it('takes a form, with a list as JSON, or with one address after the other', async () => {
    await record([ann, bob, cat]);
    const email = '["ann@example.com"]';
    assert.equal((await client.call('cancel.xml', { email }, { form: true })).status, 200);
    assert.deepEqual(await standing(), [bob, cat]);
    assert.equal((await client.call('cancel.json', { email: bob }, { form: true })).status, 200);
    assert.deepEqual(await standing(), [cat]);
  });

  it('takes effect at once, at every door', async () => {
    const { key } = await makeMailer(service, client.list);
    await record([ann, bob]);
    await client.call('cancel.json', { email: [ann] });
    assert.equal(await isSuppressed(service.deps.db, client.list.id, ann), false);
    await untilNumbered(service, client.list);
    const file = await download(service, { list: client.list, key }, { format: 'plain' });
    assert.equal(file.text, `${bob}\n`);
  });

  it('takes away all tags of an address, or the one that is named', async () => {
    for (const tag of ['*', 'sale', 'Sale']) await record([ann], tag);
    const tags = async () =>
      (await rowsOfList(service.deps.db, client.list.id))
        .filter((row) => row.removed_at === null)
        .map((row) => row.tag.toString());
    assert.equal((await client.call('cancel.json', { email: ann, filter_name: 'sale' })).status, 200);
    assert.deepEqual(await tags(), ['*', 'Sale']);
    assert.equal((await client.call('cancel.json', { email: ann, filter_name: 'sale' })).status, 400);
    assert.equal((await client.call('cancel.json', { email: ann })).status, 200);
    assert.deepEqual(await tags(), []);
  });

  for (const [what, filter_name, how] of [
    ['an empty filter_name', '', {}],
    ['an empty filter_name in a form', '', { form: true }],
    ['a filter_name that is null', null, {}],
    ['the filter_name *', '*', {}],
  ] as const) {
    it(`takes away the opt-out from everything alone by ${what}, as the file has it`, async () => {
      for (const tag of ['*', 'sale']) await record([ann], tag);
      await record([bob], 'sale');
      assert.equal((await client.call('cancel.json', { email: ann, filter_name }, how)).status, 200);
      const left = await client.lines({ email: 'ann' });
      assert.deepEqual(
        left.map((line) => line.split(',').at(-1)),
        ['"sale"'],
      );
      const unknown = await client.call('cancel.json', { email: bob, filter_name }, how);
      assert.deepEqual([unknown.status, unknown.errors[0]?.[0]], [400, '12-001']);
    });
  }

  it('finds those of whom only a hash is known', async () => {
    await plant(service.deps.db, client.list.id, [rowKinds.md5Only(ann), rowKinds.sha256Only(bob)]);
    assert.equal((await client.call('cancel.json', { email: [ann, bob] })).status, 200);
    for (const email of [ann, bob]) {
      assert.equal(await isSuppressed(service.deps.db, client.list.id, email), false);
    }
  });

  it('does not know who has expired, was removed, or is on the global list alone', async () => {
    const { db } = service.deps;
    const global = await makeList(service);
    const account = await getAccount(db, service.accountId);
    await setGlobalList(db, account, global, { actor: 'test' });
    try {
      await record([ann], '*', global.id);
      await service.deps.recorder.record([optOutOf(client.list.id, bob, { expiresAt: 2000 })]);
      await record([cat]);
      await client.call('cancel.json', { email: cat });
      for (const email of [ann, bob, cat]) {
        const { status, errors } = await client.call('cancel.json', { email });
        assert.deepEqual([status, errors[0]?.[0]], [400, '12-001'], email);
      }
      assert.equal(await isSuppressed(db, client.list.id, ann), true);
    } finally {
      await setGlobalList(db, account, null, { actor: 'test' });
    }
  });

  it('is noted in the history by the hash of each address', async () => {
    await record([ann, bob]);
    await client.call('cancel.json', { email: [ann, bob] });
    const noted = await service.deps
      .db<{ subject: Buffer; actor: string; details: string } & Record<string, unknown>>('history')
      .where({ list_id: client.list.id, action: 'opt-out.removed' });
    assert.deepEqual(
      noted.map(({ subject }) => subject.toString('hex')).sort(),
      [ann, bob].map((email) => md5Of(email).toString('hex')).sort(),
    );
    assert.ok(noted.every(({ actor }) => /^credential \d+$/.test(actor)));
    assert.doesNotMatch(JSON.stringify(noted), /example\.com/);
  });

  describe('of 1,000 addresses', () => {
    const thousand = Array.from({ length: 1000 }, (_, i) => `person${i}@example.com`);

    it('removes them all', async () => {
      await record([...thousand, ann]);
      assert.equal((await client.call('cancel.json', { email: thousand })).status, 200);
      assert.deepEqual(await standing(), [ann]);
      const { db } = service.deps;
      const removals = await db('bulk_removals').where({ list_id: client.list.id }).pluck('opt_outs');
      assert.deepEqual(removals.map(Number), [1000], 'they can be taken back as one');
    });

    it('removes none where one is unknown', async () => {
      await record(thousand.filter((_, i) => i !== 777));
      const { status, errors } = await client.call('cancel.json', { email: thousand });
      assert.deepEqual(
        [status, errors.map(([code, , message]) => [code, message])],
        [400, [['15-007', 'It does not exist the data specified in the email.(778)']]],
      );
      assert.equal((await standing()).length, 999);
      const noted = await service.deps
        .db('history')
        .where({ list_id: client.list.id, action: 'opt-out.removed' });
      assert.equal(noted.length, 0);
    });

    it('removes none where the database fails in the middle', async () => {
      const { db } = service.deps;
      await record(thousand);
      // The history is written last: by then, all of them have been removed.
      const fail =
        engine === 'sqlite'
          ? `BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`
          : `SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the disk is full'`;
      const row = engine === 'sqlite' ? '' : 'FOR EACH ROW ';
      await db.raw(`CREATE TRIGGER full_disk BEFORE INSERT ON history ${row}${fail}`);
      try {
        const { status, errors } = await client.call('cancel.json', { email: thousand });
        assert.deepEqual([status, errors[0]?.[0]], [500, '00-500']);
      } finally {
        await db.raw('DROP TRIGGER full_disk');
      }
      assert.equal((await standing()).length, 1000);
      assert.equal((await client.call('cancel.json', { email: thousand })).status, 200);
      assert.equal((await standing()).length, 0);
    });

    it('is a 503 where the database hangs, and can be sent again', async () => {
      await record(thousand);
      const mend = await holdWrites(service);
      const { status, errors, headers } = await client.call('cancel.json', { email: thousand });
      await mend();
      assert.deepEqual([status, errors[0]?.[0], headers['retry-after']], [503, '00-503', '5']);
      assert.equal((await standing()).length, 1000);
      assert.equal((await client.call('cancel.json', { email: thousand })).status, 200);
      assert.equal((await standing()).length, 0);
    });

    it('is carried out by one of several at the same moment, and by the others not in part', async () => {
      await record([...thousand, ann, bob, cat]);
      // Each wants what all want, and somebody of its own.
      const own = [ann, bob, cat];
      const answers = await Promise.all(
        own.map((email) => client.call('cancel.json', { email: [...thousand.slice(1), email] })),
      );
      const won = answers.flatMap(({ status }, i) => (status === 200 ? [i] : []));
      assert.equal(won.length, 1);
      const left = own.filter((_, i) => i !== won[0]);
      assert.deepEqual(await standing(), [...left, 'person0@example.com'].sort());
      for (const { status, errors } of answers.filter((one) => one.status !== 200)) {
        assert.deepEqual([status, errors.length, errors[0]?.[0]], [400, 999, '15-007']);
      }
    });
  });
});

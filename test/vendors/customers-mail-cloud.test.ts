import assert from 'node:assert/strict';
import { createCredential } from '../../src/core/credentials.js';
import { editAccount, type AccountEdits } from '../../src/core/account-settings.js';
import { getAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { makeClient, send, type Client } from '../support/customers-mail-cloud.js';
import { skipBecause } from '../support/engine.js';
import { makeList, startTestService, untilNumbered, type TestService } from '../support/service.js';
import { sevenZip, unzip } from '../support/seven-zip.js';

/** In Tokyo, as the documentation's sample has it. */
const tokyo = (text: string) => Date.parse(`${text.replace(' ', 'T')}+09:00`);

describe("Customers Mail Cloud's download", () => {
  let service: TestService;
  let client: Client;
  before(async function () {
    if (sevenZip === null) skipBecause(this, '7-Zip is not here: npm run test:setup');
    service = await startTestService();
  });
  // Where it was skipped, there is none.
  after(() => (service as TestService | undefined)?.close());
  beforeEach(async () => {
    client = await makeClient(service);
  });

  const record = (email: string, left: string, tag = '*', { list } = client) => {
    const at = tokyo(left);
    return service.deps.recorder.record([optOutOf(list.id, email, { createdAt: at, recordedAt: at, tag })]);
  };
  const edit = async (edits: AccountEdits) =>
    editAccount(
      service.deps.db,
      service.deps.secret,
      await getAccount(service.deps.db, service.accountId),
      edits,
      {
        actor: 'test',
      },
    );

  it('is the documented file, octet by octet, in a ZIP file of the documented name', async () => {
    await addTags(service.deps.db, client.list.id, ['distribution list A', 'distribution list B']);
    await record('from2@example.com', '2015-12-14 12:19:00', 'distribution list B');
    await record('from1@example.com', '2015-12-14 08:46:00', 'distribution list A');
    for (const action of ['download.json', 'download.xml']) {
      for (const form of [true, false]) {
        const before = Date.now();
        const answer = await client.call(action, {}, { form });
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['content-type'], 'application/octet-stream');
        assert.match(String(answer.headers['cache-control']), /no-store/);
        const [, name, day, time] =
          /^attachment; filename="(unsubscribes-(\d{8})_(\d{6}))\.zip"$/.exec(
            String(answer.headers['content-disposition']),
          ) ?? [];
        const named = Date.parse(
          `${day?.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time?.replace(/(..)(..)(..)/, '$1:$2:$3')}+09:00`,
        );
        assert.ok(named > before - 1000 && named <= Date.now(), 'the time in its name is that of Tokyo');
        const opened = unzip(answer.octets);
        assert.deepEqual([opened.code, opened.name, opened.isEncrypted], [0, `${name}.csv`, false]);
        assert.equal(
          opened.content.toString(),
          '"created","email","filtername"\n' +
            '"2015-12-14 08:46:00","from1@example.com","distribution list A"\n' +
            '"2015-12-14 12:19:00","from2@example.com","distribution list B"\n',
        );
      }
    }
  });

  it('has its first line alone where nobody has left', async () => {
    assert.deepEqual(await client.lines(), []);
  });

  it('has all that suppresses, oldest first, whenever we learnt it', async () => {
    const { db, recorder } = service.deps;
    const now = Date.now();
    await record('bob@example.com', '2016-01-01 00:00:00');
    await record('ann@example.com', '2014-01-01 00:00:00');
    await record('ann@example.com', '2015-01-01 00:00:00', 'sale');
    await record('gone@example.com', '2015-02-01 00:00:00');
    await db('opt_outs')
      .where({ address: Buffer.from('gone@example.com') })
      .update({ removed_at: now });
    await recorder.record([
      optOutOf(client.list.id, 'ran-out@example.com', { recordedAt: 1000, expiresAt: 2000 }),
    ]);
    await recorder.record([
      optOutOf(client.list.id, 'dan@example.com', { recordedAt: 1000, expiresAt: now + 3_600_000 }),
    ]);
    await plant(db, client.list.id, [
      rowKinds.md5Only('x@example.com'),
      rowKinds.sha256Only('y@example.com'),
    ]);
    await untilNumbered(service, client.list);
    assert.deepEqual(await client.lines(), [
      '"1970-01-01 09:00:01","dan@example.com",""',
      '"2014-01-01 00:00:00","ann@example.com",""',
      '"2015-01-01 00:00:00","ann@example.com","sale"',
      '"2016-01-01 00:00:00","bob@example.com",""',
    ]);
    const { headers } = await client.call('download.json');
    assert.equal(headers['signoff-entries-not-expressed'], '2');
  });

  it('is exact, whatever an address or a filter looks like', async () => {
    await record('"=1+1 ""x"""@example.com'.replaceAll('""', '\\"'), '2015-01-01 00:00:00');
    await record('=cmd|x@example.com', '2015-01-01 00:00:01', 'say "hello", 山田');
    await record('+ann@example.com', '2015-01-01 00:00:02', '=1+1');
    assert.deepEqual(await client.lines(), [
      '"2015-01-01 00:00:00","""=1+1 \\""x\\""""@example.com",""',
      '"2015-01-01 00:00:01","=cmd|x@example.com","say ""hello"", 山田"',
      '"2015-01-01 00:00:02","+ann@example.com","=1+1"',
    ]);
  });

  it('finds a part of an address, in any case, and in either form of its domain', async () => {
    await record('Ann@Example.com', '2015-01-01 00:00:00');
    await record('joanna@example.com', '2015-01-01 00:00:01');
    await record('bob@bücher.example', '2015-01-01 00:00:02');
    const found = async (email: string) => (await client.lines({ email })).map((line) => line.split('"')[3]);
    assert.deepEqual(await found('ANN'), ['ann@example.com', 'joanna@example.com']);
    assert.deepEqual(await found('ann@'), ['ann@example.com']);
    assert.deepEqual(await found('BÜCH'), ['bob@xn--bcher-kva.example']);
    assert.deepEqual(await found('xn--'), ['bob@xn--bcher-kva.example']);
    assert.deepEqual(await found('%'), []);
    assert.deepEqual(await found(' '), [
      'ann@example.com',
      'joanna@example.com',
      'bob@xn--bcher-kva.example',
    ]);
  });

  it('takes days with both of their ends, in the time zone of the account', async () => {
    await record('before@example.com', '2016-03-09 23:59:59');
    await record('first@example.com', '2016-03-10 00:00:00');
    await record('last@example.com', '2016-03-11 23:59:59');
    await record('after@example.com', '2016-03-12 00:00:00');
    await untilNumbered(service, client.list);
    const found = async (fields: Record<string, string>) =>
      (await client.lines(fields)).map((line) => line.split('"')[3]?.split('@')[0]);
    assert.deepEqual(await found({ start_date: '2016-03-10', end_date: '2016-03-11' }), ['first', 'last']);
    assert.deepEqual(await found({ start_date: '2016-03-10', end_date: '2016-03-10' }), ['first']);
    assert.deepEqual(await found({ start_date: '2016-03-10' }), ['first', 'last', 'after']);
    assert.deepEqual(await found({ end_date: '2016-03-10' }), ['before', 'first']);
    await edit({ timeZone: 'America/New_York' });
    try {
      // 2016-03-10 00:00 of Tokyo is the morning before there.
      assert.deepEqual(await found({ start_date: '2016-03-09', end_date: '2016-03-09' }), [
        'before',
        'first',
      ]);
      assert.equal((await client.lines())[0], '"2016-03-09 09:59:59","before@example.com",""');
    } finally {
      await edit({ timeZone: null });
    }
  });

  it('takes a filter to the letter', async () => {
    await record('ann@example.com', '2015-01-01 00:00:00', 'Sale');
    await record('bob@example.com', '2015-01-01 00:00:01', 'Sale 2');
    await record('cat@example.com', '2015-01-01 00:00:02');
    assert.deepEqual(await client.lines({ filter_name: 'Sale' }), [
      '"2015-01-01 00:00:00","ann@example.com","Sale"',
    ]);
    assert.deepEqual(await client.lines({ filter_name: 'sale' }), []);
    assert.deepEqual(await client.lines({ filter_name: 'x'.repeat(500) }), []);
  });

  it('has what the global list holds, and what both hold once, as the list itself has it', async () => {
    const global = await makeList(service);
    const { db } = service.deps;
    const account = await getAccount(db, service.accountId);
    await setGlobalList(db, account, global, { actor: 'test' });
    try {
      await record('both@example.com', '2015-01-02 00:00:00');
      await record('both@example.com', '2015-01-01 00:00:00', '*', { ...client, list: global });
      await record('both@example.com', '2015-01-04 00:00:00', 'sale', { ...client, list: global });
      await record('global@example.com', '2015-01-03 00:00:00', '*', { ...client, list: global });
      await untilNumbered(service, global);
      await untilNumbered(service, client.list);
      const all = [
        '"2015-01-02 00:00:00","both@example.com",""',
        '"2015-01-03 00:00:00","global@example.com",""',
        '"2015-01-04 00:00:00","both@example.com","sale"',
      ];
      assert.deepEqual(await client.lines(), all);
      assert.deepEqual(await client.lines({ start_date: '2015-01-01' }), all);
    } finally {
      await setGlobalList(db, account, null, { actor: 'test' });
    }
  });

  it('is noted in the history: by whom, and how many lines', async () => {
    await record('ann@example.com', '2015-01-01 00:00:00');
    await client.lines();
    await client.call('download.json', { start_date: 'x' });
    const noted: { actor: string; details: string }[] = await service.deps
      .db('history')
      .where({ list_id: client.list.id, action: 'list.downloaded' })
      .select('actor', 'details');
    assert.equal(noted.length, 1);
    assert.match(noted[0]?.actor ?? '', /^credential \d+$/);
    assert.deepEqual(JSON.parse(noted[0]?.details ?? ''), {
      ...{ surface: 'customers-mail-cloud', rows: 1, encrypted: false },
    });
  });

  it('is encrypted as soon as the account has a password, and by ZipCrypto only where that was chosen', async () => {
    await record('ann@example.com', '2015-01-01 00:00:00');
    const password = 'correct horse';
    try {
      await edit({ zipPassword: password });
      const { octets } = await client.call('download.json');
      const opened = unzip(octets, password);
      assert.deepEqual([opened.code, opened.method, opened.isEncrypted], [0, 'AES-256 Deflate', true]);
      assert.match(opened.content.toString(), /\n"2015-01-01 00:00:00","ann@example.com",""\n$/);
      assert.notEqual(unzip(octets, 'another one').code, 0);
      await edit({ zipCipher: 'zipcrypto' });
      const old = unzip((await client.call('download.json')).octets, password);
      assert.deepEqual([old.code, old.method], [0, 'ZipCrypto Deflate']);
    } finally {
      await edit({ zipPassword: null, zipCipher: 'aes-256' });
    }
    assert.equal(unzip((await client.call('download.json')).octets).isEncrypted, false);
  });

  it('goes out neither with a password that cannot be read nor without it', async () => {
    await record('ann@example.com', '2015-01-01 00:00:00');
    try {
      await service.deps
        .db('accounts')
        .where({ id: service.accountId })
        .update({ zip_password: Buffer.alloc(40, 7) });
      const { status, errors, text } = await client.call('download.json');
      assert.equal(status, 403);
      assert.deepEqual([errors.length, errors[0]?.[0]], [1, '00-403']);
      assert.match(text, /ZIP password of this account cannot be read/);
    } finally {
      await edit({ zipPassword: null });
    }
  });

  it('is for administrators, and for users who have the permission', async () => {
    const { list } = client;
    const permitted = await makeClient(service, { list, role: 'API user with download permission' });
    assert.equal((await permitted.call('download.json')).status, 200);
    const user = await makeClient(service, { list, role: 'API user' });
    for (const action of ['download.json', 'cancel.json']) {
      const { status, errors } = await user.call(action, { email: 'ann@example.com' });
      assert.equal(status, 403);
      assert.deepEqual(errors, [
        ['12-002', '', 'You do not have the permission to access the specified data.'],
      ]);
    }
    const elsewhere = await makeClient(service, { list: await makeList(service), lists: [list] });
    const { status, errors } = await elsewhere.call('download.json');
    assert.deepEqual([status, errors[0]?.[0]], [403, '12-002']);
    const network = await makeClient(service, { list, ipWhitelist: '203.0.113.7' });
    const refused = await network.call('download.json');
    assert.deepEqual([refused.status, refused.errors[0]?.[0]], [403, '12-002']);
    assert.match(refused.text, /127\.0\.0\.1/);
  });

  it('tells no list of another account', async () => {
    const { db } = service.deps;
    const [id] = await db('accounts').insert({ name: 'Other', created_at: 1 });
    const settings = { surface: 'customers-mail-cloud', name: 'x', login: 'acme', rights: ['read'] as const };
    const { key } = await createCredential(db, Number(id), settings, { actor: 'test' });
    for (const server_composition of [client.serverComposition, client.list.publicId]) {
      const { status, errors } = await client.call('download.json', { api_key: key, server_composition });
      assert.equal(status, 400);
      assert.deepEqual(errors, [
        [
          ...(['10-002', 'server_composition'] as const),
          `Specified server configuration ${server_composition} does not exist.`,
        ],
      ]);
    }
  });

  it('is served only so many times at once, and so many times a minute', async () => {
    const busy = await startTestService({ DOWNLOADS_AT_ONCE: '1', API_REQUESTS_PER_MINUTE: '10' });
    try {
      const ours = await makeClient(busy);
      const place = {} as never;
      busy.deps.state.downloads.add(place);
      const turnedAway = await ours.call('download.xml', {}, { language: 'ja' });
      assert.deepEqual([turnedAway.status, turnedAway.errors[0]?.[0]], [503, '00-503']);
      assert.equal(turnedAway.headers['retry-after'], '5');
      busy.deps.state.downloads.delete(place);
      assert.equal((await ours.call('download.json')).status, 200);
      assert.equal(busy.deps.state.downloads.size, 0, 'it frees its place');
      let last = await ours.call('download.json');
      for (let i = 0; i < 10 && last.status === 200; i++) last = await ours.call('download.json');
      assert.deepEqual([last.status, last.errors[0]?.[0]], [429, '00-429']);
      assert.match(String(last.headers['retry-after']), /^\d+$/);
      // Another key has its own minute.
      assert.equal((await (await makeClient(busy)).call('download.json')).status, 200);
    } finally {
      await busy.close();
    }
  });

  it('answers a wrong key, name, or none of them, as it answers a key that it never heard of', async () => {
    const wrong = [
      { api_key: 'x'.repeat(40) },
      { api_user: 'somebody' },
      ...[{ api_key: undefined }, { api_user: undefined }],
      ...[{ api_key: 5 }, { api_user: ['acme'] }, { api_key: { a: 1 } }],
    ];
    for (const fields of wrong) {
      const { status, errors } = await client.call('download.json', fields);
      assert.equal(status, 401);
      assert.deepEqual(errors, [['02-001', '', 'Authentication failed.']]);
    }
    // A key in the query opens nothing, and is in no log.
    const { status } = await send(service, 'download.json?api_user=acme&api_key=secret-in-the-query', '{}');
    assert.equal(status, 401);
    assert.doesNotMatch(service.logged.join(''), /secret-in-the-query/);
  });
});

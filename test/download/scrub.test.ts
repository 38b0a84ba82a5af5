import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import request from 'supertest';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { getAccount } from '../../src/core/accounts.js';
import { addTags } from '../../src/core/tags.js';
import { archiveList } from '../../src/core/lists.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { forwarded, mailersServer } from '../support/doors.js';
import { accessLogOf, download, listOf } from '../support/downloads.js';
import { itemsAbout, lastOfEach, listsByModel, randomEntry, randomFrom } from '../support/items.js';
import { problemIn } from '../support/records.js';
import { scrub, toldOf } from '../support/scrubs.js';
import {
  makeList,
  makeMailer,
  startTestService,
  until,
  untilNumbered,
  type TestService,
} from '../support/service.js';

const actor = 'test';
const hexOf = (hash: Buffer) => hash.toString('hex');

describe('A scrub', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('gives back the black list or the white list, in the file’s order, plain for plain and hash for hash', async () => {
    const held = await listOf(service, ['ann@example.com', 'bob@example.com']);
    const md5 = hexOf(md5Of('ann@example.com'));
    const sha256 = hexOf(sha256Of('bob@example.com')).toUpperCase();
    const file = `cat@example.com\n${md5}\nBob@Example.com\n${sha256}\n${hexOf(md5Of('dan@example.com'))}\nann@example.com\n`;
    const black = await scrub(service, held, file);
    assert.equal(black.status, 200, black.text);
    assert.equal(black.text, `${md5}\nBob@Example.com\n${sha256}\nann@example.com\n`);
    const white = await scrub(service, held, file, { return: 'white' });
    assert.equal(white.text, `cat@example.com\n${hexOf(md5Of('dan@example.com'))}\n`);
    for (const answer of [black, white]) {
      assert.deepEqual(toldOf(answer), { items: '6', suppressed: '4', refused: '0', lines: undefined });
      assert.equal(answer.get('Content-Length'), String(answer.text.length));
      assert.equal(answer.get('Content-Type'), 'text/plain; charset=utf-8');
      assert.equal(answer.get('Cache-Control'), 'no-store, no-transform');
    }
    assert.equal(white.get('Content-Disposition'), `attachment; filename="${held.list.publicId}-white.txt"`);
  });

  it('is what a look at every entry says, for every kind of item, list and tag', async function () {
    this.timeout(60_000);
    const random = randomFrom(11);
    const emails = Array.from(
      { length: 30 },
      (_, n) => `p${n}@${n % 3 === 0 ? 'xn--mller-kva.example' : 'example.com'}`,
    );
    const [list, global] = [await makeList(service), await makeList(service)];
    const { key } = await makeMailer(service, list);
    for (const one of [list, global]) await addTags(service.deps.db, one.id, ['offers', 'news'], { actor });
    const entries = lastOfEach(
      Array.from({ length: 60 }, () =>
        randomEntry(
          random,
          [list.id, global.id][random(2)] ?? 0,
          emails[random(emails.length)] ?? '',
          Date.now(),
        ),
      ),
    ).filter(({ row }) => row.expires_at === undefined);
    for (const { id } of [list, global]) {
      const rows = entries.filter(({ listId }) => listId === id).map(({ row }) => row);
      await plant(service.deps.db, id, rows);
    }
    const lines = Array.from({ length: 400 }, () => {
      const items = itemsAbout(emails[random(emails.length)] ?? '');
      return `${items[random(items.length)]}${['\n', '\r\n'][random(2)]}`;
    });
    const account = await getAccount(service.deps.db, service.accountId);
    await setGlobalList(service.deps.db, account, global, { actor });
    try {
      for (const tag of [undefined, 'offers']) {
        const isSuppressed = (line: string) => listsByModel(entries, line.trim(), tag).length > 0;
        const query = tag === undefined ? {} : { tag };
        const black = await scrub(service, { list, key }, lines.join(''), query);
        assert.equal(black.text, lines.filter(isSuppressed).join(''), `black, ${tag}`);
        const white = await scrub(service, { list, key }, lines.join(''), { ...query, return: 'white' });
        assert.equal(white.text, lines.filter((line) => !isSuppressed(line)).join(''), `white, ${tag}`);
        assert.ok(black.text !== '' && white.text !== '');
      }
    } finally {
      await setGlobalList(service.deps.db, account, null, { actor });
    }
  });

  it('finds every line of the list’s own download, in each format', async () => {
    const { db } = service.deps;
    const held = await listOf(service, ['ann@example.com', 'zoë@müller.example', '"a b"@example.com']);
    const more = [
      rowKinds.md5Only('eva@example.com'),
      rowKinds.sha256Only('fay@example.com'),
      rowKinds.erased('gil@example.com'),
    ];
    await plant(db, held.list.id, more);
    await untilNumbered(service, held.list);
    for (const format of ['md5', 'sha256', 'plain']) {
      const file = (await download(service, held, { format })).text;
      assert.ok(file.split('\n').length > 3, format);
      assert.equal((await scrub(service, held, file)).text, file, format);
      assert.equal((await scrub(service, held, file, { return: 'white' })).text, '', format);
    }
  });

  it('keeps lines as they came: white space, repeats, quotes, line ends of all kinds, and none at the end', async () => {
    const held = await listOf(service, ['ann@example.com', '"a b"@example.com']);
    const lines = [
      ...['ann@example.com\r\n', ' ann@example.com \n', '<ann@example.com>\r', 'mailto:ANN@example.com\n'],
      ...['"ann@example.com"\n', '"a b"@example.com\n', '0x' + hexOf(md5Of('ann@example.com')) + '\n'],
      ...['ann@example.com\n', 'ａｎｎ＠example。com\n', 'ann@example.com'],
    ];
    const answer = await scrub(service, held, lines.join(''));
    assert.equal(answer.text, lines.join(''));
    assert.equal((await scrub(service, held, lines.join(''), { return: 'white' })).text, '');
  });

  it('asks about full-width letters as they are, too', async () => {
    const held = await listOf(service, ['ａｎｎ@example.com']);
    assert.equal((await scrub(service, held, 'ａｎｎ@example.com\n')).text, 'ａｎｎ@example.com\n');
  });

  it('has in neither list what is no item, and says how much that was and where', async () => {
    const held = await listOf(service, ['ann@example.com']);
    const sha1 = 'a'.repeat(40);
    const file = `email\nann@example.com\n\n   \nnobody\n{{email}}\n${sha1}\nbob@example.com,Bob\ncat@example.com\n`;
    const told = { items: '2', suppressed: '1', refused: '5', lines: '1, 5, 6, 7, 8' };
    const black = await scrub(service, held, file);
    assert.deepEqual([black.text, toldOf(black)], ['ann@example.com\n', told]);
    const white = await scrub(service, held, file, { return: 'white' });
    assert.deepEqual([white.text, toldOf(white)], ['cat@example.com\n', told]);
    const many = `${'nobody\n'.repeat(50)}ann@example.com\n`;
    const first = Array.from({ length: 20 }, (_, i) => i + 1).join(', ');
    assert.deepEqual(toldOf(await scrub(service, held, many)), {
      ...{ items: '1', suppressed: '1', refused: '50', lines: first },
    });
  });

  it('takes a form’s file, gzip, UTF-16 and a byte order mark', async () => {
    const held = await listOf(service, ['zoë@example.com']);
    const file = 'zoë@example.com\r\nbob@example.com\r\n';
    const utf16 = Buffer.from(`\uFEFF${file}`, 'utf16le');
    const files: [Buffer, string][] = [
      [Buffer.from(`\uFEFF${file}`), 'text/csv; charset=utf-8'],
      [utf16, 'text/plain; charset=utf-16'],
      [gzipSync(file), 'application/gzip'],
      [gzipSync(utf16), 'application/octet-stream'],
    ];
    for (const [octets, type] of files) {
      const answer = await scrub(service, held, octets, {}, type);
      assert.equal(answer.text, 'zoë@example.com\r\n', type);
    }
    for (const octets of [Buffer.from(file), gzipSync(file)]) {
      const answer = await request(service.url)
        .post(`/l/${held.list.publicId}/scrub?return=white`)
        .set('Authorization', `Bearer ${held.key}`)
        .attach('whatever', octets, 'my list.txt');
      assert.equal(answer.text, 'bob@example.com\r\n');
    }
  });

  it('is asked of the same mailers as the download, plain addresses or not', async () => {
    const list = await makeList(service, { ipWhitelist: '203.0.113.0/24' });
    const { key } = await makeMailer(service, list, { plainAllowed: false });
    const post = (of: string | null, from = mailersServer, to = list) =>
      forwarded(request(service.url).post(`/l/${to.publicId}/scrub`), from)
        .query({ return: 'white', ...(of === null ? {} : { key: of }) })
        .type('text/plain')
        .send('ann@example.com\n');
    assert.equal((await post(key)).text, 'ann@example.com\n');
    const another = await makeMailer(service, await makeList(service));
    const refusals: [request.Test, string][] = [
      [post(null), 'key'],
      [post('x'), 'key'],
      [post(another.key), 'key'],
      [post(key, '198.51.100.7'), 'not-whitelisted'],
    ];
    for (const [asked, code] of refusals) {
      const answer = await asked;
      assert.deepEqual([answer.status, problemIn(answer).code], [403, code]);
    }
    assert.equal((await post(key, mailersServer, { ...list, publicId: 'x'.repeat(20) })).status, 404);
    const closed = await makeList(service, { state: 'closed' });
    const archived = await archiveList(service.deps.db, await makeList(service), true, { actor });
    for (const one of [closed, archived]) {
      const answer = await scrub(
        service,
        { list: one, key: (await makeMailer(service, one)).key },
        'a@b.example\n',
      );
      assert.deepEqual([answer.status, problemIn(answer).code], [403, 'closed']);
      assert.deepEqual(await accessLogOf(service, { list: one, key: '' }), []);
    }
  });

  it('names what it does not understand, and assumes nothing', async () => {
    const held = await listOf(service, ['ann@example.com']);
    const ask = (query: string) =>
      request(service.url)
        .post(`/l/${held.list.publicId}/scrub?key=${held.key}${query}`)
        .type('text/plain')
        .send('ann@example.com\n');
    const bad: [string, string, string][] = [
      ['', 'return', 'unknown'],
      ['&return=', 'return', 'unknown'],
      ['&return=both', 'return', 'unknown'],
      ['&return=black&return=white', 'return', 'several'],
      ['&return=black&format=md5', 'format', 'unknown'],
      ['&return=black&tag=nothing', 'tag', 'unknown'],
      ['&return=black&tag=a&c=b', 'c', 'conflict'],
    ];
    for (const [query, field, code] of bad) {
      const answer = await ask(query);
      assert.equal(answer.status, 400, query);
      assert.deepEqual([problemIn(answer).field, problemIn(answer).code], [field, code], query);
    }
    for (const method of ['get', 'put', 'delete'] as const) {
      const answer = await request(service.url)[method](`/l/${held.list.publicId}/scrub?key=${held.key}`);
      assert.deepEqual([answer.status, answer.get('Allow')], [405, 'POST, OPTIONS']);
    }
    assert.equal((await request(service.url).options(`/l/${held.list.publicId}/scrub`)).status, 204);
    assert.deepEqual(await accessLogOf(service, held), []);
  });

  it('says of a file that cannot be read why', async () => {
    const held = await listOf(service, ['ann@example.com']);
    const whole = gzipSync(Array.from({ length: 5000 }, (_, n) => `p${n}@example.com\n`).join(''));
    const bad: [string | Buffer, string, number, string][] = [
      ['', 'text/plain', 400, 'no-file'],
      ['\n\n', 'text/plain', 400, 'empty'],
      ['\uFEFF', 'text/plain', 400, 'empty'],
      ['nobody\nnothing\n', 'text/plain', 400, 'no-items'],
      ['ann@example.com\n', 'application/json', 415, 'content-type'],
      ['ann@example.com\n', 'text/plain; charset=iso-8859-1', 415, 'charset'],
      [Buffer.from('PK\u0003\u0004 and so on'), 'application/octet-stream', 415, 'archive'],
      [Buffer.from('ann@example.com\n', 'utf16le'), 'text/plain', 415, 'encoding'],
      [gzipSync(whole), 'application/gzip', 415, 'archive'],
      [whole.subarray(0, whole.length - 20), 'application/gzip', 400, 'cut-off'],
      [Buffer.concat([whole.subarray(0, -8), Buffer.alloc(8, 1)]), 'application/gzip', 400, 'damaged'],
    ];
    for (const [file, type, status, code] of bad) {
      const answer = await scrub(service, held, file, {}, type);
      assert.deepEqual([answer.status, problemIn(answer).code], [status, code], `${type} ${code}`);
    }
    const encoded = await scrub(service, held, gzipSync('ann@example.com\n')).set('Content-Encoding', 'gzip');
    assert.deepEqual([encoded.status, problemIn(encoded).code], [415, 'content-encoding']);
    assert.deepEqual(await accessLogOf(service, held), [], 'nothing was given out');
  });

  it('stands in the access log with its number of items, and what is in it in no log', async () => {
    const { key, list } = await listOf(service, ['ann@example.com']);
    await service.deps.recorder.record([optOutOf(list.id, 'bob@example.com')]);
    const file = `ann@example.com\nbob@example.com\nsecretive@example.com\n${hexOf(md5Of('x@example.com'))}\n`;
    await scrub(service, { list, key }, file);
    await scrub(service, { list, key }, file, { return: 'white' });
    const log = () => accessLogOf(service, { list, key });
    await until('both have ended', async () =>
      (await log()).every(({ finished_at }) => finished_at !== null),
    );
    assert.deepEqual(
      (await log()).map(({ extent, format, status, entries, ip }) => [extent, format, status, entries, ip]),
      [
        ['scrub', 'black', 200, 2, '127.0.0.1'],
        ['scrub', 'white', 200, 2, '127.0.0.1'],
      ],
    );
    const logged = service.logged.join('');
    assert.ok(logged.includes(`/l/${list.publicId}/scrub`));
    for (const secret of [key, 'secretive', hexOf(md5Of('x@example.com'))]) {
      assert.ok(!logged.includes(secret), secret);
    }
  });
});

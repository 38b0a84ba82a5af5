import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { plant, optOutOf, rowKinds } from '../support/core.js';
import { download, listOf, octetsOf, type Downloadable } from '../support/downloads.js';
import { startTestService, untilNumbered, type TestService } from '../support/service.js';

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** In the order in which a list is read: by MD5. */
const byKey = (emails: readonly string[]) => [...emails].sort((a, b) => (md5(a) < md5(b) ? -1 : 1));

const people = ['ann@example.com', 'bob@example.com', 'cat@example.com'];
/** Local parts that mail allows and that have broken files. */
const odd = [
  '"a,b"@example.com',
  '"a b"@example.com',
  '"a\\"b"@example.com',
  "=1+1'@example.com",
  '+bob@example.com',
  '-bob@example.com',
  '|x|@example.com',
  'ann..bob.@example.com',
  'żółw@example.com',
];

describe('A download’s file', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const contents: Record<string, Record<string, (email: string) => string>> = {
    text: {
      md5: (email) => `${md5(email)}\n`,
      sha256: (email) => `${sha256(email)}\n`,
      plain: (email) => `${email}\n`,
    },
    csv: {
      md5: (email) => `${md5(email)}\r\n`,
      sha256: (email) => `${sha256(email)}\r\n`,
      plain: (email) => `${/[",]/.test(email) ? `"${email.replaceAll('"', '""')}"` : email}\r\n`,
    },
  };

  for (const [as, formats] of Object.entries(contents)) {
    for (const [format, lineOf] of Object.entries(formats)) {
      it(`is exact to the octet: ${format} as ${as}, as it is, gzipped on the way, and as a gzip file`, async () => {
        const ours = await listOf(service, [...people, ...odd]);
        const head = as === 'text' ? '' : `${format === 'plain' ? 'email' : format}\r\n`;
        const whole =
          head +
          byKey([...people, ...odd])
            .map(lineOf)
            .join('');
        const name = `${ours.list.publicId}-${format}.${as === 'text' ? 'txt' : 'csv'}`;

        const asItIs = await octetsOf(service, ours, { format, as });
        assert.equal(asItIs.status, 200);
        assert.equal(asItIs.body.toString(), whole);
        assert.equal(asItIs.headers['content-encoding'], undefined);
        const type = as === 'text' ? 'text/plain; charset=utf-8' : 'text/csv; charset=utf-8; header=present';
        assert.equal(asItIs.headers['content-type'], type);
        assert.equal(asItIs.headers['content-disposition'], `attachment; filename="${name}"`);

        const onTheWay = await octetsOf(
          service,
          ours,
          { format, as },
          { 'Accept-Encoding': 'br, GZIP;q=0.5' },
        );
        assert.equal(onTheWay.headers['content-encoding'], 'gzip');
        assert.equal(onTheWay.headers['content-type'], type);
        assert.equal(gunzipSync(onTheWay.body).toString(), whole);

        for (const accept of ['gzip', 'identity']) {
          const file = await octetsOf(
            service,
            ours,
            { format, as, gzip: 'yes' },
            { 'Accept-Encoding': accept },
          );
          assert.equal(file.headers['content-encoding'], undefined, 'a client would unzip the file');
          assert.equal(file.headers['content-type'], 'application/gzip');
          assert.equal(file.headers['content-disposition'], `attachment; filename="${name}.gz"`);
          assert.equal(gunzipSync(file.body).toString(), whole);
        }
      });
    }
  }

  it('is MD5 in text unless something else is asked for', async () => {
    const ours = await listOf(service, ['ann@example.com']);
    assert.equal((await download(service, ours)).text, `${md5('ann@example.com')}\n`);
  });

  it('is not gzipped for a client that does not want it', async () => {
    const ours = await listOf(service, ['ann@example.com']);
    for (const accept of ['', 'identity', 'gzip;q=0', 'gzip; q=0.0', 'deflate, br', 'notgzip']) {
      const { headers, body } = await octetsOf(service, ours, {}, { 'Accept-Encoding': accept });
      assert.equal(headers['content-encoding'], undefined, accept);
      assert.equal(body.length, 33);
      assert.equal(headers.vary, 'Accept-Encoding');
    }
  });

  it('of an empty list is empty, and a CSV has its head', async () => {
    const ours = await listOf(service);
    assert.equal((await octetsOf(service, ours)).body.length, 0);
    assert.equal((await octetsOf(service, ours, { as: 'csv' })).body.toString(), 'md5\r\n');
    const zipped = await octetsOf(service, ours, { gzip: 'yes' });
    assert.equal(gunzipSync(zipped.body).length, 0);
  });

  it('carries both hashes of a domain that has two forms', async () => {
    const ours = await listOf(service, ['Ann@BÜCHER.example']);
    const forms = ['ann@xn--bcher-kva.example', 'ann@bücher.example'];
    for (const [format, hash] of [
      ['md5', md5],
      ['sha256', sha256],
    ] as const) {
      const { text } = await download(service, ours, { format });
      assert.deepEqual(text.split('\n'), [...forms.map(hash), '']);
    }
    assert.equal((await download(service, ours, { format: 'plain' })).text, `${forms[0]}\n`);
  });

  describe('of a list with imported hashes and erased persons', () => {
    let ours: Downloadable;
    before(async () => {
      ours = await listOf(service, ['ann@example.com']);
      await plant(service.deps.db, ours.list.id, [
        rowKinds.md5Only('md5@example.com'),
        rowKinds.sha256Only('sha256@example.com'),
        rowKinds.sha256Only('sha256-too@example.com'),
        rowKinds.erased('erased@example.com'),
        { ...rowKinds.plain('removed@example.com'), removed_at: 2000 },
        { ...rowKinds.plain('expired@example.com'), expires_at: 2000 },
        { ...rowKinds.md5Only('removed-md5@example.com'), removed_at: 2000 },
      ]);
      await untilNumbered(service, ours.list);
    });

    for (const [format, lines, left] of [
      ['md5', ['ann', 'md5', 'erased'].map((name) => md5(`${name}@example.com`)), 2],
      ['sha256', ['ann', 'sha256', 'sha256-too', 'erased'].map((name) => sha256(`${name}@example.com`)), 1],
      ['plain', ['ann@example.com'], 4],
    ] as const) {
      it(`holds what ${format} can say, and tells how many it leaves out`, async () => {
        const answer = await download(service, ours, { format });
        assert.deepEqual(answer.text.split('\n').filter(Boolean).sort(), [...lines].sort());
        assert.equal(answer.get('Signoff-Entries-Not-Expressed'), String(left));
      });
    }
  });

  it('has each address once, whatever tags suppress it', async () => {
    const ours = await listOf(service);
    const optOuts = ['*', 'offers', 'news'].map((tag) => optOutOf(ours.list.id, 'ann@example.com', { tag }));
    await service.deps.recorder.record([
      ...optOuts,
      optOutOf(ours.list.id, 'bob@example.com', { tag: 'news' }),
    ]);
    const { text } = await download(service, ours, { format: 'plain' });
    assert.deepEqual(text.split('\n').filter(Boolean).sort(), ['ann@example.com', 'bob@example.com']);
  });

  it('is whole over many slices, each line once', async () => {
    const emails = Array.from({ length: 5500 }, (_, i) => `ann${i}@example.com`);
    const ours = await listOf(service);
    await plant(service.deps.db, ours.list.id, emails.map(rowKinds.plain));
    const { body } = await octetsOf(service, ours, { format: 'plain' });
    assert.equal(
      body.toString(),
      byKey(emails)
        .map((email) => `${email}\n`)
        .join(''),
    );
  });

  it('is whole whatever Range is asked for', async () => {
    const ours = await listOf(service, people);
    for (const range of ['bytes=0-10', 'bytes=-5', 'bytes=0-0,5-6', 'lines=1-2']) {
      const { status, headers, body } = await octetsOf(service, ours, {}, { Range: range });
      assert.deepEqual([status, body.length], [200, people.length * 33], range);
      assert.equal(headers['accept-ranges'], 'none');
      assert.equal(headers['content-range'], undefined);
    }
  });

  it('is nothing that anybody keeps or shows', async () => {
    const { headers } = await octetsOf(service, await listOf(service, people));
    assert.equal(headers['cache-control'], 'no-store, no-transform');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['set-cookie'], undefined);
  });
});

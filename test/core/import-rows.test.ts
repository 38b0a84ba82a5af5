import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Layout, LayoutOptions } from '../../src/core/import-layout.js';
import { textOctets } from '../../src/core/import-octets.js';
import { isRefusal, readRows, type Read } from '../../src/core/import-rows.js';
import { Refused } from '../../src/errors.js';

const auto: LayoutOptions = {
  ...{ format: 'auto', column: null, tagColumn: null, dateColumn: null, reasonColumn: null },
};

async function* chunksOf(octets: Buffer, size: number): AsyncGenerator<Buffer> {
  await Promise.resolve();
  for (let at = 0; at < octets.length; at += size) yield octets.subarray(at, at + size);
}

async function readAll(input: string | Buffer, options: Partial<LayoutOptions> = {}, size = 65_536) {
  const reads: Read[] = [];
  let layout: Layout | null = null;
  let failure: unknown = null;
  try {
    const octets = textOctets(chunksOf(Buffer.from(input as string), size));
    for await (const chunk of readRows(octets, { ...auto, ...options })) {
      reads.push(...chunk.reads);
      layout = chunk.layout;
    }
  } catch (error) {
    failure = error;
  }
  return { reads, layout, failure };
}

/** `line who`, or `line !problem`. */
function told(reads: readonly Read[]): string[] {
  return reads.map((read) => {
    if (isRefusal(read)) return `${read.line} !${read.problem}`;
    const { address, hashes } = read.who;
    const who =
      address?.normalised ?? [hashes?.md5, hashes?.sha256].map((h) => h?.toString('hex') ?? '').join('/');
    return `${read.line} ${who}`;
  });
}
const read = async (input: string | Buffer, options: Partial<LayoutOptions> = {}) => {
  const { reads, failure } = await readAll(input, options);
  if (failure !== null) throw failure as Error;
  return told(reads);
};

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const ann = 'ann@example.com';
const people = ['2 ann@example.com', '3 bob@example.com'];

describe('A file to import', () => {
  it('may be addresses, a line each, whatever ends a line, with a byte order mark and blank lines', async () => {
    assert.deepEqual(await read('\uFEFFAnn@Example.com\r\n\n bob@bücher.example \rcyd@example.com'), [
      '1 ann@example.com',
      '3 bob@xn--bcher-kva.example',
      '4 cyd@example.com',
    ]);
  });

  it('may be MD5 or SHA-256 hashes, upper case as well, and mixed with addresses', async () => {
    const lines = [
      md5(ann).toUpperCase(),
      sha256(ann),
      `0x${md5('x')}`,
      'bob@example.com',
      'a'.repeat(40),
      'abc',
    ];
    assert.deepEqual(await read(lines.join('\n')), [
      `1 ${md5(ann)}/`,
      `2 /${sha256(ann)}`,
      `3 ${md5('x')}/`,
      '4 bob@example.com',
      '5 !sha1',
      '6 !no-at',
    ]);
  });

  it('is held to the format that it is said to be', async () => {
    const lines = [md5(ann), sha256(ann), ann].join('\n');
    assert.deepEqual(await read(lines, { format: 'md5' }), [`1 ${md5(ann)}/`, '2 !no-hash', '3 !no-hash']);
    assert.deepEqual(await read(lines, { format: 'sha256' }), [
      '1 !no-hash',
      `2 /${sha256(ann)}`,
      '3 !no-hash',
    ]);
    assert.deepEqual(await read(lines, { format: 'text' }), ['1 !no-at', '2 !no-at', '3 ann@example.com']);
  });

  for (const [what, text] of [
    ['commas', 'name,Email\nAnn,ann@example.com\n"B, ""b""",bob@example.com\n'],
    ['semicolons', 'name;E-Mail\r\nAnn;ann@example.com\r\nBob;bob@example.com'],
    ['tabs', 'name\tEMAIL ADDRESS\rAnn\tann@example.com\rBob\tbob@example.com'],
    ['one column', 'email\nann@example.com\n"bob@example.com"\n'],
    ['quoted names', '"x","item"\n"1","ann@example.com"\n"2","bob@example.com"\n'],
    ['names that nobody knows', 'wer,wo\nAnn,ann@example.com\nBob,bob@example.com\n'],
  ] as const) {
    it(`may be a CSV with ${what}`, async () => assert.deepEqual(await read(text), people));
  }

  it('may be a CSV without a line of names', async () => {
    assert.deepEqual(await read('1;ann@example.com;x\n2;bob@example.com\n'), [
      '1 ann@example.com',
      '2 bob@example.com',
    ]);
    assert.deepEqual(await read('ann@example.com,bob@example.com\n', { column: '2' }), ['1 bob@example.com']);
  });

  it('is read by the column that is named, or numbered', async () => {
    const text = 'email,other\nann@example.com,bob@example.com\n';
    assert.deepEqual(await read(text, { column: 'OTHER' }), ['2 bob@example.com']);
    assert.deepEqual(await read(text, { column: '2' }), ['2 bob@example.com']);
  });

  it('gives tags, dates and reasons by their columns', async () => {
    const { reads } = await readAll(
      'email,tag,created_at,reason\nann@example.com,sale,2024-05-01,"too, many"\n',
    );
    const [row] = reads;
    assert.ok(row !== undefined && !isRefusal(row));
    assert.deepEqual([row.tag, row.createdAt, row.reason], ['sale', Date.UTC(2024, 4, 1), 'too, many']);
    const named = await readAll('email,a,b\nann@example.com,sale,x\n', { tagColumn: 'A', dateColumn: '3' });
    const [other] = named.reads;
    assert.ok(other !== undefined && !isRefusal(other));
    assert.deepEqual([other.tag, other.createdAt], ['sale', 'unreadable']);
  });

  it('counts the hashes where a row has no address, and those of a row together', async () => {
    const rows = [`${ann},${md5('x')},`, `,${md5(ann)},${sha256(ann)}`, `***,,${sha256(ann)}`, ',,', '***,,'];
    assert.deepEqual(await read(`email,md5,sha256\n${rows.join('\n')}\n`), [
      '2 ann@example.com',
      `3 ${md5(ann)}/${sha256(ann)}`,
      `4 /${sha256(ann)}`,
      '6 !no-at',
    ]);
  });

  it('loses nobody to a field that should have stood in quotes, and takes nobody else for them', async () => {
    const rows = ['Doe, Ann,ann@example.com,x', 'Doe, Ann,ann@example.com,bob@example.com'];
    assert.deepEqual(await read(`name,email,friend\n${rows.join('\n')}\n`), [
      '2 ann@example.com',
      '3 !too-many-fields',
    ]);
  });

  it('has its bad rows told by line and reason, as they stood, and the others read', async () => {
    const bad = Buffer.concat([
      Buffer.from('email,note\nann@example.com,"two\nlines"\nnobody,x\n{{email}},x\n'),
      Buffer.from('m\xFCller@example.com,x\na\0b@example.com,x\n', 'latin1'),
      Buffer.from('"bob@example.com"x,\nbob@example.com,x\n'),
    ]);
    const { reads } = await readAll(bad);
    assert.deepEqual(told(reads), [
      ...['2 ann@example.com', '4 !no-at', '5 !merge-tag', '6 !control-character', '7 !control-character'],
      ...['8 !quotes', '9 bob@example.com'],
    ]);
    const [latin] = reads.filter((one) => one.line === 6);
    assert.equal(latin?.raw, 'm\xFCller@example.com,x');
  });

  it('loses nobody behind a quote that nothing closes', async () => {
    const rows = Array.from({ length: 5000 }, (_, i) => `p${i}@example.com,x`);
    const reads = await read(`email,note\nann@example.com,"x\n${rows.join('\n')}\n`);
    assert.equal(reads.length, 5001);
    assert.deepEqual(reads.slice(0, 2), ['2 !quotes', '3 p0@example.com']);
  });

  it('loses nobody behind a line of ten megabytes, and keeps none of it', async () => {
    const long = Buffer.alloc(10 * 1024 * 1024, 'x');
    for (const end of ['\n', '\r\n', '\r']) {
      const whole = Buffer.concat([
        Buffer.from(`${ann}${end}`),
        long,
        Buffer.from(`${end}bob@example.com${end}`),
      ]);
      const { reads } = await readAll(whole);
      assert.deepEqual(told(reads), ['1 ann@example.com', '2 !too-long-line', '3 bob@example.com']);
      assert.ok((reads[1]?.raw.length ?? 0) < 10_000);
    }
  });

  it('is the same however it is cut into chunks', async () => {
    const text = Buffer.from(
      '\uFEFFname,email\r\n"Jö, ""x""\r\ny",ann@bücher.example\r\n\r\nz,bob@example.com',
    );
    const whole = await readAll(text);
    assert.deepEqual(told(whole.reads), ['2 ann@xn--bcher-kva.example', '5 bob@example.com']);
    for (const octets of [text, gzipSync(text)]) {
      for (const size of [1, 2, 3, 7]) assert.deepEqual(await readAll(octets, {}, size), whole, String(size));
    }
  });

  it('may be UTF-16 with a byte order mark', async () => {
    const little = Buffer.from('\uFEFFemail\tname\nann@bücher.example\tÄnn\n', 'utf16le');
    assert.deepEqual(await read(little), ['2 ann@xn--bcher-kva.example']);
    assert.deepEqual(await read(Buffer.from(little).swap16()), ['2 ann@xn--bcher-kva.example']);
  });

  it('may be gzip, of several members, and empty within', async () => {
    const parts = ['ann@example.com\nbo', 'b@example.com\n', ''].map((part) => gzipSync(part));
    assert.deepEqual(await read(Buffer.concat([...parts, Buffer.alloc(512)])), [
      '1 ann@example.com',
      '2 bob@example.com',
    ]);
  });

  it('is read up to where a gzip is cut off; the line that was cut is nobody', async () => {
    const text = Array.from({ length: 3000 }, (_, i) => `${md5(String(i))}@example.com\n`).join('');
    const packed = gzipSync(text);
    for (const length of [packed.length - 1, packed.length - 8, packed.length >> 1, 200]) {
      const { reads, failure } = await readAll(packed.subarray(0, length));
      assert.match(String(failure), new RegExp(`cut off, after ${length} octets`));
      const lines = text.split('\n').slice(0, reads.length);
      assert.deepEqual(
        told(reads),
        lines.map((line, i) => `${i + 1} ${line}`),
      );
      assert.ok(reads.length > 0 && (length > 200 || reads.length < 20), String(reads.length));
    }
    const damaged = Buffer.from(packed);
    damaged.fill(0xff, packed.length >> 1, (packed.length >> 1) + 100);
    const broken = await readAll(damaged);
    assert.match(String(broken.failure), /is damaged.* after octet \d+/);
    assert.ok(broken.reads.length > 1000, String(broken.reads.length));
  });

  const refused: [what: string, input: string | Buffer, options: Partial<LayoutOptions>, why: RegExp][] = [
    ['is empty', '', {}, /The file is empty/],
    ['is blank', '\uFEFF\n \r\n', {}, /The file is empty/],
    ['is an Excel workbook', Buffer.from('PK\x03\x04rest'), {}, /ZIP archive or an Excel workbook/],
    ['is gzip twice', gzipSync(gzipSync(ann)), {}, /gzip inside gzip/],
    ['is UTF-16 without a mark', Buffer.from('ann@example.com', 'utf16le'), {}, /UTF-16 without/],
    [
      'names no column of people',
      'id,name\n1,Ann\n',
      {},
      /names no column that says who has left, but "id", "name"/,
    ],
    [
      'does not name the column',
      'email\nann@example.com\n',
      { column: 'mail2' },
      /names no column "mail2", but "email"/,
    ],
    ['has less columns', 'a,b\n1,2\n', { column: '3' }, /--column 3: the first line has 2 columns/],
    ['names a column twice', 'email,Email\na,b\n', {}, /several columns "email"/],
    [
      'could mean two columns',
      'ann@example.com,bob@example.com\n',
      {},
      /Several columns.*1, 2.*--column NUMBER/,
    ],
    ['does not name the tags', 'email\nann@example.com\n', { tagColumn: 'part' }, /"part".*--tag-column/],
    ['opens a quote in its names', 'email,"x\nann@example.com\n', {}, /The first line opens a quote/],
  ];
  for (const [what, input, options, why] of refused) {
    it(`is refused whole where it ${what}`, async () => {
      const { failure, reads } = await readAll(input, options);
      assert.ok(failure instanceof Refused, String(failure));
      assert.match(failure.message, why);
      assert.deepEqual(reads, []);
    });
  }

  it('that is binary is refused line by line', async () => {
    const binary = Buffer.from(Array.from({ length: 100_000 }, (_, i) => ((i * 7919 + (i >> 3)) % 256) | 1));
    const { reads, failure } = await readAll(binary);
    assert.ok(failure !== null || (reads.length > 0 && reads.every(isRefusal)), String(failure));
  });
});

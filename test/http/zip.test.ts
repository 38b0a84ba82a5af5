import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import type { ZipEncryption } from '../../src/core/account-settings.js';
import { zipStream } from '../../src/http/zip.js';
import { skipBecause } from '../support/engine.js';
import { until } from '../support/service.js';
import { sevenZip, unzip } from '../support/seven-zip.js';

const lines = 200_000;
const chunkLines = 500;

/** Some 6 MB, which do not all look alike. */
function chunkOf(number: number): Buffer {
  const first = number * chunkLines;
  const texts = Array.from({ length: chunkLines }, (_, i) => `"${(first + i) * 7919}@example.com"\n`);
  return Buffer.from(texts.join(''));
}

describe('A ZIP file that is made while it is read', () => {
  before(function () {
    if (sevenZip === null) skipBecause(this, '7-Zip is not here: npm run test:setup');
  });

  /** What was asked of a source, and whether it was told to end. */
  function source(options: { failsAt?: number } = {}) {
    const seen = { given: 0, isOver: false };
    async function* chunks(): AsyncGenerator<Buffer> {
      try {
        for (let i = 0; i < lines / chunkLines; i++) {
          if (i === options.failsAt) throw new Error('the source broke');
          await Promise.resolve();
          seen.given++;
          yield chunkOf(i);
        }
      } finally {
        seen.isOver = true;
      }
    }
    return { seen, chunks: chunks() };
  }
  const content = Buffer.concat(Array.from({ length: lines / chunkLines }, (_, i) => chunkOf(i)));
  const password = 'correct horse, battery: "staple"';

  const ways: [what: string, encryption: ZipEncryption | null, method: RegExp][] = [
    ['without a password', null, /^Deflate$/],
    ['with AES-256', { password, cipher: 'aes-256' }, /^AES-256 Deflate$/],
    ['with ZipCrypto', { password, cipher: 'zipcrypto' }, /^ZipCrypto Deflate$/],
  ];
  for (const [what, encryption, method] of ways) {
    it(`opens in 7-Zip ${what}`, async () => {
      const octets = await buffer(zipStream('list.csv', source().chunks, { encryption }));
      const opened = unzip(octets, encryption?.password);
      assert.deepEqual([opened.code, opened.name], [0, 'list.csv']);
      assert.match(opened.method, method);
      assert.equal(opened.isEncrypted, encryption !== null);
      assert.ok(opened.content.equals(content), 'octet by octet');
    });
  }
  for (const [what, encryption] of ways.slice(1)) {
    it(`does not open ${what} and another password`, async () => {
      const octets = await buffer(zipStream('list.csv', source().chunks, { encryption }));
      for (const wrong of ['', 'correct horse', `${password} `]) {
        const opened = unzip(octets, wrong);
        assert.notEqual(opened.code, 0, wrong);
        assert.ok(!opened.content.includes('@example.com'), wrong);
      }
      assert.ok(!octets.includes('@example.com'));
    });
  }

  it('says the same thing differently each time it is encrypted', async () => {
    const make = () =>
      buffer(zipStream('list.csv', source().chunks, { encryption: { password, cipher: 'aes-256' } }));
    assert.ok(!(await make()).subarray(100, 200).equals((await make()).subarray(100, 200)));
  });

  it('does without ZIP64, which old programs cannot read, where it is known to be small', async () => {
    const versionOf = async (octets?: number) =>
      unzip(
        await buffer(
          zipStream('list.csv', source().chunks, {
            encryption: null,
            ...(octets === undefined ? {} : { octets }),
          }),
        ),
      ).version;
    assert.equal(await versionOf(content.length), 20);
    assert.equal(await versionOf(5 * 1024 ** 3), 45);
    assert.equal(await versionOf(), 45);
  });

  it('holds what is empty', async () => {
    const empty = zipStream('list.csv', (async function* () {})(), { encryption: null, octets: 0 });
    const opened = unzip(await buffer(empty));
    assert.deepEqual([opened.code, opened.content.length], [0, 0]);
  });

  it('fails where its source fails, and does not end', async () => {
    const { chunks, seen } = source({ failsAt: 300 });
    const zip = zipStream('list.csv', chunks, { encryption: { password, cipher: 'aes-256' } });
    const parts: Buffer[] = [];
    await assert.rejects(async () => {
      for await (const part of zip as AsyncIterable<Buffer>) parts.push(part);
    }, /the source broke/);
    assert.equal(seen.isOver, true);
    assert.ok(parts.length > 0, 'it had begun');
  });

  it('takes nothing that nobody waits for, and lets go of its source when its reader goes', async () => {
    // What cannot be compressed, so that what is taken is what is held.
    const seen = { given: 0, isOver: false };
    async function* chunks(): AsyncGenerator<Buffer> {
      try {
        for (let i = 0; i < 1000; i++) {
          await Promise.resolve();
          seen.given++;
          yield randomBytes(32 * 1024);
        }
      } finally {
        seen.isOver = true;
      }
    }
    const zip = zipStream('list.csv', chunks(), { encryption: { password, cipher: 'aes-256' } });
    await once(zip, 'readable');
    // As many turns as all of it takes, several times over.
    for (let i = 0; i < 5000; i++) await new Promise((resolve) => setImmediate(resolve));
    // All the buffers on the way hold some 2 MB, of 32.
    assert.ok(seen.given < 100, `${seen.given} chunks were taken`);
    zip.destroy();
    await until('the source has ended', () => seen.isOver);
    assert.ok(seen.given < 100);
  });
});

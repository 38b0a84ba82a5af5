import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { sortLines, type Line } from '../../src/core/sorted-lines.js';
import { Unavailable } from '../../src/errors.js';

describe('Lines that are sorted by time', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'signoff-sort-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** In no order, with equal times among them, and slices of any length. */
  function linesOf(count: number): Line[] {
    return Array.from({ length: count }, (_, i) => ({
      at: ((i * 7919) % 10_007) * 1000 - 5_000_000,
      text: `line ${i}, 山田 ${'x'.repeat(i % 50)}\n`,
    }));
  }
  async function* slicesOf(lines: readonly Line[], length = 700): AsyncGenerator<Line[]> {
    for (let i = 0; i < lines.length; i += length) {
      await Promise.resolve();
      yield lines.slice(i, i + length);
      yield [];
    }
  }
  const inOrder = (lines: readonly Line[]) =>
    [...lines].sort((a, b) => a.at - b.at || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  async function all(slices: AsyncIterable<Line[]>): Promise<Line[]> {
    const lines: Line[] = [];
    for await (const slice of slices) {
      assert.ok(slice.length > 0 && slice.length <= 250);
      lines.push(...slice);
    }
    return lines;
  }

  for (const count of [0, 1, 999, 1000, 1001, 2000, 20_000, 50_123]) {
    it(`come out in order, each of them once: ${count}`, async () => {
      const lines = linesOf(count);
      const sorted = await sortLines(slicesOf(lines), { linesHeld: 2000, folder });
      assert.equal(sorted.lines, count);
      assert.equal(sorted.octets, Buffer.byteLength(lines.map(({ text }) => text).join('')));
      assert.deepEqual(await all(sorted.read()), inOrder(lines));
      await sorted.close();
      await sorted.close();
    });
  }

  it('take a file only where there are many, which has no name and cannot be read', async () => {
    const secret = 'somebody@example.com';
    const few = await sortLines(slicesOf(linesOf(1000)), { folder: path.join(folder, 'missing') });
    assert.equal((await all(few.read())).length, 1000);

    const lines = linesOf(20_000).map((line) => ({ ...line, text: `${secret}\n` }));
    const sorted = await sortLines(slicesOf(lines), { linesHeld: 2000, folder });
    assert.deepEqual(readdirSync(folder), []);
    if (existsSync('/proc/self/fd')) {
      const [file = ''] = readdirSync('/proc/self/fd')
        .map((fd) => `/proc/self/fd/${fd}`)
        .filter((fd) => linkOf(fd).startsWith(folder));
      const octets = readFileSync(file);
      assert.ok(octets.length > 20_000 * secret.length, 'all of it is there');
      assert.ok(!octets.includes('example.com'));
      assert.ok(!octets.includes('somebody'));
    }
    assert.equal((await all(sorted.read())).length, 20_000);
    await sorted.close();
  });

  it('are unavailable where the file cannot be written', async () => {
    const missing = path.join(folder, 'missing');
    await assert.rejects(
      sortLines(slicesOf(linesOf(5000)), { linesHeld: 2000, folder: missing }),
      (error) => error instanceof Unavailable && /temporary file/.test(error.message),
    );
  });

  it('are unavailable where the file cannot lose its name, and leave nothing open', async () => {
    const openFiles = () => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);
    const before = openFiles();
    const { unlink } = fs;
    let calls = 0;
    // As where a file that is open cannot be deleted.
    fs.unlink = async (name) => {
      if (calls++ === 0) throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
      await unlink(name);
    };
    syncBuiltinESMExports();
    try {
      await assert.rejects(sortLines(slicesOf(linesOf(5000)), { linesHeld: 2000, folder }), Unavailable);
    } finally {
      fs.unlink = unlink;
      syncBuiltinESMExports();
    }
    assert.equal(openFiles(), before);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('fail where their source does, and leave nothing open', async () => {
    const openFiles = () => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);
    const before = openFiles();
    async function* broken(): AsyncGenerator<Line[]> {
      yield* slicesOf(linesOf(5000));
      throw new Error('the database is gone');
    }
    await assert.rejects(sortLines(broken(), { linesHeld: 2000, folder }), /the database is gone/);
    assert.equal(openFiles(), before);
  });
});

/** Empty for one that has been closed meanwhile. */
function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}

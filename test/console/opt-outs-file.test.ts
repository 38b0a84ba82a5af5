import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { md5Of, sha256Of } from '../../src/core/address.js';
import type { List } from '../../src/core/lists.js';
import { fieldOf, signInAs, type Visitor } from '../support/console.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { makeList, startTestService, untilNumbered, type TestService } from '../support/service.js';
import { sevenZip } from '../support/seven-zip.js';

describe('The file of what a search finds', () => {
  let service: TestService;
  let olive: Visitor;
  let list: List;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    const at = Date.UTC(2026, 0, 1);
    const left = { createdAt: at, recordedAt: at };
    await service.deps.recorder.record([
      optOutOf(list.id, 'ann@example.com', { ...left, source: 'page', reason: '=too, many' }),
      optOutOf(list.id, 'bob@example.com', { ...left, source: 'server' }),
    ]);
    await plant(service.deps.db, list.id, [
      rowKinds.md5Only('md5@example.com'),
      rowKinds.sha256Only('sha@example.com'),
      rowKinds.erased('gone@example.com'),
    ]);
    await untilNumbered(service, list);
  });

  const base = () => `/console/lists/${list.publicId}/opt-outs/download`;
  async function searchFor(fields: Record<string, string>): Promise<string> {
    const sent = await olive.post(`/console/lists/${list.publicId}/opt-outs`, fields);
    return new URL(sent.location ?? '', 'http://x').searchParams.get('search') ?? '';
  }
  async function download(fields: Record<string, string>) {
    const response = await olive.fetch(base(), {
      method: 'POST',
      headers: { 'Sec-Fetch-Site': 'same-origin' },
      body: new URLSearchParams({ csrf: olive.formToken, zipPassword: 'right horse', ...fields }),
    });
    assert.equal(response.status, 200);
    const octets = Buffer.from(await response.arrayBuffer());
    return {
      text: await textOf(octets),
      notExpressed: response.headers.get('signoff-entries-not-expressed'),
    };
  }

  /** Of all files in a ZIP file, one after the other. */
  async function textOf(zip: Buffer): Promise<string> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'signoff-zip-'));
    try {
      const file = path.join(folder, 'file.zip');
      await writeFile(file, zip);
      return spawnSync(sevenZip ?? '', ['x', '-so', '-pright horse', file], { encoding: 'utf8' }).stdout;
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  it('tells beforehand, and in itself, how many have no address and are left out', async function () {
    if (sevenZip === null) this.skip();
    const dialog = await olive.get(base());
    assert.match(
      dialog.text,
      /3 entries have no address, .* They are left out, unless you choose the columns/,
    );
    const { text, notExpressed } = await download({});
    assert.equal(notExpressed, '3');
    assert.match(text, /^\uFEFFcreated,email,filtername\r\n2026-01-01 00:00:00,ann@example.com,\r\n/);
    assert.match(
      text,
      /bob@example.com,\r\n3 entries of the search have no address, and are not in this file/,
    );
    const history = await olive.get(`/console/accounts/${service.accountId}/history`);
    assert.match(history.text, /3 entries without an address left out/);

    const search = await searchFor({ source: 'page' });
    assert.doesNotMatch((await olive.get(`${base()}?search=${search}`)).text, /no address/);
    const found = await download({ search });
    assert.equal(found.notExpressed, '0');
    assert.equal(found.text, '\uFEFFcreated,email,filtername\r\n2026-01-01 00:00:00,ann@example.com,\r\n');
  });

  it('counts what a search finds, and nothing where it is by a part of an address', async () => {
    const byTime = await searchFor({ from: '1970-01-01', to: '2025-12-31' });
    assert.match((await olive.get(`${base()}?search=${byTime}`)).text, /3 entries have no address/);
    const byDomain = await searchFor({ address: '@example.com' });
    assert.doesNotMatch((await olive.get(`${base()}?search=${byDomain}`)).text, /no address/);
  });

  it('has all of them with their hashes where that is chosen, and runs nothing', async function () {
    if (sevenZip === null) this.skip();
    const dialog = await olive.get(base());
    assert.match(dialog.html, /<option value="plain" selected>/);
    assert.ok(fieldOf(dialog, 'search') !== '');
    const { text, notExpressed } = await download({ columns: 'hashes' });
    assert.equal(notExpressed, '0');
    const [header, ...rows] = text.trimEnd().split('\r\n');
    assert.equal(header, '\uFEFFcreated,email,filtername,md5,sha256,source,reason');
    const hex = (email: string) => [md5Of(email), sha256Of(email)].map((hash) => hash.toString('hex'));
    const of = (email: string) => hex(email).join(',');
    const [md5] = hex('md5@example.com');
    const [, sha256] = hex('sha@example.com');
    for (const expected of [
      `2026-01-01 00:00:00,ann@example.com,,${of('ann@example.com')},page,"'=too, many"`,
      `2026-01-01 00:00:00,bob@example.com,,${of('bob@example.com')},server,`,
    ]) {
      assert.ok(rows.includes(expected), `${expected} in ${rows.join('\n')}`);
    }
    assert.ok(rows.some((row) => row.includes(`,,,${md5},,`)));
    assert.ok(rows.some((row) => row.includes(`,,,,${sha256},`)));
    assert.ok(rows.some((row) => row.includes(`,,,${of('gone@example.com')},`)));
    assert.equal(rows.length, 5);
  });
});

import assert from 'node:assert/strict';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import path from 'node:path';
import request from 'supertest';
import type { List } from '../../src/core/lists.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';
import { emptyFolder, environmentOf, startSignoff } from './signoff.js';

/** Octets of memory that a process has held at most; Linux alone tells. */
function peakMemoryOf(pid: number | undefined): number {
  const status = `/proc/${pid}/status`;
  if (!existsSync(status)) return 0;
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8')) ?? [];
  return Number(kilobytes ?? 0) * 1024;
}

describe('An import of 150,000 rows, beside the running service', function () {
  this.timeout(300_000);
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
  });
  after(() => service.close());

  it('takes no more memory than a small one, while the service serves and records', async () => {
    const cwd = emptyFolder();
    const file = createWriteStream(path.join(cwd, 'many.csv'));
    file.write('id,email,note\n');
    for (let i = 0; i < 150_000; i++) {
      file.write(`${i},${i % 1000 === 7 ? 'nobody' : `person${i}@example.com`},"${'x'.repeat(60)}"\n`);
    }
    file.end();
    await finished(file);

    const args = ['import', 'many.csv', '--list', list.publicId, '--json'];
    const { child, ran } = startSignoff(environmentOf(service.databaseUrl), args, { cwd });
    let peak = 0;
    let isOver = false;
    void ran.finally(() => (isOver = true));
    const watching = setInterval(() => (peak = Math.max(peak, peakMemoryOf(child.pid))), 50);
    const statuses: number[] = [];
    for (let i = 0; !isOver; i++) {
      const page = await request(service.url).get(`/l/${list.publicId}`).set(browser);
      const click = await request(service.url)
        .post(`/l/${list.publicId}?email=clicker${i}@example.com`)
        .type('form')
        .send('List-Unsubscribe=One-Click');
      statuses.push(page.status, click.status);
    }
    clearInterval(watching);
    const whole = await ran;
    assert.equal(whole.code, 1, whole.stderr);
    const told = whole.json<{ recorded: number; refused: number }>();
    assert.deepEqual([told.recorded, told.refused], [149_850, 150]);
    assert.deepEqual([...new Set(statuses)], [200]);
    assert.ok(statuses.length >= 20, `${statuses.length} answers meanwhile`);
    if (existsSync('/proc/self/status')) assert.ok(peak > 0 && peak < 300 * 1024 * 1024, `${peak >> 20} MB`);
    const { db } = service.deps;
    const counted = async () => {
      const rows: { rows: number }[] = await db('opt_outs').where({ list_id: list.id }).count('* as rows');
      return Number(rows[0]?.rows);
    };
    await until('all are there', async () => (await counted()) === 149_850 + statuses.length / 2);
  });
});

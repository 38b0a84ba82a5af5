import assert from 'node:assert/strict';
import { findFetch } from '../../src/core/fetches.js';
import { editList, type List } from '../../src/core/lists.js';
import { editMailer, type Mailer } from '../../src/core/mailers.js';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { addTags } from '../../src/core/tags.js';
import { signInAs, type Visitor } from '../support/console.js';
import {
  makeList,
  makeMailer,
  startTestService,
  until,
  untilNumbered,
  type TestService,
} from '../support/service.js';

const actor = 'test';
const rosa = 'rosa@recipient.example';

interface DownloadRow {
  readonly access_key_id: number;
  readonly ip: string;
  readonly extent: string;
  readonly format: string;
  readonly entries: number | null;
  readonly finished_at: number | null;
  readonly reached: number | null;
}

describe('Files for mailers in the console', function () {
  this.timeout(60_000);
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  /** A list that Rosa has left, a mailer that it is granted to, and a user of that mailer. */
  async function place(): Promise<{ list: List; mailer: Mailer; mia: Visitor; base: string }> {
    const list = await makeList(service);
    const { mailer } = await makeMailer(service, list, { plainAllowed: false });
    await addTags(service.deps.db, list.id, ['offers'], { actor });
    for (const fields of [{ email: rosa }, { email: 'tom@recipient.example', tag: 'offers' }]) {
      const answer = await fetch(`${service.url}/l/${list.publicId}/opt-out`, {
        method: 'POST',
        body: new URLSearchParams(fields),
      });
      assert.equal(answer.status, 200);
      await answer.text();
    }
    await untilNumbered(service, list);
    const mia = await signInAs(service, { mailer });
    return { list, mailer, mia, base: `/console/lists/${list.publicId}` };
  }

  async function downloadsOf(list: List): Promise<DownloadRow[]> {
    return (await service.deps.db('downloads').where({ list_id: list.id }).orderBy('id')) as DownloadRow[];
  }

  /** The end of a file is noted behind its last octet. */
  async function untilEnded(list: List, count = 1): Promise<DownloadRow[]> {
    const isEnded = async () => {
      const rows = await downloadsOf(list);
      return rows.length === count && rows.every(({ finished_at }) => finished_at !== null);
    };
    await until('the downloads are over', isEnded);
    return downloadsOf(list);
  }

  it('give the whole list in the format asked for, and count as a download of the mailer', async () => {
    const { list, mailer, mia, base } = await place();
    const answer = await mia.post(`${base}/downloads/file`, { format: 'sha256', as: 'csv' });
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get('content-disposition') ?? '', /^attachment; filename=".*-sha256\.csv"$/);
    assert.match(answer.headers.get('cache-control') ?? '', /no-store/);
    const all = [rosa, 'tom@recipient.example'];
    const expected = all.map((one) => sha256Of(one).toString('hex')).sort();
    const lines = answer.html.split('\r\n');
    assert.equal(lines[0], 'sha256');
    assert.deepEqual(lines.slice(1, -1).sort(), expected);

    const [row] = await untilEnded(list);
    assert.deepEqual(
      [row?.access_key_id, row?.ip, row?.extent, row?.format, row?.entries],
      [0, '127.0.0.1', 'all', 'sha256', 2],
    );
    await until('it counts', async () => (await findFetch(service.deps.db, list.id, mailer.id)) !== null);
    const fetched = await findFetch(service.deps.db, list.id, mailer.id);
    assert.ok((fetched?.reached ?? 0) > 0);
    assert.ok(fetched?.whole_at != null);

    const log = await mia.get(`${base}/downloads`);
    assert.match(log.text, /Console 127\.0\.0\.1 Whole list · SHA-256 2 Whole/);
    const csv = await mia.get(`${base}/downloads.csv`);
    assert.match(csv.html, /Console,127\.0\.0\.1,Whole list,SHA-256,2,Whole/);
  });

  it('give one tag of it, which does not count as the whole list', async () => {
    const { list, mailer, mia, base } = await place();
    await service.deps
      .db('opt_outs')
      .where({ list_id: list.id, tag: Buffer.from('*') })
      .first();
    const fields = { format: 'md5', as: 'text', tag: 'nobody knows' };
    assert.equal((await mia.post(`${base}/downloads/file`, fields)).status, 422);
    const answer = await mia.post(`${base}/downloads/file`, { ...fields, tag: 'offers' });
    assert.ok(answer.html.includes(md5Of('tom@recipient.example').toString('hex')));
    await untilEnded(list);
    assert.equal(await findFetch(service.deps.db, list.id, mailer.id), null);
  });

  it('give plain addresses to those alone that may have them', async () => {
    const { list, mailer, mia, base } = await place();
    const fields = { format: 'plain', as: 'text' };
    assert.ok(!(await mia.get(`${base}/downloads/file`)).html.includes('value="plain"'));
    const refused = await mia.post(`${base}/downloads/file`, fields);
    assert.equal(refused.status, 403);
    assert.ok(!refused.html.includes(rosa));
    assert.deepEqual(await downloadsOf(list), []);

    await editMailer(service.deps.db, mailer, { plainAllowed: true }, { actor });
    assert.ok((await mia.get(`${base}/downloads/file`)).html.includes('value="plain"'));
    const given = await mia.post(`${base}/downloads/file`, fields);
    assert.ok(given.html.split('\n').includes(rosa));
  });

  it('are refused where the list is closed, and by a form without a choice', async () => {
    const { list, mia, base } = await place();
    const empty = await mia.post(`${base}/downloads/file`);
    assert.equal(empty.status, 422);
    assert.match(empty.text, /This is not one of the choices/);
    await editList(service.deps.db, list, { state: 'closed' }, { actor });
    assert.equal((await mia.post(`${base}/downloads/file`, { format: 'md5', as: 'text' })).status, 403);
    const file = { name: 'mine.txt', content: `${rosa}\n` };
    const scrubbed = await mia.upload(`${base}/scrub`, file, { return: 'white' });
    assert.equal(scrubbed.status, 422);
    assert.match(scrubbed.text, /no file can be scrubbed by it/);
    assert.deepEqual(await downloadsOf(list), []);
  });

  it('are no way round the form: owners are not offered them, and a link does not set one off', async () => {
    const { list, mia, base } = await place();
    const olive = await signInAs(service, 'owner');
    assert.equal((await olive.post(`${base}/downloads/file`, { format: 'md5', as: 'text' })).status, 403);
    assert.ok(!(await olive.get(`${base}/downloads`)).html.includes('/downloads/file'));
    assert.match((await mia.get(`${base}/downloads/file?format=md5&as=text`)).text, /Download the list/);
    const bare = await mia.fetch(`${base}/downloads/file`, {
      method: 'POST',
      body: new URLSearchParams({ format: 'md5', as: 'text' }),
    });
    assert.equal(bare.status, 403);
    await bare.text();
    assert.deepEqual(await downloadsOf(list), []);
    for (const path of ['/downloads', '/service', '/opt-outs']) {
      const page = await mia.get(`${base}${path}`);
      assert.ok(page.html.includes(`${base}/downloads/file"`), path);
      assert.ok(page.html.includes(`${base}/scrub"`), path);
    }
  });

  it('scrub what a mailer sends: who has left, or who has not, line for line', async () => {
    const { list, mailer, mia, base } = await place();
    const content = `Rosa@Recipient.example\nkim@recipient.example\nnothing\n`;
    const file = { name: 'mine.txt', content, type: 'text/plain' };
    const white = await mia.upload(`${base}/scrub`, file, { return: 'white' });
    assert.equal(white.status, 200, white.text);
    assert.equal(white.html, 'kim@recipient.example\n');
    assert.match(white.headers.get('content-disposition') ?? '', /^attachment; filename=".*-white\.txt"$/);
    await untilEnded(list);
    const black = await mia.upload(`${base}/scrub`, file, { return: 'black' });
    assert.equal(black.html, 'Rosa@Recipient.example\n');
    const rows = await untilEnded(list, 2);
    assert.deepEqual(
      rows.map(({ access_key_id, extent, format, entries }) => [access_key_id, extent, format, entries]),
      [
        [0, 'scrub', 'white', 1],
        [0, 'scrub', 'black', 1],
      ],
    );
    const isNoted = async () => (await findFetch(service.deps.db, list.id, mailer.id))?.scrubbed_at != null;
    await until('the scrub is noted', isNoted);
    const fetched = await findFetch(service.deps.db, list.id, mailer.id);
    assert.equal(fetched?.whole_at, null);
  });

  it('scrub what an owner sends, which the history and the access log tell', async () => {
    const { list, base } = await place();
    const olive = await signInAs(service, 'owner');
    const answer = await olive.upload(
      `${base}/scrub`,
      { name: 'mine.txt', content: `${rosa}\nkim@recipient.example\n` },
      { return: 'black' },
    );
    assert.equal(answer.html, `${rosa}\n`);
    assert.deepEqual(await downloadsOf(list), []);
    const [noted] = (await service.deps
      .db('history')
      .where({ list_id: list.id, action: 'list.scrubbed' })) as { actor: string; details: string }[];
    assert.equal(noted?.actor, `user:${olive.user.id}`);
    assert.ok(!JSON.stringify(noted).includes('rosa'));
    const log = await olive.get(`${base}/downloads`);
    assert.match(log.text, /Olive Owner.*Scrub of a file · what is on the list 1/);
    const history = await olive.get(`/console/accounts/${service.accountId}/history`);
    assert.match(history.text, /Scrubbed a file/);
  });

  it('say what is wrong with a file that cannot be scrubbed', async () => {
    const { list, mia, base } = await place();
    const file = { name: 'mine.txt', content: `${rosa}\n` };
    const wrong: [typeof file, Record<string, string>, RegExp][] = [
      [file, {}, /Choose what is to come back/],
      [{ ...file, content: 'no address\n' }, { return: 'white' }, /No line of this file is an address/],
      [{ ...file, content: '' }, { return: 'white' }, /empty/],
      [{ ...file, content: 'PK\u0003\u0004 and more' }, { return: 'white' }, /Excel workbook/],
    ];
    for (const [sent, fields, said] of wrong) {
      const answer = await mia.upload(`${base}/scrub`, sent, fields);
      assert.ok(answer.status >= 400 && answer.status < 500, String(answer.status));
      assert.match(answer.text, said);
      assert.match(answer.html, /role="alert"/);
    }
    assert.deepEqual(await downloadsOf(list), []);
  });

  it('take one scrub at a time of a mailer, its programs and its people together', async () => {
    const { mailer, mia, base } = await place();
    const { scrubs } = service.deps.state;
    const other = {} as Parameters<typeof scrubs.set>[0];
    scrubs.set(other, mailer.id);
    try {
      const file = { name: 'mine.txt', content: `${rosa}\n` };
      const busy = await mia.upload(`${base}/scrub`, file, { return: 'white' });
      assert.equal(busy.status, 503);
      assert.match(busy.text, /being scrubbed just now/);
    } finally {
      scrubs.delete(other);
    }
  });
});

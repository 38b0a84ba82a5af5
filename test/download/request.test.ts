import assert from 'node:assert/strict';
import request from 'supertest';
import { addTags } from '../../src/core/tags.js';
import { optOutOf } from '../support/core.js';
import { download, listOf, type Downloadable } from '../support/downloads.js';
import { problemIn } from '../support/records.js';
import { startTestService, untilNumbered, type TestService } from '../support/service.js';

describe('The parameters of a download', () => {
  let service: TestService;
  let ours: Downloadable;
  before(async () => {
    service = await startTestService();
    ours = await listOf(service, ['ann@example.com']);
  });
  after(() => service.close());

  const get = (query: Record<string, string>) => download(service, ours, { format: 'plain', ...query });
  const raw = (query: string) =>
    request(service.url).get(`/l/${ours.list.publicId}/download?key=${ours.key}&${query}`);
  const linesOf = async (query: Record<string, string>) => {
    const { text, status } = await get(query);
    assert.equal(status, 200, text);
    return text.split('\n').filter(Boolean).sort();
  };

  async function isRefused(query: string, field: string, code: string): Promise<void> {
    const answer = await raw(query);
    assert.equal(answer.status, 400, query);
    const problem = problemIn(answer);
    assert.deepEqual([problem.field, problem.code], [field, code], query);
    assert.ok(problem.detail?.includes(field), problem.detail);
  }

  it('are known by name: a misspelt one would bring the whole list', async () => {
    for (const name of ['sinse', 'Format', 'tag[]', 'since[]', 'page', '__proto__', 'email', '<b>']) {
      await isRefused(`${encodeURIComponent(name)}=1`, name, 'unknown');
    }
    await isRefused('=1', '', 'unknown');
  });

  it('come once each', async () => {
    for (const query of [
      'format=md5&format=md5',
      'since=2020-01-01&since=2021-01-01',
      'tag=a&tag=b',
      'key=x',
    ]) {
      await isRefused(query, query.split('=')[0] ?? '', 'several');
    }
  });

  it('have values that we know', async () => {
    for (const query of ['format=sha1', 'format=', 'format=MD5', 'as=json', 'gzip=1', 'gzip=', 'as=']) {
      await isRefused(query, query.split('=')[0] ?? '', 'unknown');
    }
    await isRefused('tag=unknown', 'tag', 'unknown');
    await isRefused('tag=', 'tag', 'unknown');
    await isRefused('since=2020-01-01&cursor=x.1', 'since', 'conflict');
  });

  it('take a tag as what suppresses its mail: the tag, and everything', async () => {
    ours = await listOf(service, ['ann@example.com']);
    await addTags(service.deps.db, ours.list.id, ['offers', 'news']);
    await service.deps.recorder.record([
      optOutOf(ours.list.id, 'bob@example.com', { tag: 'offers' }),
      optOutOf(ours.list.id, 'cat@example.com', { tag: 'news' }),
      optOutOf(ours.list.id, 'ann@example.com', { tag: 'news' }),
    ]);
    await untilNumbered(service, ours.list);
    // The list's tags are remembered for two seconds, by an id that nobody has asked for yet.
    assert.deepEqual(await linesOf({ tag: 'offers' }), ['ann@example.com', 'bob@example.com']);
    assert.deepEqual(await linesOf({ tag: 'news' }), ['ann@example.com', 'cat@example.com']);
    assert.deepEqual(
      await linesOf({}),
      ['ann@example.com', 'bob@example.com', 'cat@example.com'],
      'each once',
    );
    assert.deepEqual(await linesOf({ tag: 'offers', since: '2020-01-01' }), []);
  });

  it('take a date or a time as the moment from which on an opt-out became known here', async () => {
    ours = await listOf(service);
    const noon = Date.parse('2026-01-31T12:00:00Z');
    await service.deps.recorder.record([
      optOutOf(ours.list.id, 'ann@example.com', { recordedAt: noon - 1, createdAt: noon - 1 }),
      optOutOf(ours.list.id, 'bob@example.com', { recordedAt: noon, createdAt: 1000 }),
    ]);
    const check = async () => {
      const both = ['ann@example.com', 'bob@example.com'];
      for (const since of [
        '2026-01-31',
        '2026-01-31T11:59:59.999Z',
        '2026-01-31T12:59:59.999+01:00',
        '0001-01-01',
      ]) {
        assert.deepEqual(await linesOf({ since }), both, since);
      }
      for (const since of ['2026-01-31T12:00:00Z', '2026-01-31t12:00z', '2026-01-31T13:00:00.000+01:00']) {
        assert.deepEqual(await linesOf({ since }), ['bob@example.com'], since);
      }
      assert.equal((await raw('format=plain&since=2026-01-31T13:00:00+01:00')).text, 'bob@example.com\n');
      for (const since of ['2026-02-01', '2026-01-31T12:00:00.001Z', '9999-12-31']) {
        assert.deepEqual(await linesOf({ since }), [], since);
      }
    };
    await check();
    await untilNumbered(service, ours.list);
    await check();
  });

  it('take nothing else for a date', async () => {
    for (const since of [
      ...['', 'x', '2026', '2026-01', '2026-1-1', '20260131', '31.01.2026', '1769860800', 'yesterday', 'NaN'],
      ...['2026-02-30', '2026-02-29', '2026-13-01', '2026-00-10', '2026-01-00', '2026-04-31', '-2026-01-01'],
      ...['2026-02-30T00:00:00Z', '2026-02-29T12:00Z', '2026-01-31T25:00:00Z', '2026-01-31T12:60:00Z'],
      ...[
        '2026-01-31T12:00:00',
        '2026-01-31 12:00:00Z',
        '2026-01-31T12:00:00+1',
        '2026-01-31T12:00:00Z ',
        '２０２６-01-31',
      ],
    ]) {
      await isRefused(`since=${encodeURIComponent(since)}`, 'since', 'malformed');
    }
    assert.equal((await get({ since: '2024-02-29' })).status, 200);
  });
});

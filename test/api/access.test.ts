import assert from 'node:assert/strict';
import { operations } from '../../src/api/operations.js';
import { isJson, type AnyOperation } from '../../src/api/operation.js';
import { api } from '../../src/api/index.js';
import { createAccount } from '../../src/core/accounts.js';
import { endCredential, getCredential, rights, type Right } from '../../src/core/credentials.js';
import type { List } from '../../src/core/lists.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { clientOf, problemIn, type Client } from './client.js';

describe('A key of the API', () => {
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
  });

  const ask = (call: Client, { method, path, example, body }: AnyOperation, publicId = list.publicId) => {
    const where = path
      .replace('{list}', publicId)
      .replace('{address}', 'nobody@example.com')
      .replace(/\{\w+\}/g, '1');
    const query = new URLSearchParams(example.query).toString();
    return call(method, `${where}?${query}`, isJson(body) ? { body: example.body } : {});
  };

  for (const right of rights) {
    it(`with the right ${right} alone can do what needs that, and nothing else`, async () => {
      const call = await clientOf(service, { rights: [right] });
      for (const operation of operations) {
        const answer = await ask(call, operation);
        if (operation.right === right) {
          assert.ok(![401, 403].includes(answer.status), `${operation.id}: ${answer.text}`);
          continue;
        }
        const { detail } = problemIn(answer, 'missing-right');
        assert.match(detail, new RegExp(`"${operation.right}"`));
        const challenge = String(answer.headers['www-authenticate']);
        assert.match(challenge, new RegExp(`error="insufficient_scope", scope="${operation.right}"`));
      }
    });
  }

  it('is in the history with each list that it begins to take away, before it is given anything', async () => {
    const call = await clientOf(service, { rights: ['read'] });
    const path = `/lists/${list.publicId}`;
    const { next_cursor } = (await call('get', `${path}/feed?format=md5`)).body as { next_cursor: string };
    for (const rest of [`feed?format=md5&cursor=${next_cursor}`, 'opt-outs', 'opt-outs?prefix=a']) {
      assert.equal((await call('get', `${path}/${rest}`)).status, 200);
    }
    const noted = await service.deps
      .db<{ id: number; list_id: number; action: string; actor: string; details: string }>('history')
      .where({ list_id: list.id, action: 'list.downloaded' })
      .orderBy('id');
    const actor = `credential ${call.credentialId}`;
    assert.deepEqual(
      noted.map((row) => [row.actor, JSON.parse(row.details) as unknown]),
      [
        [actor, { surface: 'api', part: 'feed', format: 'md5' }],
        [actor, { surface: 'api', part: 'search', format: 'plain' }],
      ],
    );
  });

  it('has the rights of its role: each role those of the one before, and more', () => {
    const of = (name: string) => api.roles.find((role) => role.name === name)?.rights;
    const ladder: Right[] = ['read', 'record', 'remove', 'admin'];
    for (const [i, name] of ['reader', 'recorder', 'editor', 'admin'].entries()) {
      assert.deepEqual(of(name), ladder.slice(0, i + 1));
    }
  });

  it('knows no other list than those that it is granted, by any operation', async () => {
    const other = await makeList(service);
    const account = await createAccount(service.deps.db, 'Other');
    const foreign = await makeList({ ...service, accountId: account.id });
    const strangers: [Client, List][] = [
      [await clientOf(service, { lists: [other] }), list],
      [await clientOf(service), foreign],
    ];
    for (const [call, hidden] of strangers) {
      for (const operation of operations.filter(({ path }) => path.includes('{list}'))) {
        const answer = await ask(call, operation, hidden.publicId);
        const none = await ask(call, operation, 'a'.repeat(20));
        problemIn(answer, 'not-found');
        assert.deepEqual([answer.status, answer.body], [none.status, none.body]);
      }
      const { body } = await call('get', '/lists?limit=100');
      const ids = (body as { lists: { id: string }[] }).lists.map(({ id }) => id);
      assert.equal(ids.includes(hidden.publicId), false);
    }
    assert.deepEqual(
      await service.deps.db('opt_outs').whereIn('list_id', [list.id, foreign.id]).select('tag'),
      [],
    );
  });

  it('is refused from elsewhere than its networks, naming the address', async () => {
    const call = await clientOf(service, { ipWhitelist: '203.0.113.0/24' });
    const { detail } = problemIn(await call('get', '/lists'), 'wrong-network');
    assert.match(detail, /127\.0\.0\.1/);
    const near = await clientOf(service, { ipWhitelist: '127.0.0.1' });
    assert.equal((await near('get', '/lists')).status, 200);
  });

  it('opens nothing once it has ended, nor at another surface', async () => {
    const call = await clientOf(service);
    const credential = await getCredential(service.deps.db, call.credentialId);
    await endCredential(service.deps.db, credential, { actor: 'test' });
    problemIn(await call('get', '/lists'), 'unauthorized');
    const other = await clientOf(service, { surface: 'sendcloud' });
    problemIn(await other('get', '/lists'), 'unauthorized');
  });

  it('that is none is told to wait after many tries, and holds no right one up', async () => {
    const own = await startTestService();
    try {
      const right = await clientOf(own);
      const strange = await clientOf(own);
      await own.deps.db('credentials').where({ id: strange.credentialId }).delete();
      for (let i = 0; i < 60; i++) problemIn(await strange('get', '/lists'), 'unauthorized');
      const answer = await strange('get', '/lists');
      problemIn(answer, 'too-many-requests');
      const seconds = Number(answer.headers['retry-after']);
      assert.ok(seconds > 0 && seconds <= 60, String(seconds));
      assert.equal((await right('get', '/lists')).status, 200);
    } finally {
      await own.close();
    }
  });

  it('that is none is never told to wait where it cannot be known who sends it', async () => {
    const own = await startTestService({ TRUST_PROXY: '' });
    try {
      const strange = await clientOf(own);
      await own.deps.db('credentials').delete();
      const headers = { 'X-Forwarded-For': '203.0.113.9' };
      for (let i = 0; i < 70; i++) problemIn(await strange('get', '/lists', { headers }), 'unauthorized');
    } finally {
      await own.close();
    }
  });
});

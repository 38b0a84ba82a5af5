import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import type { List } from '../../src/core/lists.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { clientOf, problemIn, type Client } from './client.js';

interface Suppressed {
  address: string;
  opt_outs: Record<string, unknown>[];
}

describe("The API's opt-outs", () => {
  let service: TestService;
  let list: List;
  let call: Client;
  let path: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    await addTags(service.deps.db, list.id, ['offers']);
    call = await clientOf(service);
    path = `/lists/${list.publicId}/opt-outs`;
  });
  const record = (email: string, more = {}) =>
    service.deps.recorder.record([optOutOf(list.id, email, { recordedAt: Date.now(), ...more })]);
  const isOut = (email: string, tag?: string) =>
    isSuppressed(service.deps.db, list.id, email, tag === undefined ? {} : { tag });

  it('are recorded by a PUT without a body: all mail, for ever', async () => {
    const before = Date.now();
    const first = await call('put', `${path}/Ann%2Bsale@Example.com`);
    assert.equal(first.status, 201);
    const { address, opt_outs } = first.body as Suppressed;
    assert.equal(address, 'ann+sale@example.com');
    const [{ created_at, recorded_at, ...rest } = {}] = opt_outs;
    assert.ok(Date.parse(String(created_at)) >= before);
    assert.equal(recorded_at, created_at);
    assert.deepEqual(rest, {
      ...{ tag: '*', on_global_list: false, known_by: 'address', source: 'api' },
      ...{ expires_at: null, reason: null, credential_id: call.credentialId, mailer_id: null },
    });
    const again = await call('put', `${path}/ann+sale@example.com`);
    assert.deepEqual([again.status, again.body], [200, first.body]);
    const [row] = await findOptOuts(service.deps.db, list.id, 'ann+sale@example.com');
    assert.deepEqual(
      [row?.source, row?.given?.toString(), row?.vouched, row?.repeats],
      ['api', 'Ann+sale@Example.com', 1, 1],
    );
    assert.equal(await isOut('ann+sale@example.com'), true);
  });

  it('are no matter of a key that may record and not read: it hears what it has said', async () => {
    const blind = await clientOf(service, { rights: ['record'] });
    const body = { tag: 'offers', created_at: '2024-02-29T12:30:00Z', reason: 'spam' };
    const put = () => blind('put', `${path}/ann@example.com`, { body });
    const unknown = await put();
    await record('ann@example.com', { source: 'page', reason: 'secret' });
    const known = await put();
    const timeless = ({ text }: { text: string }) => text.replace(/("recorded_at":")[^"]*/, '$1');
    assert.deepEqual([unknown.status, known.status], [201, 201]);
    assert.equal(timeless(known), timeless(unknown));
    assert.equal(known.headers['content-length'], unknown.headers['content-length']);
    const [optOut] = (known.body as Suppressed).opt_outs;
    assert.deepEqual([optOut?.tag, optOut?.reason], ['offers', 'spam']);
    assert.equal(await isOut('ann@example.com', 'offers'), true);
  });

  it('keep what the PUT says of them, within the bounds of time', async () => {
    const body = {
      tag: 'offers',
      created_at: '2024-02-29T13:30:00+01:00',
      expires_at: '2999-12-31T00:00:00Z',
      reason: 'spam',
    };
    const answer = await call('put', `${path}/ann@example.com`, { body });
    const [optOut] = (answer.body as Suppressed).opt_outs;
    assert.deepEqual(
      [optOut?.tag, optOut?.created_at, optOut?.expires_at, optOut?.reason],
      ['offers', '2024-02-29T12:30:00.000Z', '2999-12-31T00:00:00.000Z', 'spam'],
    );
    assert.deepEqual(
      [await isOut('ann@example.com', 'offers'), await isOut('ann@example.com')],
      [true, false],
    );

    for (const [email, created_at] of [
      ['bob@example.com', '2999-01-01T00:00:00Z'],
      ['cat@example.com', '1901-01-01T00:00:00Z'],
    ] as const) {
      await call('put', `${path}/${email}`, { body: { created_at } });
    }
    const [bob] = await findOptOuts(service.deps.db, list.id, 'bob@example.com');
    const [cat] = await findOptOuts(service.deps.db, list.id, 'cat@example.com');
    assert.equal(bob?.created_at, bob?.recorded_at);
    assert.equal(cat?.created_at, 0);
  });

  it('are found by their address, each tag for itself, while they last', async () => {
    await record('ann@example.com', { tag: 'offers', expiresAt: Date.now() + 3_600_000 });
    await record('ann@example.com', { source: 'page' });
    const { body } = await call('get', `${path}/ann@example.com`);
    assert.deepEqual(
      (body as Suppressed).opt_outs.map(({ tag, source }) => [tag, source]),
      [
        ['*', 'page'],
        ['offers', 'server'],
      ],
    );
    problemIn(await call('get', `${path}/bob@example.com`), 'not-found');
    await record('old@example.com', { expiresAt: Date.now() - 1000 });
    problemIn(await call('get', `${path}/old@example.com`), 'not-found');
  });

  it('are found where only a hash of them is known', async () => {
    await plant(service.deps.db, list.id, [rowKinds.md5Only('ann@example.com')]);
    await plant(service.deps.db, list.id, [rowKinds.sha256Only('bob@example.com')]);
    for (const email of ['ann@example.com', 'bob@example.com']) {
      const { body } = await call('get', `${path}/${email}`);
      assert.deepEqual(
        [(body as Suppressed).address, (body as Suppressed).opt_outs[0]?.known_by],
        [email, 'hash'],
      );
    }
  });

  it('count those of the global list, which DELETE leaves alone', async () => {
    const account = await createAccount(service.deps.db, 'Global');
    const [own, global] = await Promise.all(
      [1, 2].map(() => makeList({ ...service, accountId: account.id })),
    );
    assert.ok(own && global);
    await setGlobalList(service.deps.db, account, global, { actor: 'test' });
    const theirs = await clientOf(service, {}, account.id);
    const at = `/lists/${own.publicId}/opt-outs`;
    await theirs('put', `/lists/${global.publicId}/opt-outs/ann@example.com`);
    const { body } = await theirs('get', `${at}/ann@example.com`);
    assert.equal((body as Suppressed).opt_outs[0]?.on_global_list, true);
    await theirs('put', `${at}/bob@example.com`);
    const found = (await theirs('get', at)).body as { suppressed: Suppressed[] };
    assert.deepEqual(
      found.suppressed.map((one) => [one.address, one.opt_outs[0]?.on_global_list]),
      [
        ['ann@example.com', true],
        ['bob@example.com', false],
      ],
    );
    problemIn(await theirs('delete', `${at}/ann@example.com`), 'not-found');
    assert.equal(await isSuppressed(service.deps.db, own.id, 'ann@example.com'), true);
  });

  it('are removed by tag or all at once, which the history notes', async () => {
    await record('ann@example.com', { tag: 'offers' });
    await record('ann@example.com');
    const one = await call('delete', `${path}/ann@example.com?tag=offers`);
    assert.deepEqual([one.status, one.text], [204, '']);
    const { body } = await call('get', `${path}/ann@example.com`);
    assert.deepEqual(
      (body as Suppressed).opt_outs.map(({ tag }) => tag),
      ['*'],
    );
    assert.equal((await call('delete', `${path}/ann@example.com`)).status, 204);
    problemIn(await call('delete', `${path}/ann@example.com`), 'not-found');
    assert.equal(await isOut('ann@example.com'), false);
    const noted = await service.deps.db('history').where({ list_id: list.id, action: 'opt-out.removed' });
    assert.deepEqual(
      noted.map(({ actor }: { actor: string }) => actor),
      [1, 2].map(() => `credential ${call.credentialId}`),
    );
  });

  it('are recorded by the thousand, all or none', async () => {
    const opt_outs = Array.from({ length: 1000 }, (_, i) => ({ address: `a${i}@example.com` }));
    const { status, body } = await call('post', path, { body: { opt_outs } });
    assert.deepEqual([status, body], [200, { recorded: 1000 }]);
    assert.equal(await isOut('a999@example.com'), true);

    const broken = [
      { address: 'new@example.com' },
      { address: 'nobody' },
      { address: 'x@example.com', tag: 'nothing we know', expires_at: 'soon' },
      { addres: 'x@example.com' },
    ];
    const { errors } = problemIn(await call('post', path, { body: { opt_outs: broken } }), 'invalid-request');
    assert.deepEqual(
      errors?.map(({ pointer, code }) => [pointer, code]),
      [
        ['#/opt_outs/1/address', 'no-at'],
        ['#/opt_outs/2/expires_at', 'no-time'],
        ['#/opt_outs/3/address', 'missing'],
        ['#/opt_outs/3/addres', 'unknown'],
        ['#/opt_outs/2/tag', 'unknown-tag'],
      ],
    );
    const tags = [{ address: 'new@example.com' }, { address: 'x@example.com', tag: 'nothing we know' }];
    const unknown = problemIn(await call('post', path, { body: { opt_outs: tags } }), 'invalid-request');
    assert.deepEqual(
      unknown.errors?.map(({ pointer, code }) => [pointer, code]),
      [['#/opt_outs/1/tag', 'unknown-tag']],
    );
    for (const wrong of [[], [...opt_outs, { address: 'b@example.com' }]]) {
      problemIn(await call('post', path, { body: { opt_outs: wrong } }), 'invalid-request');
    }
    const none = problemIn(await call('post', path, { body: { opt_outs: [] } }), 'invalid-request');
    assert.equal(none.errors?.[0]?.detail, 'It must have at least 1 entry.');
    assert.equal(await isOut('new@example.com'), false);
  });

  it('take one address twice in a batch, in two spellings', async () => {
    const opt_outs = [
      { address: 'Ann@Example.com', created_at: '2024-01-01T00:00:00Z' },
      { address: 'ann@example.com', created_at: '2023-01-01T00:00:00Z' },
    ];
    assert.equal((await call('post', path, { body: { opt_outs } })).status, 200);
    const rows = await findOptOuts(service.deps.db, list.id, 'ann@example.com');
    assert.deepEqual(
      rows.map(({ created_at }) => created_at),
      [Date.UTC(2023, 0)],
    );
  });

  it('know a tag as soon as the list does', async () => {
    problemIn(await call('put', `${path}/ann@example.com`, { body: { tag: 'new' } }), 'invalid-request');
    await addTags(service.deps.db, list.id, ['new']);
    assert.equal((await call('put', `${path}/ann@example.com`, { body: { tag: 'new' } })).status, 201);
  });
});

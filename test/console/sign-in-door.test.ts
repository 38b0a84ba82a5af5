import assert from 'node:assert/strict';
import { goodPassword, pageOf } from '../support/console.js';
import { startTestService } from '../support/service.js';
import { makeUser, sendForm, signInByForm, tokenIn } from './strangers.js';

describe('The door of the sign-in', function () {
  this.timeout(60_000);

  it('keeps its cookie to itself over https', async () => {
    const service = await startTestService({ BASE_URL: 'https://out.example.com' });
    try {
      const user = await makeUser(service);
      const answer = await sendForm(service, '/console/sign-in', {
        email: user.email,
        password: goodPassword,
      });
      const [cookie = ''] = answer.headers.getSetCookie();
      assert.match(
        cookie,
        /^__Host-signoff=[\w-]{43}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure$/,
      );
      const profile = (name: string) =>
        fetch(`${service.url}/console/profile`, {
          redirect: 'manual',
          headers: { Cookie: `${name}=${tokenIn(answer) ?? ''}` },
        });
      assert.equal((await profile('__Host-signoff')).status, 200);
      assert.equal((await profile('signoff')).status, 303, 'a neighbour could have planted that one');
      const two = await fetch(`${service.url}/console/profile`, {
        redirect: 'manual',
        headers: { Cookie: `__Host-signoff=${'A'.repeat(43)}; __Host-signoff=${tokenIn(answer) ?? ''}` },
      });
      assert.equal(two.status, 303);
    } finally {
      await service.close();
    }
  });

  it('is closed while the database is away', async () => {
    const service = await startTestService({ DATABASE_TIMEOUT_MS: '500' });
    const user = await makeUser(service);
    const visitor = await signInByForm(service, user);
    await service.deps.db.schema.renameTable('sign_in_tries', 'sign_in_tries_away');
    const uncounted = await sendForm(service, '/console/sign-in', {
      email: user.email,
      password: goodPassword,
    });
    assert.equal(uncounted.status, 500, 'whoever cannot be counted is not let in');
    assert.equal(tokenIn(uncounted), null);
    await service.deps.db.destroy();
    const shown = await pageOf(await fetch(`${service.url}/console/sign-in`));
    assert.equal(shown.status, 200);
    const answer = await sendForm(service, '/console/sign-in', { email: user.email, password: goodPassword });
    assert.equal(answer.status, 503);
    assert.equal(tokenIn(answer), null);
    assert.equal(answer.headers.get('retry-after'), '5');
    assert.equal((await visitor.get('/console/profile')).status, 503);
    service.deps.db.initialize();
    await service.close();
  });

  it('refuses a flood before it reaches the database', async () => {
    const service = await startTestService();
    try {
      const fields = { email: 'nobody@example.com', password: 'not the one at all' };
      const statuses = new Map<number, number>();
      for (let i = 0; i < 130; i++) {
        const { status } = await sendForm(service, '/console/sign-in', fields);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
      assert.deepEqual(Object.fromEntries(statuses), { 422: 10, 429: 120 });
      await service.deps.db('sign_in_tries').delete();
      assert.equal((await sendForm(service, '/console/sign-in', fields)).status, 429);
      assert.equal((await service.deps.db('sign_in_tries')).length, 0, 'nothing was written');
    } finally {
      await service.close();
    }
  });

  it('holds its limits over two services on one database', async () => {
    const one = await startTestService();
    const two = await startTestService({ DATABASE_URL: one.databaseUrl });
    try {
      const user = await makeUser(one);
      const wrong = { email: user.email, password: 'not the one at all' };
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, i) => sendForm(i % 2 === 0 ? one : two, '/console/sign-in', wrong)),
      );
      const looked = answers.filter(({ status }) => status === 422).length;
      assert.ok(looked <= 10, `${looked} were looked at`);
      assert.ok(answers.every(({ status }) => [422, 429, 503].includes(status)));
      const rest = [];
      for (let i = 0; i < 12; i++)
        rest.push((await sendForm(i % 2 === 0 ? one : two, '/console/sign-in', wrong)).status);
      assert.equal(looked + rest.filter((status) => status === 422).length, 10);
    } finally {
      await two.close();
      await one.close();
    }
  });
});

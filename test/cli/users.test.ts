import assert from 'node:assert/strict';
import { findUserByEmail } from '../../src/core/users.js';
import { goodPassword } from '../support/console.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';
import { signInByForm, makeUser, sendForm, tokenIn, withCodes } from '../console/strangers.js';
import { environmentOf, signoff } from './signoff.js';

const password = 'another one, quite as long';

interface Shown {
  readonly id: number;
  readonly role: string;
  readonly account_id: number | null;
  readonly mailer_id: number | null;
  readonly state: string;
  readonly codes: boolean;
  readonly email: string;
  readonly link?: string;
}

describe('The commands signoff user', function () {
  this.timeout(120_000);
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const run = (...args: string[]) => signoff(environmentOf(service.databaseUrl), ['user', ...args]);
  const done = async (...args: string[]) => {
    const ran = await run(...args, '--json');
    assert.equal(ran.code, 0, ran.stderr);
    return ran.json<Shown>();
  };
  /** Of a link that begins with the BASE_URL of the command. */
  const pathOf = (link = '') => link.slice('https://out.example.com'.length);
  const choose = (link: string | undefined) => sendForm(service, pathOf(link), { password, again: password });

  it('invite an admin, an owner and a mailer, each by a link that works', async () => {
    const { mailer } = await makeMailer(service, await makeList(service));
    const name = ['--name', 'Ada'];
    const admin = await done('create', '--role', 'admin', '--email', 'Ada@Example.com', ...name);
    assert.deepEqual([admin.role, admin.account_id, admin.state], ['admin', null, 'invited']);
    assert.match(admin.link ?? '', /^https:\/\/out\.example\.com\/console\/invitation\/[\w-]{43}$/);
    assert.notEqual(tokenIn(await choose(admin.link)), null);
    const owner = await done('create', '--role', 'owner', '--email', 'olive@example.com', ...name);
    assert.deepEqual([owner.role, owner.account_id], ['owner', service.accountId]);
    const byName = ['--mailer', String(mailer.id)];
    const max = await done('create', '--role', 'mailer', ...byName, '--email', 'max@example.com', ...name);
    assert.deepEqual([max.account_id, max.mailer_id], [service.accountId, mailer.id]);
    const told = await run('list');
    assert.match(told.stdout, /owner\s+Ada\s+olive@example\.com\s+invited\s+no/);
    assert.doesNotMatch(told.stdout, /ada@example\.com/);
    assert.match((await run('list', '--admins')).stdout, /admin\s+Ada\s+ada@example\.com\s+active/);
  });

  it('print the link for people too, and note no address in the history', async () => {
    const { stdout } = await run('create', '--role', 'admin', '--email', 'abe@example.com', '--name', 'Abe');
    assert.match(stdout, /^User \d+, Abe, is invited\. The link, shown only this once, until 20/);
    assert.match(stdout, /\n {2}https:\/\/out\.example\.com\/console\/invitation\/[\w-]{43}\n/);
    const history = JSON.stringify(await service.deps.db('history'));
    assert.match(history, /user\.created/);
    assert.doesNotMatch(history, /abe@example/);
  });

  it('refuse what does not go together, and say why', async () => {
    const base = ['--email', 'x@example.com', '--name', 'X'];
    const refused = async (...args: string[]) => {
      const { code, stderr } = await run('create', ...args);
      assert.equal(code, 1);
      return stderr;
    };
    assert.match(await refused('--role', 'mailer', ...base), /needs --mailer/);
    assert.match(await refused('--role', 'admin', '--account', '1', ...base), /Leave --account out/);
    assert.match(await refused('--role', 'owner', '--mailer', '1', ...base), /Leave --mailer out/);
    assert.match(
      await refused('--role', 'owner', '--email', 'x', '--name', 'X'),
      /must be an e-mail address/,
    );
    const user = await makeUser(service);
    assert.match(
      await refused('--role', 'owner', '--email', user.email, '--name', 'X'),
      /signs in with already/,
    );
    assert.equal((await run('create', '--role', 'guest', ...base)).code, 2);
    assert.equal((await run('link', '999999')).code, 1);
    assert.match((await run('link', 'nobody@example.com')).stderr, /There is no such user/);
    assert.equal(await findUserByEmail(service.deps.db, 'x@example.com'), null);
  });

  it('give somebody who has forgotten the password a link for another one', async () => {
    const user = await makeUser(service);
    const { link } = await done('link', user.email);
    assert.match(link ?? '', /\/console\/password\//);
    assert.notEqual(tokenIn(await choose(link)), null);
    assert.equal((await choose(link)).status, 404);
  });

  it('end somebody, whose sessions are over at once, and revive by an invitation', async () => {
    const user = await makeUser(service);
    const visitor = await signInByForm(service, user);
    assert.equal((await done('end', String(user.id))).state, 'ended');
    assert.match((await visitor.get('/console/profile')).location ?? '', /sign-in/);
    assert.match((await run('link', String(user.id))).stderr, /signoff user revive/);
    const { link, state } = await done('revive', user.email);
    assert.equal(state, 'invited');
    assert.notEqual(tokenIn(await choose(link)), null);
    assert.match((await run('revive', user.email)).stderr, /was not ended/);
  });

  it('end the last admin only when told to', async () => {
    for (const { id } of (
      await signoff(environmentOf(service.databaseUrl), ['user', 'list', '--admins', '--json'])
    ).json<Shown[]>()) {
      const ended = await run('end', String(id));
      if (ended.code === 0) continue;
      assert.match(ended.stderr, /This is the last admin/);
      await done('end', String(id), '--even-last');
    }
    const left = (await run('list', '--admins', '--json')).json<Shown[]>();
    assert.ok(left.every(({ state }) => state === 'ended'));
  });

  it('give somebody another address at once, with which alone the user signs in', async () => {
    const user = await makeUser(service);
    const visitor = await signInByForm(service, user);
    const email = 'olive.moved@example.com';
    assert.match((await run('email', user.email, 'nonsense')).stderr, /must be an e-mail address/);
    assert.equal((await done('email', user.email, 'Olive.Moved@example.com')).email, email);
    assert.match((await visitor.get('/console/profile')).location ?? '', /sign-in/);
    assert.notEqual(await signInByForm(service, { ...user, email }), null);
    const fields = { email: user.email, password: goodPassword };
    assert.equal((await sendForm(service, '/console/sign-in', fields)).status, 422);
    const taken = await run('email', String(user.id), (await makeUser(service)).email);
    assert.match(taken.stderr, /signs in with already/);
  });

  it('switch the codes off of who has lost them', async () => {
    const made = await makeUser(service);
    const visitor = await signInByForm(service, made);
    const { user } = await withCodes(service, made);
    assert.equal((await done('codes-off', user.email)).codes, false);
    assert.match((await visitor.get('/console/profile')).location ?? '', /sign-in/);
    assert.notEqual(await signInByForm(service, user), null);
    assert.match((await run('codes-off', user.email)).stderr, /is asked for no codes/);
    assert.equal((await service.deps.db('recovery_codes').where({ user_id: user.id })).length, 0);
  });
});

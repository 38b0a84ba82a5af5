import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { readConfig } from '../../src/config.js';
import { consoleTexts } from '../../src/console/texts.js';
import { hasPendingChanges } from '../../src/core/feed.js';
import {
  canSendMail,
  claimMail,
  mostTries,
  mostWaiting,
  queueMail,
  type Mail,
} from '../../src/core/mails.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { rowOf } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import { startKeeper, type Keeper } from '../../src/keeper/keeper.js';
import { createLog } from '../../src/log.js';
import { migratedDatabase, newList, optOutOf, type TestDatabase } from '../support/core.js';
import { skipBecause } from '../support/engine.js';
import { startMailServer, startSilentServer, type MailServer } from '../support/mail-server.js';
import { startTestService, until } from '../support/service.js';

const secret = 'a secret of at least 32 characters';
const from = 'Acme, Inc. <out@acme.example>';
const letter: Mail = { to: 'ann@example.com', subject: 'Hello', text: 'Hello Ann.\n' };
const minute = 60_000;

describe('The mails of the installation', () => {
  let test: TestDatabase;
  let db: Db;
  let logged: string[] = [];
  const keepers = new Set<Keeper>();
  const servers = new Set<{ close(): Promise<void> }>();

  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    await test.clear();
    await db('mails').delete();
    logged = [];
  });
  afterEach(async () => {
    await Promise.all([...keepers].map((keeper) => keeper.stop()));
    keepers.clear();
    await Promise.all([...servers].map((server) => server.close()));
    servers.clear();
  });

  const log = createLog('warn', { write: (line: string) => void logged.push(line) });
  const post = { secret, log, texts: consoleTexts, baseUrl: 'http://signoff.test' };
  function start(SMTP_URL: string): Keeper {
    const { retention, mail: settings } = readConfig({ SMTP_URL, MAIL_FROM: from });
    const keeper = startKeeper(test.another(), log, 'ann', retention, { settings, ...post });
    keepers.add(keeper);
    return keeper;
  }
  async function open<T extends { close(): Promise<void> }>(server: Promise<T>): Promise<T> {
    const opened = await server;
    servers.add(opened);
    return opened;
  }
  const waiting = () =>
    db<{ id: number; tries: number; due_at: number; expires_at: number }>('mails').orderBy('id');
  const untilSent = (server: MailServer, count: number) =>
    until(`${count} mails have come`, () => server.received.length >= count);
  const untilNone = () => until('no mail waits', async () => (await waiting()).length === 0);
  const isTried = async () => (await waiting()).every(({ tries }) => tries > 0);

  it('are sent by the service, in UTF-8, and are gone then', async () => {
    const server = await open(startMailServer());
    const service = await startTestService({ SMTP_URL: server.url, MAIL_FROM: from });
    try {
      assert.equal(canSendMail(service.deps.config), true);
      const text = 'アンさん、こんにちは。\n\n.\nA line of its own: https://out.example.com/one?a=1&b=ü\n';
      const mail = { to: 'Ann@Example.com', subject: '登録解除のお知らせ：ü', text };
      assert.equal(await queueMail(service.deps.db, service.deps.secret, mail), true);
      await untilSent(server, 1);
      const [received] = server.received;
      assert.ok(received !== undefined);
      assert.deepEqual(received.recipients, ['Ann@example.com']);
      assert.equal(received.subject, mail.subject);
      assert.equal(received.text, text);
      assert.equal(received.html, false);
      assert.equal(received.from?.text, '"Acme, Inc." <out@acme.example>');
      assert.equal(received.headers.get('auto-submitted'), 'auto-generated');
      assert.ok(received.messageId?.endsWith('@acme.example>') && received.date instanceof Date);
      await until('none waits', async () => (await service.deps.db('mails').first('id')) === undefined);
      assert.doesNotMatch(service.logged.join(), /ann@|https:\/\/out\.example\.com\/one/i);
    } finally {
      await service.close();
    }
  });

  it('can be sent only where there is a server for them', () => {
    assert.equal(canSendMail(readConfig({})), false);
    assert.equal(canSendMail(readConfig({ SMTP_URL: 'smtp://localhost', MAIL_FROM: from })), true);
  });

  it('are sealed while they wait, and part of what is the reason for them', async () => {
    await assert.rejects(
      db.transaction(async (trx) => {
        await queueMail(trx, secret, letter);
        throw new Error('something else went wrong');
      }),
    );
    assert.deepEqual(await waiting(), []);
    await queueMail(db, secret, letter);
    const [row] = await db<{ sealed: Buffer }>('mails');
    assert.ok(row !== undefined && !/ann|hello/i.test(row.sealed.toString('latin1')));
    const asOther = await claimMail(db, `${secret}!`, Date.now(), (_id, why) => logged.push(why));
    assert.deepEqual([asOther, logged], ['again', ['unreadable']]);
  });

  it('let nobody write headers, or to others', async () => {
    const server = await open(startMailServer());
    for (const to of [
      'ann@example.com, eve@example.com',
      'ann@example.com\r\nBcc: eve@example.com',
      'Ann',
      '',
    ]) {
      await assert.rejects(queueMail(db, secret, { ...letter, to }), { name: 'Invalid', field: 'to' }, to);
    }
    const subject = 'Hi\r\nBcc: eve@example.com\r\n\r\nGo to http://eve.example';
    await queueMail(db, secret, {
      ...letter,
      subject,
      text: 'Bcc: eve@example.com\r\n.\r\nRCPT TO:<eve@example.com>\r\n',
    });
    // The test's server takes no such address; what counts is that it is not taken for two.
    await queueMail(db, secret, { ...letter, to: '"ann, eve@example.com, bob"@example.com' });
    start(server.url);
    await untilNone();
    const [first, ...others] = server.received;
    assert.deepEqual(first?.recipients, ['ann@example.com']);
    assert.equal(first.subject, 'Hi Bcc: eve@example.com Go to http://eve.example');
    assert.equal(first.headers.has('bcc'), false);
    assert.equal(first.text, 'Bcc: eve@example.com\n.\nRCPT TO:<eve@example.com>\n');
    assert.deepEqual(others, []);
  });

  it('are given up where the server refuses them for good, and the next ones go', async () => {
    const server = await open(
      startMailServer({
        onRcptTo({ address }, _session, callback) {
          const refusal = Object.assign(new Error(`No such user: ${address}`), { responseCode: 550 });
          callback(address.startsWith('bob') ? refusal : null);
        },
      }),
    );
    await queueMail(db, secret, { ...letter, to: 'bob@example.com' });
    await queueMail(db, secret, letter);
    start(server.url);
    await untilSent(server, 1);
    await untilNone();
    const refusals = logged.filter((line) => line.includes('"response_code":550'));
    assert.equal(refusals.length, 1);
    assert.doesNotMatch(logged.join(), /bob|example\.com/);
  });

  it('are tried again later where the server asks for it', async () => {
    let isBusy = true;
    const server = await open(
      startMailServer({
        onRcptTo(_address, _session, callback) {
          callback(isBusy ? Object.assign(new Error('Try later'), { responseCode: 451 }) : null);
        },
      }),
    );
    await queueMail(db, secret, letter);
    start(server.url);
    await until('it was tried', isTried);
    const [row] = await waiting();
    assert.ok(row !== undefined && row.due_at > Date.now() + minute / 2 && row.due_at <= Date.now() + minute);
    isBusy = false;
    await db('mails').update({ due_at: 1 });
    await untilSent(server, 1);
    await untilNone();
  });

  it('are tried some times with longer and longer pauses, and given up then, or when they are too late', async () => {
    const at = Date.now();
    await queueMail(db, secret, letter, { now: at });
    const givenUp: string[] = [];
    const claim = (now: number) => claimMail(db, secret, now, (_id, why) => givenUp.push(why));
    const pauses: number[] = [];
    for (let now = at, tries = 1; tries <= mostTries; tries++) {
      const claimed = await claim(now);
      assert.ok(claimed !== null && claimed !== 'again');
      assert.deepEqual([claimed.tries, claimed.mail], [tries, letter]);
      const due = (await waiting())[0]?.due_at ?? 0;
      assert.equal(await claim(due - 1), null);
      pauses.push((due - now) / minute);
      now = due;
    }
    assert.deepEqual(pauses, [1, 5, 15, 60, 180, 360, 1]);
    assert.equal(await claim(at + 23 * 60 * minute), 'again');
    assert.deepEqual([await waiting(), givenUp], [[], ['too-many-tries']]);
    await queueMail(db, secret, letter, { now: at, forMs: 30 * minute });
    assert.equal(await claim(at + 30 * minute), 'again');
    assert.deepEqual([await waiting(), givenUp], [[], ['too-many-tries', 'too-late']]);
  });

  it('are taken by one of several who want to send them', async () => {
    await queueMail(db, secret, letter);
    const pools = Array.from({ length: 4 }, () => test.another());
    const now = Date.now();
    const claimed = await Promise.all(pools.map((pool) => claimMail(pool, secret, now, () => undefined)));
    assert.equal(claimed.filter((one) => one !== null && one !== 'again').length, 1);
  });

  it('hold up no numbering, and no stop, while their server says nothing', async () => {
    const server = await open(startSilentServer());
    const list = await newList(db);
    await queueMail(db, secret, letter);
    const keeper = start(server.url);
    await until('the server was asked', () => server.connections.size > 0);
    for (let n = 0; n < 3; n++) {
      await writeOptOuts(db, [rowOf(optOutOf(list, `p${n}@example.com`))]);
      keeper.wake();
      await until('it is numbered', async () => !(await hasPendingChanges(db, list)));
    }
    assert.deepEqual(
      [server.connections.size, keeper.troubledSince()],
      [1, null],
      'all that beside the mail',
    );
    const startedAt = Date.now();
    await keeper.stop();
    assert.ok(Date.now() - startedAt < 6000);
    assert.deepEqual(
      (await waiting()).map(({ tries }) => tries),
      [1],
    );
  }).timeout(20_000);

  it('leave a server alone for a while that takes none', async () => {
    const server = await open(startMailServer());
    await server.close();
    for (let n = 0; n < 3; n++) await queueMail(db, secret, letter);
    const keeper = start(server.url);
    await until('it is told', () => logged.length > 0);
    await writeOptOuts(db, [rowOf(optOutOf(await newList(db), 'bob@example.com'))]);
    // Two more rounds of its sweeps.
    await new Promise((resolve) => setTimeout(resolve, 2200));
    assert.deepEqual(
      (await waiting()).map(({ tries }) => tries),
      [1, 0, 0],
    );
    assert.equal(logged.length, 1);
    assert.match(logged[0] ?? '', /"code":"ESOCKET"/);
    assert.equal(keeper.troubledSince(), null);
  });

  it('wait in a queue that has an end', async () => {
    const rows = Array.from({ length: mostWaiting }, () => ({
      ...{ sealed: Buffer.from('x'), created_at: 1, due_at: 1, expires_at: 1 },
    }));
    for (let i = 0; i < rows.length; i += 500) await db('mails').insert(rows.slice(i, i + 500));
    assert.equal(await queueMail(db, secret, letter), false);
    await db('mails')
      .where('id', (await waiting())[0]?.id ?? 0)
      .delete();
    assert.equal(await queueMail(db, secret, letter), true);
  });

  it('are forgotten after a day where none are sent any more', async () => {
    await queueMail(db, secret, letter, { now: Date.now() - 25 * 60 * minute });
    await queueMail(db, secret, letter);
    const { retention } = readConfig({});
    keepers.add(startKeeper(test.another(), log, 'ann', retention, { settings: null, ...post }));
    await until('the old one is gone', async () => (await waiting()).length === 1);
    assert.equal((await waiting())[0]?.tries, 0);
  });

  describe('go to a server that wants a login', () => {
    const withLogin = ({ port }: MailServer, host: string) => `smtp://acme:pass@${host}:${port}`;

    it('with it on this machine, where nobody could listen', async () => {
      const server = await open(startMailServer({ authOptional: false }));
      await queueMail(db, secret, letter);
      start(withLogin(server, '127.0.0.1'));
      await untilSent(server, 1);
      assert.deepEqual(server.logins, ['acme']);
    });

    it('over a network never without TLS, even where it offers none', async function () {
      const [outside] = Object.values(networkInterfaces())
        .flatMap((addresses) => addresses ?? [])
        .filter(({ family, internal }) => family === 'IPv4' && !internal);
      if (outside === undefined) skipBecause(this, 'this machine has no address but loopback');
      const server = await open(startMailServer({}, '0.0.0.0'));
      await queueMail(db, secret, letter);
      start(withLogin(server, outside.address));
      await until('it was tried, and told', () => logged.length > 0);
      assert.match(logged[0] ?? '', /"command":"STARTTLS"/);
      assert.deepEqual([server.logins, server.received], [[], []]);
    });
  });
});

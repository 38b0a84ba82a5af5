import assert from 'node:assert/strict';
import { createAccount, type Account } from '../../src/core/accounts.js';
import { createList, type List } from '../../src/core/lists.js';
import { createMailer, grantList, type Mailer } from '../../src/core/mailers.js';
import { createSession } from '../../src/core/sessions.js';
import { endUser } from '../../src/core/user-ends.js';
import { routes } from '../../src/console/routes.js';
import { signInAs, visitorOf, type ConsolePage, type Visitor } from '../support/console.js';
import { startTestService, type TestService } from '../support/service.js';
import { groups, matrix } from './matrix.js';
import { neededBy, samplesOf, type Samples } from './samples.js';

type Role = 'admin' | 'owner' | 'mailer' | 'nobody';

/** What a path's placeholders stand for: things of one account. */
interface Place {
  readonly account: Account;
  readonly list: List;
  readonly mailer: Mailer;
  readonly samples: Samples;
}

describe('Who may open what in the console', function () {
  this.timeout(120_000);
  let service: TestService;
  let ours: Place;
  let theirs: Place;
  /** Of our account, and the list of the other roles' is granted to the mailer. */
  let visitors: Record<Exclude<Role, 'nobody'>, Visitor>;
  /** Who are somebody, and have nothing here. */
  let strangers: Record<string, Visitor>;

  before(async () => {
    service = await startTestService();
    const { db } = service.deps;
    ours = await placeOf('Ours');
    theirs = await placeOf('Theirs');
    await grantList(db, ours.mailer, ours.list, { actor: 'test' });
    const ungranted = await createMailer(db, ours.account.id, { name: 'No list' }, { actor: 'test' });
    visitors = {
      admin: await signInAs(service, 'admin'),
      owner: await signInAs(service, { owner: ours.account }),
      mailer: await signInAs(service, { mailer: ours.mailer }),
    };
    const ended = await signInAs(service, { owner: ours.account });
    await endUser(db, ended.user, { actor: 'test' });
    const old = await signInAs(service, { owner: ours.account });
    await db('sessions').where({ user_id: old.user.id }).update({ expires_at: Date.now() });
    const revived = await signInAs(service, { owner: ours.account });
    await endUser(db, revived.user, { actor: 'test' });
    await createSession(db, revived.user, { ip: null, browser: '' });
    strangers = {
      'the owner of another account': await signInAs(service, { owner: theirs.account }),
      'a mailer of another account': await signInAs(service, { mailer: theirs.mailer }),
      'a mailer without the list': await signInAs(service, { mailer: ungranted }),
      'an owner who was ended': ended,
      'an ended owner with a session': revived,
      'an owner whose session has run out': old,
      'somebody with a made-up session': visitorOf(service, ended.user, 'A'.repeat(43)),
      'somebody with half a session': visitorOf(service, ended.user, ''),
    };
  });
  after(() => service.close('an ended owner with a session'));

  async function placeOf(name: string): Promise<Place> {
    const { db } = service.deps;
    const account = await createAccount(db, name);
    const list = await createList(db, account.id, { name: `${name} News` }, { actor: 'test' });
    const mailer = await createMailer(db, account.id, { name: `${name} Mail` }, { actor: 'test' });
    return { account, list, mailer, samples: await samplesOf(service, account, list, mailer) };
  }

  /** A route's path, with what its placeholders stand for. */
  function pathOf(route: string, { account, list, samples }: Place): string {
    return route.replace(/:(\w+)/g, (_all, name: string) => {
      if (name === 'account') return String(account.id);
      if (name === 'list') return list.publicId;
      if (name === 'token') return 'x'.repeat(43);
      const sample = samples[name];
      assert.ok(sample !== undefined, `samples.ts has one for :${name}`);
      return sample;
    });
  }

  /** The same, where what one role has done to a thing would be in the way of the next one. */
  async function freshPlace(route: string): Promise<Place> {
    if (!/:import|abuse\/(lift|whitelist)/.test(route)) return ours;
    return { ...ours, samples: await samplesOf(service, ours.account, ours.list, ours.mailer) };
  }

  it('is told of every route, and of nothing else', () => {
    assert.deepEqual(
      Object.keys(matrix).sort(),
      routes.map(({ path }) => path.slice('/console'.length)).sort(),
    );
  });

  for (const { path, screen } of routes) {
    const may: readonly Role[] = groups[matrix[path.slice('/console'.length)] ?? 'admins'];

    it(`${path} lets in ${may.join(', ')}, and nobody else`, async () => {
      const here = pathOf(path, ours);
      for (const method of [...(screen.show ? ['GET'] : []), ...(screen.act ? ['POST'] : [])]) {
        for (const [role, visitor] of Object.entries(visitors)) {
          if (path.endsWith('/sign-out')) continue;
          const place = method === 'GET' ? ours : await freshPlace(path);
          const needed = neededBy(path, place.samples);
          const page = await send(visitor, method, pathOf(path, place), needed);
          const what = `${method} ${here} as ${role}: ${page.status} ${page.text.slice(0, 200)}`;
          if (may.includes(role as Role)) assert.ok(isLetIn(page, path), what);
          else assert.ok(isRefused(page), what);
        }
        if (path.endsWith('/sign-out')) continue;
        const nobody = await send(null, method, here);
        if (may.includes('nobody')) assert.ok(isLetIn(nobody, path), `${method} ${here} as nobody`);
        else if (method === 'GET') assert.match(nobody.location ?? '', /^\/console\/sign-in/);
        else assert.ok(isTurnedAway(nobody), `${method} ${here} as nobody: ${nobody.status}`);
      }
    });

    if (!may.includes('nobody')) {
      it(`${path} is closed to who has nothing there`, async () => {
        const here = pathOf(path, ours);
        const ofOurs = /:(account|list)/.test(path);
        for (const method of [...(screen.show ? ['GET'] : []), ...(screen.act ? ['POST'] : [])]) {
          for (const [who, visitor] of Object.entries(strangers)) {
            const isSignedIn = /of another account|without the list/.test(who);
            // What names nothing of ours is as open to them as it is to our own.
            if (isSignedIn && !ofOurs) continue;
            if (who === 'a mailer without the list' && !path.includes(':list')) continue;
            const page = await send(visitor, method, here);
            assert.ok(isTurnedAway(page), `${method} ${here} as ${who}: ${page.status}`);
          }
        }
      });
    }

    if (screen.act && !path.endsWith('/sign-out')) {
      it(`${path} takes no form from elsewhere, or without its session's token`, async () => {
        const here = pathOf(path, ours);
        const { admin } = visitors;
        const forged: [string, RequestInit][] = [
          ['another site', { headers: { 'Sec-Fetch-Site': 'cross-site' }, body: form(admin.formToken) }],
          ['a neighbour', { headers: { 'Sec-Fetch-Site': 'same-site' }, body: form(admin.formToken) }],
          ['an older browser', { headers: { Origin: 'https://evil.example' }, body: form(admin.formToken) }],
          ['a sandbox', { headers: { Origin: 'null' }, body: form(admin.formToken) }],
          ['a page without the token', { headers: { 'Sec-Fetch-Site': 'same-origin' }, body: form('') }],
          [
            "another's token",
            { headers: { 'Sec-Fetch-Site': 'same-origin' }, body: form(visitors.owner.formToken) },
          ],
        ];
        for (const [from, init] of forged) {
          if (screen.takesUpload === true) {
            const upload = new FormData();
            for (const [name, value] of init.body as URLSearchParams) upload.append(name, value);
            upload.append('file', new Blob(['ann@example.com\n']), 'list.csv');
            init.body = upload;
          }
          const response = await admin.fetch(here, { method: 'POST', ...init });
          assert.equal(response.status, 403, `${here} from ${from}`);
          await response.text();
        }
      });
    }

    const others = othersIn(path);
    if (others.some((name) => !['surface', 'admin'].includes(name))) {
      it(`${path} reaches nothing of another account through what the path names`, async () => {
        for (const name of others) {
          // Admins are of no account: an owner is none of them.
          const foreign = theirs.samples[name === 'admin' ? 'user' : name] ?? '';
          const mixed = { ...ours, samples: { ...ours.samples, [name]: foreign } };
          for (const visitor of path.includes(':admin')
            ? [visitors.admin]
            : [visitors.owner, visitors.admin]) {
            for (const method of [...(screen.show ? ['GET'] : []), ...(screen.act ? ['POST'] : [])]) {
              const page = await send(visitor, method, pathOf(path, mixed));
              assert.equal(page.status, 404, `${method} ${pathOf(path, mixed)}: ${page.text.slice(0, 200)}`);
            }
          }
        }
      });
    }

    if (others.length > 0) {
      it(`${path} takes junk for nothing`, async () => {
        for (const junk of [
          '0',
          '-1',
          '1e3',
          '99999999999999999999',
          "1'--",
          '%00',
          '..%2F..',
          '__proto__',
          'é',
        ]) {
          for (const name of others) {
            const mixed = { ...ours, samples: { ...ours.samples, [name]: junk } };
            const page = await visitors.admin.get(pathOf(path, mixed));
            assert.ok([404, 405].includes(page.status), `${pathOf(path, mixed)}: ${page.status}`);
          }
        }
      });
    }
  }

  it('never shows a page in a frame, or keeps one', async () => {
    const page = await visitors.owner.get(pathOf('/console/accounts/:account/lists', ours));
    assert.match(page.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/);
    assert.equal(page.headers.get('x-frame-options'), 'DENY');
    assert.match(page.headers.get('cache-control') ?? '', /no-store/);
    assert.equal(page.headers.get('referrer-policy'), 'same-origin');
  });

  async function send(
    visitor: Visitor | null,
    method: string,
    path: string,
    needed: Record<string, string> = {},
  ): Promise<ConsolePage> {
    const query = Object.keys(needed).length === 0 ? '' : `?${new URLSearchParams(needed).toString()}`;
    if (visitor !== null) return method === 'GET' ? visitor.get(path + query) : visitor.post(path, needed);
    const init = method === 'GET' ? {} : { body: form(''), headers: { 'Sec-Fetch-Site': 'same-origin' } };
    const response = await fetch(`${service.url}${path}`, { method, redirect: 'manual', ...init });
    const html = await response.text();
    const { status, headers } = response;
    return { status, headers, html, text: html, location: headers.get('location') };
  }
});

/** What a path names beside account and list. */
function othersIn(path: string): string[] {
  return [...path.matchAll(/:(\w+)/g)]
    .map(([, name = '']) => name)
    .filter((name) => !['account', 'list', 'token'].includes(name));
}

/** Whatever came of an empty form: not that somebody may not. A link without its token opens nothing for anybody. */
function isLetIn({ status, location, text }: ConsolePage, path: string): boolean {
  // What cannot be done as things are, whoever asks.
  if (status === 403 && !text.includes('Your role does not allow it')) return true;
  if (path.includes(':token') || path.endsWith('/code')) return status === 404 || status === 303;
  return status < 500 && ![401, 403, 404].includes(status) && !/^\/console\/sign-in/.test(location ?? '');
}

function isRefused({ status }: ConsolePage): boolean {
  return status === 403 || status === 404;
}

function isTurnedAway(page: ConsolePage): boolean {
  return isRefused(page) || /^\/console\/sign-in/.test(page.location ?? '');
}

function form(token: string): URLSearchParams {
  return new URLSearchParams(token === '' ? {} : { csrf: token });
}

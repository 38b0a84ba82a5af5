import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { md5Of } from '../../src/core/address.js';
import { nameList } from '../../src/core/list-names.js';
import type { ListSettings } from '../../src/core/list-settings.js';
import { archiveList, editList, type List } from '../../src/core/lists.js';
import type { Mailer } from '../../src/core/mailers.js';
import type { OptOutRecord } from '../../src/core/opt-outs.js';
import { countTry } from '../../src/core/sign-in-limit.js';
import { addTags } from '../../src/core/tags.js';
import { signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { plant, rowKinds } from '../support/core.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

const actor = 'test';
const ann = 'ann@example.com';

/** The texts that are there to be copied, by their ids. */
function snippetOf({ html }: ConsolePage, id: string): string {
  const [, text] = new RegExp(`<pre [^>]*id="${id}"[^>]*><code>([^<]*)</code>`).exec(html) ?? [];
  assert.ok(text !== undefined, `there is a snippet ${id}`);
  return decoded(text);
}

/** The answer that a try shows: status, headers and body. */
function answerOf({ html }: ConsolePage): { status: number; headers: Record<string, string>; body: string } {
  const [, text] = /came-of-it"[^]*?<pre [^>]*><code>([^]*?)<\/code>/.exec(html) ?? [];
  assert.ok(text !== undefined, 'there is an answer');
  const [head = '', ...rest] = decoded(text).split('\n\n');
  const [first = '', ...lines] = head.split('\n');
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(lines.map((line) => line.split(': ') as [string, string])),
    body: rest.join('\n\n'),
  };
}

function decoded(text: string): string {
  return text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&#34;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');
}

describe('The service page of a list', () => {
  let service: TestService;
  let olive: Visitor;

  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());

  const pathOf = (list: List) => `/console/lists/${list.publicId}/service`;
  const listWith = (settings: Partial<ListSettings> = {}) => makeList(service, settings);
  const rowsOf = async (list: List, address = ann): Promise<OptOutRecord[]> => {
    const rows = await service.deps
      .db<OptOutRecord>('opt_outs')
      .where({ list_id: list.id, address_key: md5Of(address) });
    return rows;
  };
  const rowOf = async (list: List, address = ann): Promise<OptOutRecord> => {
    const [row, ...others] = await rowsOf(list, address);
    assert.ok(row !== undefined && others.length === 0, `${address} has one row`);
    return row;
  };
  interface Noted {
    readonly list_id: number;
    readonly action: string;
    readonly actor: string;
    readonly details: string;
    readonly subject: Buffer | null;
  }
  const historyOf = async (list: List): Promise<Noted[]> => {
    const rows = await service.deps.db<Noted>('history').where({ list_id: list.id }).orderBy('id');
    return rows;
  };

  it('has every link and snippet, ready to be copied', async () => {
    const list = await listWith();
    const page = await olive.get(pathOf(list));
    assert.equal(page.status, 200);
    const link = `http://signoff.test/l/${list.publicId}`;
    assert.equal(snippetOf(page, 'page-link'), link);
    assert.equal(snippetOf(page, 'page-html'), `<a href="${link}">Unsubscribe</a>`);
    assert.equal(snippetOf(page, 'direct-link'), `${link}?email={{email}}`);
    assert.equal(snippetOf(page, 'direct-html'), `<a href="${link}?email={{email}}">Unsubscribe</a>`);
    assert.equal(
      snippetOf(page, 'headers'),
      'List-Unsubscribe: <{{link}}>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click',
    );
    assert.equal(
      snippetOf(page, 'pixel-html'),
      `<img src="${link}/pixel.gif?email={{email}}" width="1" height="1" alt="">`,
    );
    assert.match(
      snippetOf(page, 'notify-key'),
      /^curl -H 'Authorization: Bearer ACCESS_KEY' --data-urlencode/,
    );
    assert.match(snippetOf(page, 'download-urls'), /download\?key=ACCESS_KEY&format=sha256\n/);
    assert.match(snippetOf(page, 'download-delta'), /\?cursor=CURSOR'$/);
    assert.match(snippetOf(page, 'scrub-curl'), /\/scrub\?return=white'$/);
    assert.ok(page.html.includes(`href="/console/lists/${list.publicId}/links"`));
  });

  it('writes the links as the chosen mail program has them', async () => {
    const list = await listWith();
    const page = await olive.get(`${pathOf(list)}?program=mailchimp`);
    assert.match(snippetOf(page, 'direct-link'), /\?email=\*\|EMAIL\|\*$/);
    assert.equal(snippetOf(page, 'signed-html'), '<a href="*|LINK|*">Unsubscribe</a>');
    assert.match(snippetOf(page, 'headers'), /^List-Unsubscribe: <\*\|LINK\|\*>/);
    assert.match(page.html, /<option value="mailchimp" selected>/);
    const unknown = await olive.get(`${pathOf(list)}?program=${encodeURIComponent('"><b>')}`);
    assert.match(snippetOf(unknown, 'direct-link'), /\{\{email\}\}$/);
    // It is kept while a door is tried.
    const tried = await olive.post(`${pathOf(list)}/try`, {
      what: 'scrub',
      email: ann,
      program: 'mailchimp',
    });
    assert.match(snippetOf(tried, 'direct-link'), /\?email=\*\|EMAIL\|\*$/);
  });

  it('mints the signed link of the user’s own address, and of one that is typed', async () => {
    const list = await listWith();
    for (const [page, address] of [
      [await olive.get(pathOf(list)), olive.user.email],
      [await olive.post(`${pathOf(list)}/try`, { what: 'address', email: 'Ann@Example.com' }), ann],
    ] as const) {
      const link = snippetOf(page, 'signed-link');
      assert.match(link, /^http:\/\/signoff\.test\/o\/[\w-]+$/);
      assert.equal((await service.deps.openLink(link.split('/o/')[1] ?? ''))?.address, address);
      assert.ok(snippetOf(page, 'headers-example').startsWith(`List-Unsubscribe: <${link}>\n`));
    }
  });

  describe('tries a door as a mailer comes to it', () => {
    /** What the door itself answers to the same request. */
    const real: Record<string, (list: List, key: string, link: string) => Promise<Response>> = {
      'one-click': (_, __, link) =>
        fetch(link, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) }),
      pixel: (list) => fetch(`${service.url}/l/${list.publicId}/pixel.gif?email=${ann}`),
      notify: (list, key) =>
        fetch(`${service.url}/l/${list.publicId}/notify?email=${ann}`, {
          headers: { Authorization: `Bearer ${key}` },
        }),
      'notify-several': (list, key) =>
        fetch(`${service.url}/l/${list.publicId}/notify`, {
          method: 'POST',
          headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
          body: JSON.stringify([ann, 'not an address']),
        }),
      download: (list, key) =>
        fetch(`${service.url}/l/${list.publicId}/download?format=sha256&as=csv`, {
          headers: { Authorization: `Bearer ${key}`, 'Accept-Encoding': 'identity' },
        }),
      scrub: (list, key) =>
        fetch(`${service.url}/l/${list.publicId}/scrub?return=white`, {
          method: 'POST',
          headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'text/plain' },
          body: `${ann}\n`,
        }),
    };
    const settings: Record<string, Partial<ListSettings>> = {
      'of a plain list': {},
      'of a list without pixel': { pixel: false },
      'of a closed list': { state: 'closed' },
    };

    for (const [which, setting] of Object.entries(settings)) {
      it(`and shows just what the door answers, ${which}`, async () => {
        for (const what of Object.keys(real)) {
          const list = await listWith(setting);
          const { key } = await makeMailer(service, list);
          await plant(service.deps.db, list.id, [rowKinds.plain('bob@example.com')]);
          await untilNumbered(service, list);
          const fields = { what, email: ann, format: 'sha256', as: 'csv' };
          const page = await olive.post(`${pathOf(list)}/try`, fields);
          assert.equal(page.status, 200);
          const shown = answerOf(page);
          const link = snippetOf(page, 'signed-link').replace('http://signoff.test', service.url);
          const response = await real[what]?.(list, key, link);
          assert.ok(response !== undefined);
          assert.equal(shown.status, response.status, `${what} ${which}`);
          for (const [name, value] of Object.entries(shown.headers)) {
            // The feed moves on with what other lists get meanwhile.
            const same = (text: string | null) => (name === 'Signoff-Cursor' ? text?.split('.')[0] : text);
            assert.equal(same(response.headers.get(name)), same(value), `${what}: ${name}`);
          }
          const body = await response.text();
          if (response.headers.get('content-type') === 'image/gif') assert.match(shown.body, /^\(42 octets/);
          else assert.equal(shown.body, body, what);
        }
      });
    }

    it('from wherever the user is: the whitelist is told of, and does not count', async () => {
      const list = await listWith({ ipWhitelist: '203.0.113.7' });
      const page = await olive.get(pathOf(list));
      assert.match(
        page.text,
        /Your address now, 127\.0\.0\.1, is not on the IP whitelist: calls from it need a key/,
      );
      assert.match(page.text, /From your address now, 127\.0\.0\.1, a download would be refused/);
      for (const what of ['notify', 'download', 'scrub']) {
        const tried = await olive.post(`${pathOf(list)}/try`, { what, email: ann });
        assert.equal(answerOf(tried).status, 200, what);
      }
      const listed = await listWith({ ipWhitelist: '127.0.0.1' });
      const other = await olive.get(pathOf(listed));
      assert.match(other.text, /127\.0\.0\.1, is on the IP whitelist/);
      assert.match(other.text, /From your address now, 127\.0\.0\.1, a download with a key would be let in/);
      const bare = await olive.get(pathOf(await listWith({ ipWhitelist: '' })));
      assert.match(bare.text, /This list has no IP whitelist: every call needs a key/);
      assert.match(bare.text, /No IP whitelist lets anybody download this list yet/);
    });

    it('and tells that the test has arrived: a real opt-out, by the console, with its reason', async () => {
      for (const what of ['one-click', 'pixel', 'notify', 'notify-several']) {
        const list = await listWith();
        const page = await olive.post(`${pathOf(list)}/try`, { what, email: ' Ann@Example.com ' });
        assert.match(page.text, /The opt-out of ann@example\.com has arrived/, what);
        const row = await rowOf(list);
        assert.equal(row.source, 'console');
        assert.equal(row.reason?.toString(), 'test');
        assert.equal(row.removed_at, null);
        await untilNumbered(service, list);
        const { key } = await makeMailer(service, list);
        const download = await real.download?.(list, key, '');
        assert.equal((await download?.text())?.split('\r\n').length, 3, 'it is in the download');
        const noted = (await historyOf(list)).find(({ action }) => action === 'list.tried');
        assert.ok(noted !== undefined);
        assert.equal(noted.actor, `user:${olive.user.id}`);
        assert.deepEqual(JSON.parse(noted.details), { what });
        assert.deepEqual(noted.subject, md5Of(ann));
      }
    });

    it('as often as one likes, and takes the test out again', async () => {
      const list = await listWith();
      for (const what of ['pixel', 'notify', 'pixel']) {
        const page = await olive.post(`${pathOf(list)}/try`, { what, email: ann });
        assert.match(page.text, /The opt-out of ann@example\.com has arrived/);
      }
      const row = await rowOf(list);
      assert.equal(row.repeats, 0);
      const looked = await olive.post(`${pathOf(list)}/try`, { what: 'scrub', email: ann });
      assert.match(looked.text, /came back empty: ann@example\.com is suppressed/);
      assert.match(looked.text, /A test opt-out of ann@example\.com is on the list since/);

      const { location } = await olive.post(`${pathOf(list)}/try`, { what: 'take-back', email: ann });
      assert.equal(location, `${pathOf(list)}?done=test-taken-back`);
      assert.match((await olive.get(location ?? '')).text, /The test opt-out is out of the list again/);
      const gone = await rowOf(list);
      assert.ok(gone.removed_at !== null);
      const kept = await olive.post(`${pathOf(list)}/try`, { what: 'scrub', email: ann });
      assert.match(kept.text, /ann@example\.com came back: it is not suppressed/);
      const again = await olive.post(`${pathOf(list)}/try`, { what: 'take-back', email: ann });
      assert.match(again.location ?? '', /done=test-stays/);
    });

    it('and never touches what somebody has recorded: before the test, or since', async () => {
      const list = await listWith();
      const leave = async (address: string) => {
        const response = await fetch(`${service.url}/l/${list.publicId}/notify?email=${address}`);
        assert.equal(response.status, 200);
      };
      await leave(ann);
      await untilNumbered(service, list);
      const before = await rowOf(list);
      const page = await olive.post(`${pathOf(list)}/try`, { what: 'pixel', email: ann });
      assert.match(page.text, /ann@example\.com had left before/);
      assert.doesNotMatch(page.text, /Take the test opt-out out again/);
      await olive.post(`${pathOf(list)}/try`, { what: 'take-back', email: ann });
      const after = await rowOf(list);
      assert.deepEqual(after, before);

      const bob = 'bob@example.com';
      await olive.post(`${pathOf(list)}/try`, { what: 'notify', email: bob });
      await leave(bob);
      const stays = await olive.post(`${pathOf(list)}/try`, { what: 'take-back', email: bob });
      assert.match(stays.location ?? '', /done=test-stays/);
      const again = await olive.post(`${pathOf(list)}/try`, { what: 'notify', email: bob });
      assert.match(again.text, /bob@example\.com had left before/);
      const row = await rowOf(list, bob);
      assert.equal(row.removed_at, null);
    });

    it('with five lines of the download at most, and no line in the access log', async () => {
      const list = await listWith();
      await plant(
        service.deps.db,
        list.id,
        Array.from({ length: 9 }, (_, i) => rowKinds.plain(`p${i}@example.com`)),
      );
      const page = await olive.post(`${pathOf(list)}/try`, { what: 'download', email: ann, format: 'plain' });
      const lines = answerOf(page)
        .body.split('\n')
        .filter((line) => line !== '');
      assert.equal(lines.length, 5);
      for (const line of lines) assert.match(line, /^p\d@example\.com$/);
      assert.deepEqual(await service.deps.db('downloads').where({ list_id: list.id }), []);
      const wrong = await olive.post(`${pathOf(list)}/try`, { what: 'download', email: ann, format: 'sha1' });
      assert.equal(answerOf(wrong).status, 400);
      const empty = await olive.post(`${pathOf(await listWith())}/try`, { what: 'download', email: ann });
      assert.match(empty.text, /nothing on this list that this format can express/);
    });

    it('and asks again for an address that is none', async () => {
      const list = await listWith();
      for (const [email, text] of [
        ['nobody', /This is not an e-mail address/],
        ['', /Please fill this in/],
        ['{{email}}', /This is not an e-mail address/],
      ] as const) {
        const page = await olive.post(`${pathOf(list)}/try`, { what: 'pixel', email });
        assert.equal(page.status, 422);
        assert.match(page.text, text);
        assert.equal(decoded(/name="email"[^>]* value="([^"]*)"/.exec(page.html)?.[1] ?? ''), email);
      }
      assert.equal((await olive.post(`${pathOf(list)}/try`, { what: 'server', email: ann })).status, 422);
      assert.equal((await olive.post(`${pathOf(list)}/try`, { email: ann })).status, 422);
      assert.deepEqual(await rowsOf(list), []);
      assert.equal((await olive.get(`${pathOf(list)}/try`)).status, 200);
    });
  });

  it('says what the list’s settings close, and where to change it', async () => {
    const list = await listWith({ pixel: false, signedLinksOnly: true });
    const page = await olive.get(pathOf(list));
    assert.match(page.text, /The pixel is switched off for this list.* Change it in the settings/);
    assert.match(page.text, /This list takes signed links alone: a direct link shows the form/);
    assert.match(snippetOf(page, 'pixel-html'), /src="\{\{link\}\}\/pixel\.gif"/);
    await editList(service.deps.db, list, { pixel: true, directLink: 'instant' }, { actor });
    const instant = await olive.get(pathOf(list));
    assert.doesNotMatch(instant.text, /switched off/);
    assert.match(instant.text, /set to instant links/);
    // By a signed link, the pixel of such a list is open.
    const tried = await olive.post(`${pathOf(list)}/try`, { what: 'pixel', email: ann });
    assert.equal(answerOf(tried).status, 200);
    await archiveList(service.deps.db, list, true, { actor });
    const archived = await olive.get(pathOf(list));
    assert.match(archived.text, /This list is archived or closed: it gives no downloads/);
    assert.match(archived.text, /Nobody can scrub a file by this list/);
  });

  it('names what the APIs call the list', async () => {
    const list = await listWith();
    assert.doesNotMatch((await olive.get(pathOf(list))).text, /In the APIs/);
    await nameList(service.deps.db, list, 'mailgun', 'mg.acme.example', { actor });
    assert.match((await olive.get(pathOf(list))).text, /In the APIs .*Mailgun v3 domain mg\.acme\.example/);
  });

  describe('of a list with tags', () => {
    const sale = "50% off & Ann's";
    const encoded = '50%25%20off%20%26%20Ann%27s';
    const listWithTags = async () => {
      const list = await listWith();
      await addTags(service.deps.db, list.id, [sale, 'news']);
      return list;
    };

    it('asks for which part of the mail, beside the mail program', async () => {
      assert.doesNotMatch((await olive.get(pathOf(await listWith()))).html, /name="tag"/);
      const list = await listWithTags();
      const page = await olive.get(pathOf(list));
      assert.match(page.html, /<option value="" selected>All mail</);
      assert.match(page.html, /<option value="news">news</);
      assert.doesNotMatch(page.html, /<pre[^>]*>[^<]*tag=/);
    });

    it('writes a chosen tag into every snippet, encoded', async () => {
      const list = await listWithTags();
      const page = await olive.get(`${pathOf(list)}?program=mailchimp&tag=${encoded}`);
      assert.match(page.html, /<option value="50% off &amp; Ann&#39;s" selected>/);
      assert.match(page.text, /are for the tag “50% off & Ann's” now/);
      const link = `http://signoff.test/l/${list.publicId}`;
      assert.equal(snippetOf(page, 'page-link'), `${link}?tag=${encoded}`);
      assert.equal(snippetOf(page, 'direct-link'), `${link}?email=*|EMAIL|*&tag=${encoded}`);
      assert.equal(
        snippetOf(page, 'direct-html'),
        `<a href="${link}?email=*|EMAIL|*&amp;tag=${encoded}">Unsubscribe</a>`,
      );
      assert.match(snippetOf(page, 'pixel-html'), /email=\{\{email\}\}&amp;tag=50%25/);
      for (const id of ['notify-key', 'notify-curl', 'notify-several', 'download-curl']) {
        assert.ok(snippetOf(page, id).endsWith(`?tag=${encoded}'`), id);
      }
      for (const id of ['download-delta', 'scrub-curl']) {
        assert.ok(snippetOf(page, id).endsWith(`&tag=${encoded}'`), id);
      }
      for (const url of snippetOf(page, 'download-urls').split('\n')) {
        assert.ok(url.endsWith(`&tag=${encoded}`), url);
      }
      const [, token = ''] = /\/o\/([\w-]+)>/.exec(snippetOf(page, 'headers-example')) ?? [];
      assert.equal((await service.deps.openLink(token))?.tag, sale);
      assert.ok(snippetOf(page, 'signed-link').endsWith(token));
    });

    it('and its snippets do what they say', async () => {
      const list = await listWithTags();
      const page = await olive.get(`${pathOf(list)}?tag=${encoded}`);
      const [, url = ''] = /'(http[^']*)'$/.exec(snippetOf(page, 'notify-curl')) ?? [];
      const body = new URLSearchParams({ email: ann });
      const sent = await fetch(url.replace('http://signoff.test', service.url), { method: 'POST', body });
      assert.equal(sent.status, 200);
      const row = await rowOf(list);
      assert.equal(row.tag.toString(), sale);
    });

    it('tries the doors with it, and takes its own test back alone', async () => {
      const list = await listWithTags();
      const left = await fetch(`${service.url}/l/${list.publicId}/notify?email=${ann}&tag=news`);
      assert.equal(left.status, 200);
      for (const what of ['one-click', 'pixel', 'notify', 'notify-several']) {
        const tried = await olive.post(`${pathOf(list)}/try`, { what, email: ann, tag: sale });
        assert.match(tried.text, /The opt-out of ann@example\.com has arrived/, what);
        const rows = await rowsOf(list);
        assert.deepEqual(rows.map(({ tag }) => tag.toString()).sort(), [sale, 'news'], what);
      }
      const other = await olive.post(`${pathOf(list)}/try`, {
        what: 'scrub',
        email: 'bob@example.com',
        tag: sale,
      });
      assert.match(other.text, /bob@example\.com came back/);
      const own = await olive.post(`${pathOf(list)}/try`, { what: 'scrub', email: ann, tag: sale });
      assert.match(own.text, /came back empty/);
      const download = { what: 'download', email: ann, tag: sale, format: 'plain' };
      assert.equal(answerOf(await olive.post(`${pathOf(list)}/try`, download)).body.trim(), ann);
      const { location } = await olive.post(`${pathOf(list)}/try`, {
        what: 'take-back',
        email: ann,
        tag: sale,
      });
      assert.equal(location, `${pathOf(list)}?tag=${encoded}&done=test-taken-back`);
      const after = await rowsOf(list);
      for (const { tag, removed_at } of after) assert.equal(removed_at === null, tag.toString() === 'news');
      const kept = await olive.post(`${pathOf(list)}/try`, { what: 'scrub', email: ann, tag: sale });
      assert.match(kept.text, /ann@example\.com came back/);
      assert.equal(answerOf(await olive.post(`${pathOf(list)}/try`, download)).body.trim(), '');
    });

    it('takes one that the list does not know for all of its mail', async () => {
      const list = await listWithTags();
      const page = await olive.get(`${pathOf(list)}?tag=%3Cb%3E`);
      assert.equal(snippetOf(page, 'page-link'), `http://signoff.test/l/${list.publicId}`);
      await olive.post(`${pathOf(list)}/try`, { what: 'notify', email: ann, tag: '<b>' });
      const row = await rowOf(list);
      assert.equal(row.tag.toString(), '*');
    });
  });

  describe('for a user of a mailer', () => {
    let list: List;
    let mailer: Mailer;
    let mel: Visitor;

    beforeEach(async () => {
      list = await listWith({ ipWhitelist: '', pixel: false });
      ({ mailer } = await makeMailer(service, list, { ipWhitelist: '127.0.0.1' }));
      mel = await signInAs(service, { mailer });
    });

    it('shows its lists alone, without what is the owner’s', async () => {
      await nameList(service.deps.db, list, 'mailgun', `mg${list.id}.example`, { actor });
      const page = await mel.get(pathOf(list));
      assert.equal(page.status, 200);
      assert.match(snippetOf(page, 'notify-key'), /Bearer ACCESS_KEY/);
      assert.match(page.text, /The pixel is switched off .* Ask the list owner to change it/);
      assert.doesNotMatch(page.text, /Change it in the settings|Make signed links|In the APIs/);
      assert.doesNotMatch(page.html, /value="plain"/);
      assert.doesNotMatch(page.text, /format=plain|[Pp]lain addresses/);
      const { mailer: other } = await makeMailer(service, list, { plainAllowed: true });
      const trusted = await signInAs(service, { mailer: other });
      assert.match(snippetOf(await trusted.get(pathOf(list)), 'download-urls'), /&format=plain\n/);
      assert.match(snippetOf(await olive.get(pathOf(list)), 'download-urls'), /&format=plain\n/);
      // Its own whitelist counts for downloads.
      assert.match(page.text, /127\.0\.0\.1, a download with a key would be let in/);
      const foreign = await listWith();
      assert.equal((await mel.get(pathOf(foreign))).status, 404);
      assert.equal((await mel.post(`${pathOf(foreign)}/try`, { what: 'pixel', email: ann })).status, 404);
      assert.deepEqual(await rowsOf(foreign), []);
    });

    it('takes back its own tests alone, and nothing that somebody has entered by hand', async () => {
      const byHand = await olive.post(`/console/lists/${list.publicId}/opt-outs/new`, {
        ...{ addresses: ann, reason: 'test' },
      });
      assert.ok(byHand.status < 400, byHand.text);
      const stays = { what: 'take-back', email: ann };
      for (const visitor of [mel, olive]) {
        assert.match((await visitor.post(`${pathOf(list)}/try`, stays)).location ?? '', /done=test-stays/);
      }
      const bob = 'bob@example.com';
      await olive.post(`${pathOf(list)}/try`, { what: 'notify', email: bob });
      const theirs = await mel.post(`${pathOf(list)}/try`, { what: 'take-back', email: bob });
      assert.match(theirs.location ?? '', /done=test-stays/);
      const own = await olive.post(`${pathOf(list)}/try`, { what: 'take-back', email: bob });
      assert.match(own.location ?? '', /done=test-taken-back/);
    });

    it('makes signed links of nobody else', async () => {
      const page = await mel.post(`${pathOf(list)}/try`, { what: 'address', email: ann });
      for (const id of ['signed-link', 'headers-example']) {
        const [, token = ''] = /\/o\/([\w-]+)/.exec(snippetOf(page, id)) ?? [];
        assert.equal((await service.deps.openLink(token))?.address, mel.user.email);
      }
    });

    it('tries the doors by what the mailer may', async () => {
      const refused = await mel.post(`${pathOf(list)}/try`, {
        what: 'download',
        email: ann,
        format: 'plain',
      });
      assert.equal(answerOf(refused).status, 403);
      assert.match(answerOf(refused).body, /"code":"plain"/);
      const page = await mel.post(`${pathOf(list)}/try`, { what: 'notify', email: ann });
      assert.match(page.text, /has arrived/);
      const row = await rowOf(list);
      assert.equal(row.mailer_id, mailer.id);
      const { location } = await mel.post(`${pathOf(list)}/try`, { what: 'take-back', email: ann });
      assert.match(location ?? '', /done=test-taken-back/);
    });
  });

  it('is nobody else’s', async () => {
    const list = await listWith();
    const stranger = await signInAs(service, { owner: await createAccount(service.deps.db, 'Stranger') });
    assert.equal((await stranger.get(pathOf(list))).status, 404);
    assert.equal((await stranger.post(`${pathOf(list)}/try`, { what: 'pixel', email: ann })).status, 404);
    assert.equal((await stranger.post(`${pathOf(list)}/try`, { what: 'take-back', email: ann })).status, 404);
    const admin = await signInAs(service, 'admin');
    assert.equal((await admin.post(`${pathOf(list)}/try`, { what: 'notify', email: ann })).status, 200);
    assert.equal((await rowsOf(list)).length, 1);
  });

  it('escapes what it is given', async () => {
    const list = await listWith({ name: '<b>bold</b>' });
    const hostile = '"<i>"@example.com';
    const page = await olive.post(`${pathOf(list)}/try`, { what: 'scrub', email: hostile });
    assert.equal(page.status, 200);
    assert.ok(page.text.includes(hostile));
    assert.doesNotMatch(page.html, /<[bi]>/);
  });

  it('keeps addresses out of the log', async () => {
    const list = await listWith();
    const secret = 'very.secret@example.com';
    await olive.post(`${pathOf(list)}/try`, { what: 'one-click', email: secret });
    await olive.post(`${pathOf(list)}/try`, { what: 'take-back', email: secret });
    assert.ok(service.logged.length > 0);
    assert.ok(!service.logged.some((line) => line.includes('very.secret')));
    const noted = await historyOf(list);
    assert.ok(noted.length >= 3);
    assert.ok(!noted.some(({ details }) => details.includes('very.secret')));
  });

  it('lets one user try doors sixty times an hour, and says so', async () => {
    const list = await listWith();
    const eager = await signInAs(service, 'owner');
    for (let i = 0; i < 59; i++)
      await countTry(service.deps.db, 'test', `user:${eager.user.id}`, '127.0.0.1');
    const tries = { what: 'pixel', email: ann };
    assert.equal((await eager.post(`${pathOf(list)}/try`, tries)).status, 200);
    const refused = await eager.post(`${pathOf(list)}/try`, { ...tries, email: 'bob@example.com' });
    assert.equal(refused.status, 429);
    assert.match(refused.text, /You have tried 60 times within an hour/);
    const addresses = (await rowsOf(list)).map(({ address }) => String(address));
    assert.deepEqual(addresses, [ann]);
    assert.equal((await eager.get(pathOf(list))).status, 200, 'the page itself is there');
    assert.equal((await olive.post(`${pathOf(list)}/try`, tries)).status, 200, 'another user');
  });
});

import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { editList, type List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { goodPassword, signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';

const ann = 'ann@example.com';

describe('The signed links of a list, in the console', () => {
  let service: TestService;
  let olive: Visitor;
  let list: List;

  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner', { password: true });
  });
  beforeEach(async () => {
    list = await makeList(service);
  });
  after(() => service.close());

  const pathOf = (of = list) => `/console/lists/${of.publicId}/links`;
  const upload = (content: string, fields: Record<string, string> = {}, who = olive): Promise<ConsolePage> =>
    who.upload(pathOf(), { name: 'people.csv', content }, fields);
  const opened = (link = '') => service.deps.openLink(link.slice(link.lastIndexOf('/') + 1));
  const linkOf = async (address = ann): Promise<string> =>
    (await upload(`${address}\n`)).html.split('\n')[1]?.split(',')[1] ?? '';
  const noted = async (action: string) => {
    const rows = await service.deps
      .db<{ list_id: number; action: string; details: string; actor: string }>('history')
      .where({ list_id: list.id, action });
    return rows.map(({ actor, details }) => ({ actor, details: JSON.parse(details) as unknown }));
  };
  const rotated = async (password: string) => olive.post(`${pathOf()}/rotate`, { password });

  describe('made for a file', () => {
    it('come back beside each row, with why a row has none', async () => {
      const page = await upload(
        'Name;E-Mail;City\r\nAnn;Ann@Example.com;Köln\r\nBob;nobody;"a;b"\r\n\r\nCy;cy@example.com\r\n',
        { column: 'e-mail' },
      );
      assert.equal(page.status, 200);
      assert.equal(
        page.headers.get('content-disposition'),
        `attachment; filename="${list.publicId}-links.csv"`,
      );
      assert.match(page.headers.get('content-type') ?? '', /^text\/csv/);
      assert.match(page.headers.get('cache-control') ?? '', /no-store/);
      const [head, first, second, third, ...rest] = page.html.split('\r\n');
      assert.equal(head, 'Name;E-Mail;City;link;link_problem');
      const [, annsLink] =
        /^Ann;Ann@Example\.com;Köln;(http:\/\/signoff\.test\/o\/[\w-]+);$/.exec(first ?? '') ?? [];
      assert.deepEqual(await opened(annsLink), { publicId: list.publicId, address: ann, tag: '*' });
      assert.match(second ?? '', /^Bob;nobody;"a;b";;.*@/);
      assert.match(third ?? '', /^Cy;cy@example\.com;;http:\/\/signoff\.test\/o\/[\w-]+;$/);
      assert.deepEqual(rest, ['']);
      assert.deepEqual(await noted('links.minted'), [
        { actor: `user:${olive.user.id}`, details: { key: 1, links: 2, refused: 1 } },
      ]);
      assert.match(
        (await olive.get(`/console/accounts/${service.accountId}/history`)).text,
        /Made signed links for a file/,
      );
      assert.ok(!service.logged.some((line) => line.includes('cy@example')));
    });

    it('come back for a text of addresses, and are the same each time', async () => {
      const [head, first] = (await upload(`${ann}\nbob@example.com\n`)).html.split('\n');
      assert.equal(head, 'address,link,link_problem');
      assert.equal(first?.split(',')[1], await linkOf());
    });

    it('leave the chosen tag, or that of each row', async () => {
      assert.doesNotMatch((await olive.get(pathOf())).html, /name="tag/);
      await addTags(service.deps.db, list.id, ['sale', 'news']);
      assert.match((await olive.get(`${pathOf()}?tag=sale`)).html, /<option value="sale" selected>/);
      const chosen = await upload(`${ann}\n`, { tag: 'sale' });
      assert.equal((await opened(chosen.html.split('\n')[1]?.split(',')[1]))?.tag, 'sale');
      const csv = `email,part\n${ann},news\n${ann},\n${ann},other\n`;
      const lines = (await upload(csv, { tag: 'sale', tagColumn: 'part' })).html.split('\n').slice(1, 4);
      const tags = await Promise.all(lines.map((line) => opened(line.split(',')[2])));
      assert.deepEqual(
        tags.map((link) => link?.tag),
        ['news', '*', undefined],
      );
      assert.match(lines[2] ?? '', /the list does not know the tag ""other"""/);
    });

    it('and a file of many lines comes back whole', async () => {
      const lines = Array.from({ length: 20_000 }, (_, i) => `person${i}@example.com`);
      const made = (await upload(`${lines.join('\n')}\n`)).html.split('\n').slice(1, -1);
      assert.equal(made.length, lines.length);
      assert.equal((await opened(made.at(-1)?.split(',')[1]))?.address, 'person19999@example.com');
    });

    it('or it is said what is wrong with the file', async () => {
      for (const [content, text] of [
        ['', /This file is empty/],
        [`email,link\n${ann},x\n`, /has a column link already/],
        ['name\nAnn\n', /names no such column/],
        [`Ann,${ann}\n`, /first line holds an address/],
        ['email,email\n', /Several columns/],
        ['\u0000\u0001', /encoding that cannot be read/],
      ] as const) {
        const page = await upload(content);
        assert.equal(page.status, 422, JSON.stringify(content));
        assert.match(page.text, text);
      }
      const foreign = await olive.upload(pathOf(), { name: 'a.csv', content: ann }, { csrf: 'wrong' });
      assert.equal(foreign.status, 403);
      assert.deepEqual(await noted('links.minted'), []);
    });

    it('or that it is too large', async () => {
      const page = await upload('x'.repeat(51 * 1024 ** 2));
      assert.equal(page.status, 413);
      assert.match(page.text, /larger than an upload may be/);
      assert.equal(service.deps.state.scrubs.size, 0);
    });
  });

  describe('looked at', () => {
    const verify = (link: string) => olive.post(`${pathOf()}/verify`, { link });

    it('say whose they are, and what opening them does', async () => {
      const page = await verify(await linkOf());
      assert.equal(page.status, 200);
      assert.match(
        page.text,
        /Signed, and of this list.*ann@example\.com.*All mail.*1, the newest.*one button/,
      );
      const unsigned = await verify(`http://elsewhere.test/l/${list.publicId}?email=${ann}`);
      assert.match(unsigned.text, /not signed: anybody can make one.*begins with http:\/\/elsewhere\.test/);
      await editList(service.deps.db, list, { directLink: 'instant' }, { actor: 'test' });
      assert.match((await verify(await linkOf())).text, /The opt-out at once/);
      assert.match((await verify(`${await linkOf()}/pixel.gif`)).text, /for programs and web pages/);
      await editList(service.deps.db, list, { signedLinksOnly: true }, { actor: 'test' });
      const form = await verify(`http://signoff.test/l/${list.publicId}?email=${ann}`);
      assert.match(form.text, /The page with its form/);
      assert.deepEqual(await service.deps.db('opt_outs').where({ list_id: list.id }), []);
    });

    it('tell nothing of links of other lists, and of what is no link', async () => {
      const link = await linkOf();
      const answers: string[] = [];
      const other = await makeList(service);
      const ofOther = await olive.post(`${pathOf(other)}/verify`, { link });
      assert.equal(ofOther.status, 422);
      assert.doesNotMatch(ofOther.text, /ann@example/);
      for (const wrong of [
        `${link.slice(0, -3)}AAA`,
        'http://signoff.test/l/none',
        'http://signoff.test/x',
      ]) {
        const page = await verify(wrong);
        assert.equal(page.status, 422);
        answers.push(/This is no link of this list[^<]*/.exec(page.html)?.[0] ?? '');
      }
      answers.push(/This is no link of this list[^<]*/.exec(ofOther.html)?.[0] ?? '');
      assert.equal(new Set(answers).size, 1);
      assert.ok(answers[0] !== '');
      assert.match((await verify('<b>')).text, /This is not a web address/);
      assert.match((await verify('')).text, /Please fill this in/);
      assert.doesNotMatch((await verify('<b>')).html, /<b>/);
    });
  });

  it('get a new key with the password alone, and those of the old one go on opening', async () => {
    const old = await linkOf();
    assert.match((await olive.get(`${pathOf()}/rotate`)).text, /go on opening for ever/);
    for (const password of ['', 'not this one at all']) assert.equal((await rotated(password)).status, 422);
    assert.equal(await linkOf(), old);
    const { location } = await rotated(goodPassword);
    assert.equal(location, `${pathOf()}?done=link-key-rotated`);
    assert.match((await olive.get(location ?? '')).text, /There is a new key.*Key 2 makes the links/);
    assert.notEqual(await linkOf(), old);
    assert.equal((await opened(old))?.address, ann);
    assert.match((await olive.post(`${pathOf()}/verify`, { link: old })).text, /1, an older one/);
    assert.deepEqual(await noted('link-key.rotated').then((rows) => rows.at(-1)), {
      actor: `user:${olive.user.id}`,
      details: { number: 2 },
    });
  });

  it('are for owners, and for nobody else', async () => {
    const { mailer } = await makeMailer(service, list);
    const mel = await signInAs(service, { mailer });
    const stranger = await signInAs(service, { owner: await createAccount(service.deps.db, 'Stranger') });
    for (const [who, status] of [
      [mel, 403],
      [stranger, 404],
    ] as const) {
      assert.equal((await who.get(pathOf())).status, status);
      assert.equal((await upload(`${ann}\n`, {}, who)).status, status);
      assert.equal((await who.post(`${pathOf()}/verify`, { link: 'x' })).status, status);
      assert.equal((await who.post(`${pathOf()}/rotate`, { password: goodPassword })).status, status);
    }
    assert.deepEqual(await noted('links.minted'), []);
  });
});

import assert from 'node:assert/strict';
import { createAccount, getAccount, type Account } from '../../src/core/accounts.js';
import { bulkRemovalsOfList } from '../../src/core/bulk-removals.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { namesOfList } from '../../src/core/list-names.js';
import { archiveList, getListById, type List } from '../../src/core/lists.js';
import { goodPassword, signInAs, type Visitor } from '../support/console.js';
import { makeList, startTestService, until, untilNumbered, type TestService } from '../support/service.js';

describe("A list's tags, names and last things", () => {
  let service: TestService;
  let account: Account;
  let olive: Visitor;
  let list: List;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    account = await createAccount(service.deps.db, 'Acme');
    olive = await signInAs(service, { owner: account }, { password: true });
    list = await makeOne('Acme News');
  });

  const makeOne = (name: string) => makeList({ ...service, accountId: account.id }, { name });
  const pathOf = (part: string, of = list) => `/console/lists/${of.publicId}/edit/${part}`;
  const again = () => getListById(service.deps.db, list.id);
  const markOf = async () => (await getAccount(service.deps.db, account.id)).globalListId;
  async function optOut(email: string): Promise<void> {
    const body = new URLSearchParams({ email });
    const { status } = await fetch(`${service.url}/l/${list.publicId}/opt-out`, { method: 'POST', body });
    assert.equal(status, 200);
  }

  describe('tags', () => {
    it('are added, one a line, and shown', async () => {
      assert.ok((await olive.get(pathOf('tags'))).text.includes('This list knows no tags'));
      const answer = await olive.post(pathOf('tags'), {
        tag: ' offers \r\n\r\n<b>events</b>, and more\noffers',
      });
      assert.equal(answer.location, `${pathOf('tags')}?done=tags-added`);
      assert.deepEqual([...(await again()).tags].sort(), ['<b>events</b>, and more', 'offers']);
      const page = await olive.get(pathOf('tags'));
      assert.ok(page.text.includes('2 tags') && page.text.includes('<b>events</b>, and more'));
      assert.doesNotMatch(page.html, /<b>events/);
    });

    it('that do not pass are told at their field, with all that was typed', async () => {
      const long = 'x'.repeat(129);
      for (const [tag, says] of [
        ['', 'Type at least one tag.'],
        [' \r\n ', 'Type at least one tag.'],
        ['sale\r\n*', '* stands for all tags already.'],
        [`sale\r\n${long}`, 'A tag has at most 128 octets'],
        [Array.from({ length: 1001 }, (_, i) => `t${i}`).join('\n'), 'at most 1,000 tags'],
      ] as const) {
        const page = await olive.post(pathOf('tags'), { tag });
        assert.equal(page.status, 422);
        assert.ok(page.text.includes(says), says);
        if (tag.includes('sale')) assert.match(page.html, /<textarea id="tag"[^>]*>\nsale/);
      }
      assert.equal((await again()).tags.size, 0);
    });
  });

  describe('names in the APIs', () => {
    it('are given and taken away', async () => {
      const given = await olive.post(pathOf('names'), { surface: 'mailgun', name: 'News.example.com' });
      assert.equal(given.location, `${pathOf('names')}?done=list-named`);
      assert.deepEqual(await namesOfList(service.deps.db, list), [
        { surface: 'mailgun', name: 'News.example.com' },
      ]);
      const page = await olive.get(pathOf('names'));
      assert.ok(page.text.includes('News.example.com') && page.text.includes(list.publicId));
      const taken = { surface: 'mailgun', name: 'News.example.com', do: 'remove' };
      assert.equal(
        (await olive.post(pathOf('names'), taken)).location,
        `${pathOf('names')}?done=list-unnamed`,
      );
      assert.deepEqual(await namesOfList(service.deps.db, list), []);
    });

    it('are refused where another list has them, or there is no such API', async () => {
      const other = await makeOne('Other');
      await olive.post(pathOf('names', other), { surface: 'mailgun', name: 'offers' });
      const taken = await olive.post(pathOf('names'), { surface: 'mailgun', name: 'OFFERS' });
      assert.equal(taken.status, 422);
      assert.ok(taken.text.includes('Another list of the account has this name there.'));
      for (const [surface, name] of [
        ['api"><b>', 'x'],
        ['', 'x'],
        ['mailgun', ' '],
        ['mailgun', 'x'.repeat(201)],
      ] as const) {
        assert.equal((await olive.post(pathOf('names'), { surface, name })).status, 422, surface);
      }
      // MariaDB compares no such text with a column of plain ASCII.
      for (const surface of ['', 'no such API', '名']) {
        const removed = await olive.post(pathOf('names'), { surface, name: 'x', do: 'remove' });
        assert.equal(removed.status, 422, surface);
      }
      assert.deepEqual(await namesOfList(service.deps.db, list), []);
      // What a list of another account is called can be neither taken nor taken away.
      await olive.post(pathOf('names'), { surface: 'mailgun', name: 'offers', do: 'remove' });
      assert.equal((await namesOfList(service.deps.db, other)).length, 1);
    });
  });

  describe('the global list', () => {
    it('is marked and unmarked, each after it was said what that means', async () => {
      await makeOne('Other');
      const page = await olive.get(pathOf('special'));
      assert.ok(page.text.includes('then count for all lists of the account. There is 1 other.'));
      assert.ok(page.text.includes('Mailers have to download all lists of the account as a whole once more'));
      const marked = await olive.post(pathOf('global'), { do: 'mark', before: '' });
      assert.equal(marked.location, `${pathOf('special')}?done=global-marked`);
      assert.equal(await markOf(), list.id);
      assert.ok(
        (await olive.get(pathOf('special'))).text.includes('This is the global list of the account.'),
      );
      const ending = { do: 'unmark', before: String(list.id) };
      const refused = await olive.post(pathOf('global'), ending);
      assert.equal(refused.status, 422);
      assert.ok(refused.text.includes('Type your password.'));
      assert.match(refused.html, /<details class="confirm deed" open>/);
      assert.equal(await markOf(), list.id);
      const unmarked = await olive.post(pathOf('global'), { ...ending, password: goodPassword });
      assert.equal(unmarked.location, `${pathOf('special')}?done=global-unmarked`);
      assert.equal(await markOf(), null);
    });

    it('is not replaced by somebody who had seen another one, or none', async () => {
      const other = await makeOne('Other');
      await setGlobalList(service.deps.db, account, other, { actor: 'test' });
      assert.ok((await olive.get(pathOf('special'))).text.includes('It takes the place of Other.'));
      const page = await olive.post(pathOf('global'), { do: 'mark', before: '' });
      assert.equal(page.status, 403);
      assert.ok(page.text.includes('Another list has become the global one meanwhile.'));
      assert.equal(await markOf(), other.id);
      const replacing = { do: 'mark', before: String(other.id) };
      assert.equal((await olive.post(pathOf('global'), replacing)).status, 422, 'it ends the other');
      assert.equal(await markOf(), other.id);
      assert.equal(
        (await olive.post(pathOf('global'), { ...replacing, password: goodPassword })).status,
        303,
      );
      assert.equal(await markOf(), list.id);
    });

    it('is not ended from the page of another list', async () => {
      const other = await makeOne('Other');
      await setGlobalList(service.deps.db, account, other, { actor: 'test' });
      await olive.post(pathOf('global'), { do: 'unmark', before: String(other.id) });
      assert.equal(await markOf(), other.id);
    });
  });

  describe('the archive', () => {
    it('takes a list in and gives it back', async () => {
      assert.equal(
        (await olive.post(pathOf('archive'), { do: 'archive' })).location,
        `${pathOf('special')}?done=list-archived`,
      );
      assert.notEqual((await again()).archivedAt, null);
      const page = await olive.get(pathOf('special'));
      assert.ok(
        page.text.includes('Archived since') &&
          page.text.includes('An archived list cannot be the global one.'),
      );
      await olive.post(pathOf('archive'), { do: 'unarchive' });
      assert.equal((await again()).archivedAt, null);
    });

    it('takes no global list, and no archived list becomes one', async () => {
      await setGlobalList(service.deps.db, account, list, { actor: 'test' });
      const refused = await olive.post(pathOf('archive'), { do: 'archive' });
      assert.equal(refused.status, 403);
      assert.ok(refused.text.includes('This is the global list of the account, so it cannot be archived.'));
      assert.doesNotMatch(refused.text, /signoff list global/);
      await setGlobalList(service.deps.db, account, null, { actor: 'test' });
      await archiveList(service.deps.db, list, true, { actor: 'test' });
      const page = await olive.post(pathOf('global'), { do: 'mark', before: '' });
      assert.equal(page.status, 403);
      assert.ok(page.text.includes('This list is archived: it cannot be the global one.'));
      assert.equal(await markOf(), null);
    });
  });

  describe('clearing', () => {
    it('names how many would go, and wants the password', async () => {
      assert.ok((await olive.get(pathOf('special'))).text.includes('The list holds nothing at present.'));
      for (let i = 0; i < 3; i++) await optOut(`p${i}@example.com`);
      await untilNumbered(service, list);
      const page = await olive.get(pathOf('special'));
      assert.ok(page.text.includes('3 opt-outs would go.') && page.text.includes('Remove 3 opt-outs'));
      for (const [password, says] of [
        ['', 'Type your password.'],
        ['not it at all', 'This is not your password.'],
      ] as const) {
        const refused = await olive.post(pathOf('clear'), { password });
        assert.equal(refused.status, 422);
        assert.ok(refused.text.includes(says));
        assert.match(refused.html, /<details class="confirm deed grave" open>/);
        assert.doesNotMatch(refused.html, /not it at all/);
      }
      assert.deepEqual(await bulkRemovalsOfList(service.deps.db, list.id), []);
    });

    it('removes all, as one removal of the user, which can be taken back', async () => {
      for (let i = 0; i < 3; i++) await optOut(`p${i}@example.com`);
      const answer = await olive.post(pathOf('clear'), { password: goodPassword });
      assert.equal(answer.location, `${pathOf('special')}?done=list-cleared`);
      const [removal, ...more] = await bulkRemovalsOfList(service.deps.db, list.id);
      assert.equal(more.length, 0);
      assert.equal(removal?.actor, `user:${olive.user.id}`);
      assert.equal(removal.kind, 'all');
      await until(
        'all are removed',
        async () => (await bulkRemovalsOfList(service.deps.db, list.id))[0]?.optOuts === 3,
      );
      const page = await olive.get(`${pathOf('special')}?done=list-cleared`);
      assert.ok(page.text.includes('For 30 days you can take that back under Removals.'));
      assert.ok(page.html.includes(`href="/console/accounts/${account.id}/removals"`));
    });
  });

  it('are opened by GET where a form came back from', async () => {
    for (const part of ['global', 'archive', 'clear']) {
      const page = await olive.get(pathOf(part));
      assert.equal(page.status, 200);
      assert.match(page.html, new RegExp(`<a href="${pathOf('special')}" aria-current="page">`));
    }
  });
});

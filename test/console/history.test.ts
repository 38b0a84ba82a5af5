import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { actionGroups } from '../../src/console/history-actions.js';
import { consoleTexts, hasConsoleText } from '../../src/console/texts.js';
import { createAccount } from '../../src/core/accounts.js';
import { createCredential } from '../../src/core/credentials.js';
import { noteChange, noteChanges } from '../../src/core/history.js';
import { columnsOf } from '../../src/core/list-settings.js';
import { editList, type List } from '../../src/core/lists.js';
import { consoleLanguages } from '../../src/core/users.js';
import { projectPath } from '../../src/paths.js';
import { signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';

const known: ReadonlySet<string> = new Set(Object.values(actionGroups).flat());

describe('The words of the history', () => {
  it('are there for every action that the source notes', () => {
    const noted = notedInSource();
    assert.ok(noted.size > 40, `only ${noted.size} actions were found`);
    assert.deepEqual(
      [...noted].filter((action) => !known.has(action)),
      [],
      'put them into src/console/history-actions.ts, and give them their texts',
    );
    assert.deepEqual(
      [...known].filter((action) => !noted.has(action)),
      [],
      'nobody notes these',
    );
  });

  it('are there in all languages', () => {
    const missing = consoleLanguages.flatMap((language) => {
      const t = consoleTexts(language);
      return [
        ...[...known].map((action) => `history.action.${action}`),
        ...Object.keys(actionGroups).map((group) => `history.group.${group}`),
        ...settingColumns().map((column) => `history.setting.${column}`),
      ].filter((key) => !hasConsoleText(key) || t(key) === key || t(key) === '');
    });
    assert.deepEqual(missing, []);
  });

  it('name each action once', () => {
    assert.equal(known.size, Object.values(actionGroups).flat().length);
  });
});

describe("An account's history in the console", function () {
  this.timeout(60_000);
  let service: TestService;
  let olive: Visitor;
  let list: List;
  let path: string;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
    list = await makeList(service, { name: 'News', internalName: '<b>news</b>' });
    path = `/console/accounts/${service.accountId}/history`;
  });
  after(() => service.close());

  function rowsOf({ html }: ConsolePage): string[] {
    const [, body = ''] = /<tbody>([^]*)<\/tbody>/.exec(html) ?? [];
    return body
      .split('</tr>')
      .slice(0, -1)
      .map((row) =>
        row
          .replace(/<time[^]*?<\/time>/g, '')
          .replace(/<[^>]*>/g, ' ')
          .replace(/&lt;/g, '<')
          .replace(/&gt;/g, '>')
          .replace(/\s+/g, ' ')
          .trim(),
      );
  }
  const shown = async (query = '') => rowsOf(await olive.get(`${path}${query}`));

  it('tells who changed what, by name, in words, newest first', async () => {
    const { db } = service.deps;
    const by = { actor: `user:${olive.user.id}` };
    await editList(db, list, { internalName: '<b>news</b>', pixel: false, cap: null }, by);
    const { mailer } = await makeMailer(service, list);
    const { credential } = await createCredential(
      db,
      service.accountId,
      { surface: 'mailgun', name: 'Shop <i>key</i>', rights: ['read', 'record'] },
      by,
    );
    await noteChange(db, {
      ...{ accountId: service.accountId, listId: list.id, actor: `credential ${credential.id}` },
      ...{ action: 'opt-out.removed', subject: Buffer.alloc(16, 7), details: { tag: 'sale', opt_outs: 3 } },
    });
    const page = await olive.get(path);
    assert.ok(!page.html.includes('<b>news') && !page.html.includes('<i>key'), 'names are escaped');
    const rows = rowsOf(page);
    assert.deepEqual(rows.slice(0, 6), [
      'Shop <i>key</i> API key Removed an opt-out Tag: sale · 3 opt-outs <b>news</b>',
      'Olive Owner Made the API key “Shop <i>key</i>” Mailgun v3 · May: read, record –',
      `test Made a new access key for “${mailer.name}” Older keys end at once –`,
      `test Granted the list to the mailer “${mailer.name}” <b>news</b>`,
      `test Added the mailer “${mailer.name}” –`,
      'Olive Owner Changed settings of the list Changed: internal name, pixel, size limit <b>news</b>',
    ]);
    assert.equal(rows.at(-1), 'Signoff Created the account –');
  });

  it('speaks Japanese', async () => {
    const jun = await signInAs(service, 'owner', { language: 'ja' });
    const page = await jun.get(path);
    assert.match(page.text, /リストの設定を変更しました 変更: 管理用の名前、ピクセル、上限件数/);
    assert.doesNotMatch(page.text, /history\./);
  });

  it('can be narrowed to a list, to who did it, to what it is about, and to a day', async () => {
    const { db } = service.deps;
    const other = await makeList(service, { internalName: 'other' });
    assert.deepEqual(await shown(`?list=${other.publicId}`), ['test Created the list other']);
    const keys = await shown('?actor=keys');
    assert.deepEqual([keys.length, keys[0]?.startsWith('Shop <i>key</i> API key')], [1, true]);
    const own = await shown(`?actor=user:${olive.user.id}`);
    assert.ok(own.length === 2 && own.every((row) => row.startsWith('Olive Owner')));
    assert.ok((await shown('?about=mailers')).every((row) => /mailer|access key/i.test(row)));
    assert.deepEqual(await shown(`?about=mailers&list=${other.publicId}`), []);
    await db('accounts').where({ id: service.accountId }).update({ time_zone: 'Asia/Tokyo' });
    const dayOf = (text: string) => Date.parse(`${text}+09:00`);
    await noteChanges(
      db,
      ['2026-03-01T23:59:59.999', '2026-03-02T00:00:00.000'].map((text, n) => ({
        ...{ accountId: service.accountId, actor: 'cli', action: 'account.edited', at: dayOf(text) },
        details: { name: `name ${n}` },
      })),
    );
    assert.deepEqual(await shown('?until=2026-03-01'), [
      'Command line Changed settings of the account Name: name 0 –',
    ]);
    assert.equal((await shown('?until=2026-03-02')).length, 2);
    for (const wrong of ['?until=2026-13-45', '?about=nothing', '?list=x', '?before=x', '?actor=%00']) {
      assert.equal((await olive.get(`${path}${wrong}`)).status, 200, wrong);
    }
  });

  it('goes on page by page with what was chosen, each entry once', async () => {
    const { db } = service.deps;
    const busy = await makeList(service, { internalName: 'busy' });
    await noteChanges(
      db,
      Array.from({ length: 119 }, (_, n) => ({
        ...{ accountId: service.accountId, listId: busy.id, actor: 'keeper', action: 'opt-out.evicted' },
        ...{ details: { tag: `t${n}` } },
      })),
    );
    let next = `${path}?list=${busy.publicId}`;
    const pages: string[][] = [];
    while (next !== '') {
      assert.ok(pages.length < 10, 'the pages come to an end');
      const page = await olive.get(next);
      pages.push(rowsOf(page));
      const [, href = ''] = /href="([^"]*before=[^"]*)"/.exec(page.html) ?? [];
      next = href.replaceAll('&#38;', '&').replaceAll('&amp;', '&');
    }
    assert.deepEqual(
      pages.map((page) => page.length),
      [50, 50, 20],
    );
    assert.equal(new Set(pages.flat()).size, 120);
  });

  it('shows what it does not know by its code, and nothing that is not for people', async () => {
    await noteChange(service.deps.db, {
      ...{ accountId: service.accountId, actor: '<u>who</u>', action: 'moon.landed' },
      ...{ details: { key_hash: 'c0ffee', mailer: 424242, settings: 'no list', tag: ['x'] } },
    });
    await service.deps.db('history').insert({
      ...{ at: Date.now(), account_id: service.accountId, actor: 'cli', action: 'mailer.created' },
      details: '{broken',
    });
    const page = await olive.get(path);
    assert.ok(!page.html.includes('<u>who') && !page.html.includes('c0ffee'));
    const rows = rowsOf(page);
    assert.match(rows[1] ?? '', /^<u>who<\/u> moon\.landed/);
    assert.match(rows[0] ?? '', /^Command line Added the mailer/);
  });

  it("is each account's own, and the admins' have one of theirs", async () => {
    const other = await createAccount(service.deps.db, 'Other');
    const otto = await signInAs(service, { owner: other });
    const theirs = await otto.get(`/console/accounts/${other.id}/history?list=${list.publicId}`);
    assert.equal(theirs.status, 200);
    assert.doesNotMatch(theirs.html, /News|news/);
    assert.equal((await otto.get(path)).status, 404);
    const ada = await signInAs(service, 'admin');
    const page = await ada.get('/console/history');
    assert.match(page.text, /test Added Olive Owner Admin/);
    assert.doesNotMatch(page.text, /Created the list/);
  });

  it('names nobody of another account, whoever is asked for', async () => {
    const other = await createAccount(service.deps.db, 'Theirs');
    const theirs = await signInAs(service, { owner: other });
    await service.deps.db('users').where({ id: theirs.user.id }).update({ name: 'Secret Person' });
    for (const actor of [`user:${theirs.user.id}`, 'credential 1', 'user:1']) {
      const page = await olive.get(`${path}?actor=${encodeURIComponent(actor)}`);
      assert.equal(page.status, 200);
      assert.doesNotMatch(page.html, /Secret Person/);
    }
  });
});

/** Words of the shape `noun.verb` in the files that note changes, less those that are something else. */
function notedInSource(): Set<string> {
  const files = (readdirSync(projectPath('src'), { recursive: true }) as string[]).filter((file) =>
    file.endsWith('.ts'),
  );
  const found = new Set<string>();
  for (const file of files) {
    const source = readFileSync(projectPath('src', file), 'utf8');
    const notes = /\bnote(Changes?|Of[A-Z]\w*)\(/.test(source) || /history'\)?/.test(source);
    if (!notes || file.startsWith('console/history')) continue;
    const code = source.replace(/^import [^;]*;/gm, '');
    for (const [, word = ''] of code.matchAll(/'([a-z]+(?:-[a-z]+)*\.[a-z]+(?:-[a-z]+)*)'/g)) {
      if (!isSomethingElse(code, word)) found.add(word);
    }
  }
  return found;
}

/** A column with its table, a text or a view of the console. */
function isSomethingElse(code: string, word: string): boolean {
  const quoted = `'${word}'`;
  const [table = '', column = ''] = word.split('.');
  return (
    /^(id|tag|title|name|other|ejs)$/.test(column) ||
    code.includes(`t(${quoted}`) ||
    code.includes(`view(${quoted}`) ||
    new RegExp(`(join|pluck|select|ref|where|orderBy|groupBy)\\([^;]*${quoted.replace('.', '\\.')}`).test(
      code,
    ) ||
    (table.endsWith('s') && !['tags', 'alerts', 'opt-outs', 'links'].includes(table))
  );
}

/** All that a list's settings are kept in. */
function settingColumns(): string[] {
  return Object.keys(
    columnsOf({
      ...{ internalName: 'x', name: 'x', state: 'open', directLink: 'confirm', pixel: true, thankYou: {} },
      ...{ redirectTemplate: '', ipWhitelist: '', downloadsFromAnyAddress: false, operatorName: '' },
      ...{ postalAddress: '', contact: '', privacyUrl: '', defaultLanguage: 'en', signedLinksOnly: false },
      cap: null,
    }),
  );
}

import assert from 'node:assert/strict';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { checkItems, type Item } from '../../src/core/check.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { getAccount } from '../../src/core/accounts.js';
import { getListById } from '../../src/core/lists.js';
import { migratedDatabase, newList, plant, rowKinds, type TestDatabase } from '../support/core.js';
import { itemsAbout, lastOfEach, listsByModel, randomEntry, randomFrom } from '../support/items.js';

const at = 10_000;

function itemOf(text: string): Item {
  if (text.includes('@')) return { normalised: text };
  return text.length === 32 ? { md5: Buffer.from(text, 'hex') } : { sha256: Buffer.from(text, 'hex') };
}

describe('Which of many items are suppressed', () => {
  let test: TestDatabase;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());

  const markGlobal = async (listId: number | null) => {
    const list = listId === null ? null : await getListById(test.db, listId);
    await setGlobalList(test.db, await getAccount(test.db, 1), list, { actor: 'test' });
  };

  it('is told of every kind of item against every kind of entry', async () => {
    const idn = 'jörg@müller.example'.replace('müller', 'xn--mller-kva');
    const listId = await newList(test.db);
    const kinds = Object.entries(rowKinds);
    const emails = ['ann@example.com', idn];
    const asked: [string, Item, boolean][] = [];
    for (const email of emails) {
      for (const [kind, rowOf] of kinds) {
        const own = `${kind.toLowerCase()}-${email}`;
        await plant(test.db, listId, [rowOf(own)]);
        const hasMd5 = kind !== 'sha256Only';
        const hasSha256 = kind !== 'md5Only';
        asked.push([`${kind} by address`, { normalised: own }, true]);
        asked.push([`${kind} by MD5`, { md5: md5Of(own) }, hasMd5]);
        asked.push([`${kind} by SHA-256`, { sha256: sha256Of(own) }, hasSha256]);
        if (email !== idn) continue;
        const unicode = own.replace('xn--mller-kva', 'müller');
        asked.push([`${kind} by the Unicode form's MD5`, { md5: md5Of(unicode) }, kind === 'plain']);
        asked.push([
          `${kind} by the Unicode form's SHA-256`,
          { sha256: sha256Of(unicode) },
          kind === 'plain',
        ]);
      }
    }
    asked.push(['nobody by address', { normalised: 'nobody@example.com' }, false]);
    const found = await checkItems(
      test.db,
      listId,
      asked.map(([, item]) => item),
    );
    assert.deepEqual(
      asked.map(([what], i) => [what, found[i]]),
      asked.map(([what, , isHeld]) => [what, isHeld ? [listId] : []]),
    );
  });

  it('is nobody where nothing is asked, and where the beginning of a SHA-256 is asked as an MD5', async () => {
    const listId = await newList(test.db);
    await plant(test.db, listId, [rowKinds.sha256Only('ann@example.com')]);
    assert.deepEqual(await checkItems(test.db, listId, []), []);
    const beginning = sha256Of('ann@example.com').subarray(0, 16);
    assert.deepEqual(await checkItems(test.db, listId, [{ md5: beginning }]), [[]]);
    const another = Buffer.concat([beginning, Buffer.alloc(16)]);
    assert.deepEqual(await checkItems(test.db, listId, [{ sha256: another }]), [[]]);
  });

  it('is what a look at every entry says, by list and global list, tag and time', async function () {
    this.timeout(60_000);
    const random = randomFrom(4);
    const names = Array.from({ length: 12 }, (_, n) => `p${n}`);
    const domains = [
      'example.com',
      'xn--mller-kva.example',
      'mail.xn--mller-kva.example',
      'xn--p1ai.example',
    ];
    const emails = names.flatMap((name) => domains.map((domain) => `${name}@${domain}`));
    for (let round = 0; round < 8; round++) {
      const ids = [await newList(test.db), await newList(test.db)];
      const [own = 0, global = 0] = ids;
      const drawn = Array.from({ length: 80 }, () =>
        randomEntry(random, ids[random(2)] ?? 0, emails[random(emails.length)] ?? '', at),
      );
      const entries = lastOfEach(drawn);
      for (const id of ids) {
        const rows = entries.filter(({ listId }) => listId === id).map(({ row }) => row);
        await plant(test.db, id, rows);
      }
      await markGlobal(round % 2 === 0 ? global : null);
      const counting = entries.filter(({ listId }) => listId === own || round % 2 === 0);
      const items = emails.flatMap(itemsAbout);
      for (const tag of [undefined, '*', 'offers']) {
        const found = await checkItems(test.db, own, items.map(itemOf), { at, tag });
        const wrong = items.flatMap((item, i) => {
          const told = [...(found[i] ?? [])].sort((a, b) => a - b).join();
          const meant = listsByModel(counting, item, tag).join();
          return told === meant ? [] : [{ item, told, meant }];
        });
        assert.deepEqual(wrong, [], `round ${round}, tag ${tag}`);
      }
    }
    await markGlobal(null);
  });

  it('is told of more items than one query asks about, repeated ones included', async function () {
    this.timeout(30_000);
    const listId = await newList(test.db);
    const emails = Array.from({ length: 3000 }, (_, n) => `many${n}@example.com`);
    const held = emails.filter((_, n) => n % 3 === 0);
    await plant(test.db, listId, held.map(rowKinds.plain));
    const items = [...emails, ...emails].flatMap((email): Item[] => [
      { normalised: email },
      { md5: md5Of(email) },
      { sha256: sha256Of(email) },
    ]);
    const found = await checkItems(test.db, listId, items);
    assert.deepEqual(
      found.map((ids) => ids.length),
      items.map((_, i) => ((Math.floor(i / 3) % 3000) % 3 === 0 ? 1 : 0)),
    );
  });

  it('is asked no further once whoever asked has gone', async () => {
    const listId = await newList(test.db);
    const gone = AbortSignal.abort(new Error('gone'));
    for (const item of [{ normalised: 'ann@example.com' }, { sha256: sha256Of('ann@example.com') }]) {
      await assert.rejects(checkItems(test.db, listId, [item], { signal: gone }), /^Error: gone$/);
    }
  });
});

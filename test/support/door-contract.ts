import assert from 'node:assert/strict';
import type { Response } from 'supertest';
import type { OptOutRecord } from '../../src/core/opt-outs.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import { archiveList, type List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { mailersServer, type Door, type Fields } from './doors.js';
import { errorOf, formOf, lessReceipt, textOf } from './html.js';
import { makeList, makeMailer, until, type TestService } from './service.js';

const ann = 'ann@example.com';
const noList = 'abcdefghjkmnpqrstuvw';

/** Texts that are no address, and the code of what is wrong with them. */
const badAddresses: readonly (readonly [what: string, text: string, code: string])[] = [
  ['without an @', 'ann.example.com', 'no-at'],
  ['with a comma', 'ann,bob@example.com', 'bad-local-part'],
  ['of a host alone', 'ann@localhost', 'bad-domain'],
  ['at a network address', 'ann@127.0.0.1', 'bad-domain'],
  ['over 254 octets', `${'a'.repeat(250)}@example.com`, 'too-long'],
  ['of thousands of characters', `${'a'.repeat(5000)}@example.com`, 'too-long'],
  ['with a control character', 'ann\u0007@example.com', 'control-character'],
  ['with a NUL', 'ann@example.com\0', 'control-character'],
  ['with a zero-width space', 'an\u200bn@example.com', 'invisible-character'],
  ['that turns the writing round', 'ann\u202e@example.com', 'invisible-character'],
  ['that is empty', '', 'missing'],
  ['that is a merge tag', '{{email}}', 'missing'],
  ["that is another vendor's merge tag", '*|EMAIL|*', 'missing'],
];

/** What every door that records an opt-out keeps to. */
export function recordsOptOuts(door: Door, running: () => TestService): void {
  describe(`Through ${door.name}, an opt-out`, () => {
    let service: TestService;
    /** Nothing is ever recorded on it. */
    let empty: List;
    before(async () => {
      service = running();
      empty = await newList();
    });

    const newList = (settings = {}) => makeList(service, { ...door.settings, ...settings });
    const ask = (list: List, ...fields: Fields) => door.ask(service, list.publicId, fields);
    const isOnList = (list: List, email = ann, tag = '*') =>
      isSuppressed(service.deps.db, list.id, email, { tag });

    async function taken(list: List, ...fields: Fields): Promise<Response> {
      const answer = await ask(list, ...fields);
      assert.equal(answer.status, 200, answer.text);
      return answer;
    }

    async function onlyRow(list: List): Promise<OptOutRecord> {
      const rows = await service.deps.db<OptOutRecord>('opt_outs').where({ list_id: list.id });
      assert.equal(rows.length, 1);
      return rows[0] as OptOutRecord;
    }

    async function recordsNothing(act: () => Promise<void>): Promise<void> {
      const count = async () => (await service.deps.db('opt_outs').select('list_id')).length;
      const before = await count();
      await act();
      assert.equal(await count(), before);
    }

    it('suppresses the address, and keeps how it came', async () => {
      const list = await newList();
      await addTags(service.deps.db, list.id, ['offers']);
      const { mailer } = await makeMailer(service, list);
      const startedAt = Date.now();
      await taken(list, ['email', ann], ['tag', 'offers'], ['mailer', String(mailer.id)]);

      assert.equal(await isOnList(list, ann, 'offers'), true);
      assert.equal(await isOnList(list, 'bob@example.com', 'offers'), false);
      const row = await onlyRow(list);
      assert.equal(row.source, door.source);
      assert.equal(row.ip, mailersServer);
      assert.equal(row.mailer_id, mailer.id);
      assert.equal(row.tag.toString(), 'offers');
      assert.equal(row.address?.toString(), ann);
      assert.equal(row.recorded_at, row.created_at);
      assert.ok(row.created_at >= startedAt && row.created_at <= Date.now());
      assert.deepEqual([row.repeats, row.removed_at, row.expires_at], [0, null, null]);
    });

    it('is once when it comes twice, and keeps its first time', async () => {
      const list = await newList();
      await taken(list, ['email', ann]);
      const first = await onlyRow(list);
      await until('the clock has moved on', () => Date.now() > first.last_at);
      await taken(list, ['email', ann]);
      const second = await onlyRow(list);
      assert.deepEqual([second.created_at, second.recorded_at], [first.created_at, first.recorded_at]);
      assert.ok(second.last_at > first.last_at);
      assert.equal(second.repeats, 1);
    });

    it('is one, however its address is spelled', async () => {
      const list = await newList();
      const spellings = [
        ann,
        'Ann@EXAMPLE.com',
        '  ann@example.com ',
        'ann@example.com.',
        'ａｎｎ＠example.com',
      ];
      for (const email of spellings) await taken(list, ['email', email]);
      assert.equal((await onlyRow(list)).repeats, spellings.length - 1);

      const abroad = await newList();
      const bücher = ['bob@bücher.example', 'bob@BU\u0308CHER.example', 'Bob@xn--bcher-kva.example'];
      for (const email of bücher) await taken(abroad, ['email', email]);
      assert.equal((await onlyRow(abroad)).address?.toString(), 'bob@xn--bcher-kva.example');
    });

    it('keeps a plus in its address', async () => {
      const list = await newList();
      await taken(list, ['email', 'ann+news@example.com']);
      assert.equal((await onlyRow(list)).address?.toString(), 'ann+news@example.com');
    });

    it('from a list that does not exist is a 404, and nothing is recorded', async () => {
      for (const id of [noList, 'x', `${noList}x`, "'; DROP TABLE lists; --", '%00', '..']) {
        await recordsNothing(async () => {
          const answer = await door.ask(service, encodeURIComponent(id), [['email', ann]]);
          assert.equal(answer.status, 404, id);
        });
      }
    });

    // A signed link's one address was checked when it was made.
    for (const [what, text, code] of door.isSigned ? [] : badAddresses) {
      it(`of an address ${what} is not recorded, and is told why`, async () => {
        await recordsNothing(async () => tellsWhy(await ask(empty, ['email', text]), code));
      });
    }

    if (!door.takesSeveral && !door.isSigned) {
      it('of two addresses where one is due is not recorded, and is told why', async () => {
        await recordsNothing(async () => {
          const answer = await ask(empty, ['email', ann], ['email', 'bob@example.com']);
          tellsWhy(answer, door.name.includes('JSON') ? 'not-text' : 'several');
        });
      });
    }

    if (!door.isNameless && !door.isSigned) {
      it('of nothing but an array is not recorded, and is told why', async () => {
        await recordsNothing(async () => {
          const answer = await ask(empty, ['email[]', ann]);
          tellsWhy(answer, door.takesSeveral || door.name.includes('JSON') ? 'missing' : 'several');
        });
      });

      it('may call its address item', async () => {
        const list = await newList();
        await taken(list, ['item', ann]);
        assert.equal(await isOnList(list), true);
      });
    }

    it('is answered alike, whether the address was on the list or not', async () => {
      const list = await newList();
      await addTags(service.deps.db, list.id, ['offers']);
      await taken(list, ['email', 'ann@example.com']);
      await taken(list, ['email', 'bob@example.com'], ['tag', 'offers']);
      const [already, known, unknown] = await Promise.all(
        ['ann', 'bob', 'cat'].map(async (name) => {
          const answer = await taken(list, ['email', `${name}@example.com`]);
          return seenOf(answer, name);
        }),
      );
      assert.deepEqual(known, already);
      assert.deepEqual(unknown, already);
    });

    it('is taken by a list that is closed, and by one that is archived', async () => {
      const closed = await newList({ state: 'closed' });
      await taken(closed, ['email', ann]);
      assert.equal(await isOnList(closed), true);
      const archived = await newList();
      await archiveList(service.deps.db, archived, true, { actor: 'test' });
      await taken(archived, ['email', ann]);
      assert.equal(await isOnList(archived), true);
    });

    it('is from everything, where the list does not know the tag', async () => {
      const list = await newList();
      await addTags(service.deps.db, list.id, ['offers', 'Ünï ✉']);
      const unknown = ['OFFERS', 'offers2', '*', '', 'x'.repeat(500), '<b>', 'a\0b', '__proto__'];
      const sent = unknown.filter((tag) => !door.isSigned || tag.length <= 128);
      for (const tag of sent) await taken(list, ['email', ann], ['tag', tag]);
      assert.equal((await onlyRow(list)).tag.toString(), '*');
      await taken(list, ['email', 'bob@example.com'], ['tag', ' U\u0308nï ✉ ']);
      const tags = (await findOptOuts(service.deps.db, list.id, 'bob@example.com')).map((row) => row.tag);
      assert.deepEqual(tags.map(String), ['Ünï ✉']);
    });

    it('is of no mailer, where the list is not granted to the one that is named', async () => {
      const list = await newList();
      const { mailer } = await makeMailer(service, await newList());
      for (const name of [String(mailer.id), '0', '-1', '1e3', 'x', '9'.repeat(40)]) {
        await taken(list, ['email', ann], ['mailer', name]);
      }
      assert.equal((await onlyRow(list)).mailer_id, null);
    });

    /** The status, and the parameter with what is wrong with it: as a document, or in the person's words. */
    function tellsWhy(answer: Response, code: string): void {
      if (door.caller === 'person') {
        // A link without an address is a visit of the page.
        assert.equal(answer.status, door.isVisit && code === 'missing' ? 200 : 422);
        assert.equal(formOf(answer.text)?.isComplete, false, 'the form is there');
        const isVisit = answer.status === 200;
        assert.equal(errorOf(answer.text), isVisit ? null : textOf('en', `address.${code}`));
        return;
      }
      assert.equal(answer.status, 400);
      assert.match(answer.type, /^application\/problem\+json$/);
      const problem = answer.body as { field?: string; code?: string; detail?: string };
      assert.deepEqual([problem.field, problem.code], ['email', code]);
      assert.match(problem.detail ?? '', /email|address/);
    }
  });
}

/** All that a caller can see of an answer, less the address itself, the clock, and what is random each time. */
function seenOf(answer: Response, name: string) {
  const { date, ...headers } = answer.headers as Record<string, string>;
  assert.notEqual(date, undefined);
  const body = Buffer.isBuffer(answer.body) ? answer.body.toString('latin1') : answer.text;
  return {
    status: answer.status,
    headers,
    body: lessReceipt(body.replaceAll(`${name}@example.com`, '…')),
  };
}

import assert from 'node:assert/strict';
import { editList, getListById, type List } from '../../src/core/lists.js';
import type { Refused } from '../../src/errors.js';
import { signInAs, type Visitor } from '../support/console.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { fieldsOf, openSettings, settingsPath } from './edit-form.js';

describe('The settings of a list that two have open', () => {
  let service: TestService;
  let olive: Visitor;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());

  const again = (list: List) => getListById(service.deps.db, list.id);
  const historyOf = async (list: List) => {
    const noted = service.deps.db<{
      list_id: number;
      action: string;
      actor: string;
      details: string;
      id: number;
    }>('history');
    return noted.where({ list_id: list.id, action: 'list.edited' }).orderBy('id').select('actor', 'details');
  };

  it('are not overwritten by somebody who has not seen them', async () => {
    const list = await makeList(service, {
      thankYou: { de: 'Danke', fr: 'Merci' },
      cap: 5000,
      ipWhitelist: '',
    });
    const bob = await signInAs(service, 'owner');
    const open = await openSettings(olive, list);
    const bobs: Record<string, string> = {
      ...(await openSettings(bob, list)),
      ...{
        name: "Bob's",
        contact: 'bob@acme.example',
        cap: '',
        'thankYou.de': 'Tschüss',
        'thankYou.it': 'Ciao',
      },
      ...{ signedLinksOnly: 'yes', do: 'save' },
    };
    delete bobs.pixel;
    assert.equal((await bob.post(settingsPath(list), bobs)).status, 303);
    const standing = await again(list);

    const mine = {
      contact: 'olive@acme.example',
      operatorName: 'Acme',
      'thankYou.de': 'Schade',
      'thankYou.fr': '',
    };
    const page = await olive.post(settingsPath(list), { ...open, ...mine, do: 'save' });
    assert.equal(page.status, 409);
    assert.ok(page.text.includes('Somebody else saved settings meanwhile'));
    assert.ok(page.text.includes('Olive Owner saved settings of this list on'), 'it says who');
    const [, taken = '', both = ''] =
      /had changed nothing\.(.*)Changed by both of you\.(.*)Look through/.exec(page.text) ?? [];
    for (const text of [
      "Public name Bob's",
      'Most opt-outs that the list holds nothing',
      'Thank-you text, Italiano Ciao',
    ]) {
      assert.ok(taken.includes(text), text);
    }
    assert.ok(
      both.includes('Contact bob@acme.example') && both.includes('Thank-you text, Deutsch Tschüss'),
      both,
    );
    for (const own of ['Operator', 'Français']) assert.ok(!`${taken}${both}`.includes(own), own);
    assert.deepEqual(await again(list), standing, 'nothing was saved');

    const fields = fieldsOf(page);
    for (const [name, value] of Object.entries(mine)) assert.equal(fields[name], value, name);
    assert.equal(fields.name, "Bob's");
    assert.equal(fields['thankYou.it'], 'Ciao');
    assert.deepEqual([fields.cap, fields.pixel, fields.signedLinksOnly], ['', undefined, 'yes']);

    assert.equal(
      (await olive.post(settingsPath(list), { ...fields, do: 'save' })).status,
      303,
      'now it was seen',
    );
    const saved = await again(list);
    assert.deepEqual(saved.thankYou, { de: 'Schade', it: 'Ciao' });
    assert.deepEqual(
      [saved.name, saved.contact, saved.operatorName, saved.cap, saved.pixel, saved.signedLinksOnly],
      ["Bob's", 'olive@acme.example', 'Acme', null, false, true],
    );
  });

  it('take a form whose marks were tampered with for one that was typed as a whole', async () => {
    const list = await makeList(service);
    const open = await openSettings(olive, list);
    await editList(service.deps.db, list, { name: 'Theirs' }, { actor: 'cli' });
    for (const opened of ['', 'null', '[1', '"x"', '{"name":{"a":1}}', '[]']) {
      const page = await olive.post(settingsPath(list), { ...open, opened, do: 'save' });
      assert.equal(page.status, 409, opened);
      assert.equal(fieldsOf(page).name, 'Acme News');
      assert.ok(page.text.includes('Public name Theirs'));
    }
  });

  it('are not overwritten either by who has only looked at the own ones since', async () => {
    const list = await makeList(service);
    const open = await openSettings(olive, list);
    await editList(service.deps.db, list, { contact: 'b' }, { actor: 'cli' });
    const looked = await olive.post(settingsPath(list), { ...open, operatorName: 'Acme', do: 'check' });
    assert.equal(looked.status, 200);
    const page = await olive.post(settingsPath(list), { ...fieldsOf(looked), do: 'save' });
    assert.equal(page.status, 409);
    assert.ok(page.text.includes('The command line saved settings'));
    assert.ok(page.text.includes('Contact b'));
    for (const changedAt of ['', 'x', '-1', '1e99', '0x7f']) {
      const fields = { ...open, contact: 'c', changedAt, do: 'save' };
      assert.equal((await olive.post(settingsPath(list), fields)).status, 409, changedAt);
    }
    assert.equal((await again(list)).contact, 'b');
  });

  it('say of a form that is out of date and wrong that it is out of date', async () => {
    const list = await makeList(service);
    const open = await openSettings(olive, list);
    await editList(service.deps.db, list, { contact: 'b' }, { actor: 'cli' });
    assert.equal((await olive.post(settingsPath(list), { ...open, cap: '1', do: 'save' })).status, 409);
  });

  it('of two who save at the same moment, one is told', async () => {
    const list = await makeList(service);
    const open = await openSettings(olive, list);
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        olive.post(settingsPath(list), { ...open, contact: `no. ${i}`, do: 'save' }),
      ),
    );
    assert.deepEqual(
      answers.map(({ status }) => status).sort((a, b) => a - b),
      [303, ...Array<number>(7).fill(409)],
    );
    assert.equal((await historyOf(list)).length, 1);
  });

  it('are changed by one of those who looked at the same ones', async () => {
    const list = await makeList(service);
    const { db } = service.deps;
    const looked = { actor: 'test', ifChangedAt: list.changedAt };
    const saves = await Promise.allSettled(
      Array.from({ length: 4 }, (_, i) => editList(db, list, { contact: `no. ${i}` }, looked)),
    );
    const refused = saves.filter((save) => save.status === 'rejected');
    assert.equal(refused.length, 3);
    for (const { reason } of refused) assert.equal((reason as Refused).reason, 'changed-meanwhile');
    assert.equal((await historyOf(list)).length, 1);
    assert.ok((await again(list)).changedAt > list.changedAt);
  });
});

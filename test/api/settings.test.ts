import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import { getListById } from '../../src/core/lists.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { clientOf, problemIn, type Client } from './client.js';

describe("The API's settings of a list", () => {
  let service: TestService;
  let list: List;
  let call: Client;
  let path: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service, { thankYou: { en: '# Goodbye' } });
    call = await clientOf(service);
    path = `/lists/${list.publicId}/settings`;
  });
  const standing = () => getListById(service.deps.db, list.id);

  it('are changed where they are given, and stay otherwise', async () => {
    const body = {
      thank_you: { de: '# Auf Wiedersehen' },
      ip_whitelist: ['203.0.113.7', '198.51.100.0/24'],
      pixel: false,
      tags: ['offers'],
    };
    const { status, body: told } = await call('patch', path, { body });
    assert.equal(status, 200);
    const settings = told as { thank_you: object; pixel: boolean; ip_whitelist: string[]; name: string };
    assert.deepEqual(settings.thank_you, { en: '# Goodbye', de: '# Auf Wiedersehen' });
    assert.deepEqual(
      [settings.pixel, settings.ip_whitelist, settings.name],
      [false, body.ip_whitelist, 'Acme News'],
    );
    assert.deepEqual((await call('get', path)).body, told);
    assert.deepEqual([...(await standing()).tags], ['offers']);
    const { body: listed } = await call('get', `/lists/${list.publicId}`);
    assert.deepEqual((listed as { tags: string[] }).tags, ['offers']);
    const noted = await service.deps.db('history').where({ list_id: list.id, action: 'list.edited' });
    assert.deepEqual(
      noted.map(({ actor }: { actor: string }) => actor),
      [`credential ${call.credentialId}`],
    );
  });

  const refused: [what: string, body: object, pointer: string][] = [
    [
      'a redirect that is no web address',
      { redirect_template: 'javascript:alert(1)' },
      '#/redirect_template',
    ],
    ['an empty name', { name: ' ' }, '#/name'],
    ['a whitelist of half the internet', { ip_whitelist: ['0.0.0.0/1'] }, '#/ip_whitelist'],
    ['a state that there is not', { state: 'archived' }, '#/state'],
    ['a language that there is not', { thank_you: { xx: 'Bye' } }, '#/thank_you'],
    [
      'a language that is a part of JavaScript',
      JSON.parse('{"thank_you":{"__proto__":"a"}}'),
      '#/thank_you/__proto__',
    ],
    ['a tag of all', { tags: ['*'] }, '#/tags'],
    ['a cap', { cap: 1000 }, '#/cap'],
    ['a number for a switch', { pixel: 1 }, '#/pixel'],
  ];
  for (const [what, body, pointer] of refused) {
    it(`refuse ${what}, and nothing is changed`, async () => {
      const before = await standing();
      const whole = { operator_name: 'Somebody else', tags: ['offers'], ...body };
      const { errors } = problemIn(await call('patch', path, { body: whole }), 'invalid-request');
      assert.deepEqual(
        errors?.map((fault) => fault.pointer),
        [pointer],
      );
      assert.deepEqual(await standing(), before);
    });
  }
});

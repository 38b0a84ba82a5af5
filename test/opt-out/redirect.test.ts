import assert from 'node:assert/strict';
import request from 'supertest';
import type { ListSettings } from '../../src/core/list-settings.js';
import type { List } from '../../src/core/lists.js';
import { textOf } from '../support/html.js';
import { addressesOf } from '../support/records.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';

describe("A list's redirect", () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const newList = (redirectTemplate: string, settings: Partial<ListSettings> = {}) =>
    makeList(service, { redirectTemplate, ...settings });
  const send = (list: List, email: string) =>
    request(service.url).post(`/l/${list.publicId}/opt-out`).set(browser).type('form').send({ email });
  const visit = (list: List, email: string) =>
    request(service.url).get(`/l/${list.publicId}`).query({ email }).set(browser);

  it('is filled in and sent as 303, after the form and after an instant link', async () => {
    const list = await newList('https://acme.example/bye/{list}?e={email}&s={status}#{email}', {
      directLink: 'instant',
    });
    for (const answer of [await send(list, 'Ann+x@Example.com'), await visit(list, 'Ann+x@Example.com')]) {
      assert.equal(answer.status, 303);
      assert.equal(
        answer.get('Location'),
        `https://acme.example/bye/${list.publicId}?e=ann%2Bx%40example.com&s=opted-out#ann%2Bx%40example.com`,
      );
      assert.equal(answer.text, '');
      assert.equal(answer.get('Cache-Control'), 'no-store, no-transform');
      assert.equal(answer.get('Referrer-Policy'), 'no-referrer');
    }
    assert.deepEqual(await addressesOf(service, list), ['ann+x@example.com']);
  });

  it('says the same whether the address was on the list or not', async () => {
    const list = await newList('https://acme.example/?s={status}');
    const first = await send(list, 'ann@example.com');
    const second = await send(list, 'ann@example.com');
    assert.equal(second.get('Location'), first.get('Location'));
    assert.match(String(first.get('Location')), /s=opted-out$/);
  });

  it('leads to the owner’s host alone, whatever stands in the address', async () => {
    const odd = [
      '"//evil.example"@example.com',
      '"@evil.example/"@example.com',
      '"?#&=%"@example.com',
      '"<script>"@example.com',
      "o'hara@example.com",
      'ann%0d%0aX-Evil:1@example.com',
      '../../../x@example.com',
      'ann@bücher.example',
      'a&e=bob@example.com',
    ];
    for (const template of [
      'https://acme.example/{email}',
      'https://acme.example?{email}',
      'https://acme.example/#{email}',
    ]) {
      const list = await newList(template);
      for (const email of odd) {
        const answer = await send(list, email);
        if (answer.status === 422) continue;
        const location = new URL(String(answer.get('Location')));
        assert.equal(location.origin, 'https://acme.example', email);
        assert.match(location.href, /^[\x21-\x7e]+$/);
        const value = decodeURIComponent(location.href.slice(location.origin.length)).replace(
          /^\/?[?#]?/,
          '',
        );
        assert.equal(value, email.toLowerCase().replace('bücher', 'xn--bcher-kva'));
        assert.equal(answer.get('X-Evil'), undefined);
      }
      assert.ok((await addressesOf(service, list)).length >= odd.length - 1);
    }
  });

  it('is named in the page’s policy, since Chromium would stop there, and on the page', async () => {
    for (const [template, origin, host] of [
      ['https://acme.example/bye', 'https://acme.example', 'acme.example'],
      ['http://acme.example:8080/{email}', 'http://acme.example:8080', 'acme.example:8080'],
      ['https://ACME.example:443/', 'https://acme.example', 'acme.example'],
      ['https://bücher.example/', 'https://xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ] as const) {
      const list = await newList(template);
      for (const page of [
        await visit(list, ''),
        await visit(list, 'ann@example.com'),
        await visit(list, 'ann'),
      ]) {
        const policy = String(page.get('Content-Security-Policy'));
        assert.match(policy, new RegExp(`(^|; )form-action 'self' ${origin.replaceAll('.', '\\.')}$`));
        assert.ok(
          page.text.includes(textOf('en', 'page.redirectNote').replace('{{host}}', `<bdi>${host}</bdi>`)),
        );
      }
    }
  });

  it('is passed over where nothing was recorded', async () => {
    const list = await newList('https://acme.example/');
    const answer = await send(list, 'ann');
    assert.deepEqual([answer.status, answer.get('Location')], [422, undefined]);
  });

  it('is not for machines: a mail client and a server get their own answers', async () => {
    const list = await newList('https://acme.example/');
    const link = `/l/${list.publicId}?email=ann@example.com`;
    assert.equal((await request(service.url).get(link)).status, 200);
    assert.equal((await request(service.url).get(link).set('Accept', 'image/*')).status, 200);
  });
});

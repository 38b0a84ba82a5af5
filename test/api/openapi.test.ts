import assert from 'node:assert/strict';
import { Validator } from '@seriousme/openapi-schema-validator';
import { operations } from '../../src/api/operations.js';
import { isJson } from '../../src/api/operation.js';
import { problemsOf } from '../../src/api/document.js';
import { problemTypes } from '../../src/api/problem-types.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { send } from './client.js';
import { document, validatorOf } from './document.js';

const methods = ['get', 'post', 'put', 'patch', 'delete'] as const;

describe('The OpenAPI document', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('is a valid one, of version 3.1', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    assert.deepEqual([valid, errors], [true, undefined]);
    assert.match(document.openapi, /^3\.1\./);
  });

  it('is served to everyone, and not again where it is unchanged', async () => {
    const answer = await send(service, 'get', '/openapi.json');
    assert.deepEqual([answer.status, answer.type], [200, 'application/json']);
    assert.deepEqual(answer.body, document);
    const { etag, 'cache-control': cache } = answer.headers as Record<string, string>;
    assert.match(String(cache), /max-age=\d+/);
    for (const header of [etag, `W/${etag}`, `"x", ${etag}`]) {
      const again = await send(service, 'get', '/openapi.json', {
        headers: { 'If-None-Match': String(header) },
      });
      assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', etag]);
    }
    const head = await send(service, 'head', '/openapi.json');
    assert.deepEqual([head.status, head.headers['content-length']], [200, answer.headers['content-length']]);
  });

  it('has every operation that the router has, and no other', async () => {
    const list = await makeList(service);
    for (const [path, documented] of Object.entries(document.paths)) {
      const at = path.replace('{list}', list.publicId).replace(/\{\w+\}/g, 'ann@example.com');
      const { headers } = await send(service, 'options', at);
      const allowed = String(headers.allow)
        .split(', ')
        .filter((one) => !/HEAD|OPTIONS/.test(one));
      const told = Object.keys(documented).filter((one) => (methods as readonly string[]).includes(one));
      assert.deepEqual(allowed.map((one) => one.toLowerCase()).sort(), told.sort(), path);
    }
    const ids = Object.values(document.paths).flatMap((one) =>
      Object.values(one).map(({ operationId }) => operationId),
    );
    assert.deepEqual(ids.sort(), operations.map(({ id }) => id).sort());
    assert.equal(new Set(ids).size, ids.length);
  });

  it('names every problem that an operation can have, and no problem twice', () => {
    for (const operation of operations) {
      const documented = document.paths[operation.path]?.[operation.method];
      for (const name of problemsOf(operation)) {
        assert.ok(documented?.responses[problemTypes[name].status], `${operation.id} ${name}`);
      }
    }
  });

  it('speaks of an Idempotency-Key where it does something', () => {
    const takes = (path: string) =>
      JSON.stringify(document.paths[path]?.post).includes('Idempotency-Key') &&
      document.paths[path]?.post?.responses[422] !== undefined;
    assert.deepEqual([takes('/lists/{list}/opt-outs'), takes('/lists/{list}/check')], [true, false]);
    assert.equal(JSON.stringify(document.paths['/lists/{list}/check']).includes('422'), false);
  });

  for (const { id, path, method, body, example } of operations) {
    it(`has examples that are as it says: ${id}`, () => {
      const documented = document.paths[path]?.[method];
      assert.ok(documented);
      for (const { content = {} } of Object.values(documented.responses)) {
        for (const [type, one] of Object.entries(content)) {
          if (type !== 'application/json') continue;
          const validate = validatorOf(one.schema);
          assert.ok(validate(one.example), JSON.stringify([one.example, validate.errors]));
        }
      }
      if (!isJson(body)) return;
      const validate = validatorOf(documented.requestBody?.content['application/json']?.schema);
      assert.ok(validate(example.body), JSON.stringify(validate.errors));
      assert.ok(body.schema.safeParse(example.body).success);
    });
  }
});

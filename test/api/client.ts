import assert from 'node:assert/strict';
import request, { type Response, type Test } from 'supertest';
import { createCredential, type NewCredential } from '../../src/core/credentials.js';
import type { List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { checkAnswer } from './document.js';
import { makeList, type TestService } from '../support/service.js';
import type { ProblemDocument } from '../../src/api/problems.js';

type Method = 'get' | 'head' | 'options' | 'post' | 'put' | 'patch' | 'delete';

/** Speaks to our own API with one key; holds every answer against the OpenAPI document. */
export interface Client {
  readonly key: string;
  readonly credentialId: number;
  (method: Method, path: string, options?: CallOptions): Promise<ApiAnswer>;
}

/** Whose body says nothing of its type. */
export interface ApiAnswer extends Response {
  readonly body: unknown;
}

interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function clientOf(
  service: TestService,
  settings: Partial<NewCredential> = {},
  accountId = service.accountId,
): Promise<Client> {
  const { key, credential } = await createCredential(
    service.deps.db,
    accountId,
    { surface: 'api', name: 'Shop', rights: ['read', 'record', 'remove', 'admin'], ...settings },
    { actor: 'test', confirmPrivate: true },
  );
  const call = (method: Method, path: string, options: CallOptions = {}) =>
    checked(send(service, method, path, options).set('Authorization', `Bearer ${key}`));
  return Object.assign(call, { key, credentialId: credential.id });
}

/** A list of a test's own, which has the tag "offers", and a client that may come to no other. */
export async function clientOfList(
  service: TestService,
  ...rights: NewCredential['rights']
): Promise<{ list: List; call: Client }> {
  const list = await makeList(service);
  await addTags(service.deps.db, list.id, ['offers']);
  return { list, call: await clientOf(service, { rights, lists: [list] }) };
}

/** Without a key. */
export function send(
  { url }: Pick<TestService, 'url'>,
  method: Method,
  path: string,
  { body, headers = {} }: CallOptions = {},
): Test {
  const where = path.startsWith('/api') ? path : `/api/v1${path}`;
  const test = request(url)[method](where).set(headers);
  if (body === undefined) return test;
  if (headers['Content-Type'] === undefined) void test.set('Content-Type', 'application/json');
  return test.send(typeof body === 'string' ? body : JSON.stringify(body));
}

export async function checked(test: Test): Promise<ApiAnswer> {
  const answer = await test;
  checkAnswer(answer);
  return answer;
}

/** The problem that an answer is, of this name. */
export function problemIn(answer: Response, name: string): ProblemDocument {
  const problem = answer.body as ProblemDocument;
  assert.equal(answer.type, 'application/problem+json', answer.text);
  assert.deepEqual([problem.code, problem.status], [name, answer.status], answer.text);
  assert.equal(problem.type, `http://signoff.test/api/v1#${name}`);
  return problem;
}

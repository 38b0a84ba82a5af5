import assert from 'node:assert/strict';
import request, { type Response, type Test } from 'supertest';
import { createCredential, type NewCredential } from '../../src/core/credentials.js';
import { nameList } from '../../src/core/list-names.js';
import type { List } from '../../src/core/lists.js';
import { makeList, type TestService } from '../support/service.js';

/** A list that is a Mailgun domain, and a key for it. */
export interface MailgunAccount {
  readonly domain: string;
  readonly list: List;
  readonly key: string;
  /** `/v3/domain/unsubscribes`, and what follows. */
  path(more?: string): string;
  /** With the key, unless it is told another one. */
  ask(
    method: 'get' | 'head' | 'post' | 'delete' | 'put' | 'patch' | 'options',
    more?: string,
    key?: string,
  ): Test;
  credential(more?: Partial<NewCredential>): Promise<string>;
}

let made = 0;

export async function mailgunAccount(service: TestService): Promise<MailgunAccount> {
  const domain = `mg${++made}.example.com`;
  const list = await makeList(service);
  await nameList(service.deps.db, list, 'mailgun', domain, { actor: 'test' });
  const credential = async (more: Partial<NewCredential> = {}) => {
    const settings = {
      surface: 'mailgun',
      name: 'Shop',
      rights: ['read', 'record', 'remove'] as const,
      ...more,
    };
    const confirmed = { actor: 'test', confirmPrivate: true };
    return (await createCredential(service.deps.db, service.accountId, settings, confirmed)).key;
  };
  const key = await credential();
  const path = (more = '') => `/v3/${domain}/unsubscribes${more}`;
  return {
    ...{ domain, list, key, path, credential },
    ask: (method, more = '', as = key) => request(service.url)[method](path(more)).auth('api', as),
  };
}

/** What every answer of this API has, and its status. */
export function assertAnswer(answer: Response, status: number): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.get('content-type'), 'application/json; charset=utf-8');
  assert.equal(answer.get('cache-control'), 'no-store');
  assertRateHeaders(answer);
  assert.ok(answer.text.endsWith('}\n'), JSON.stringify(answer.text));
}

export function assertRateHeaders(answer: Response): void {
  for (const name of ['limit', 'remaining', 'reset']) {
    assert.match(String(answer.get(`x-ratelimit-${name}`)), /^\d+$/, name);
  }
}

/** A refusal, with what it says. */
export function messageOf(answer: Response, status: number): string {
  assertAnswer(answer, status);
  assert.deepEqual(Object.keys(answer.body as object), ['message']);
  return (answer.body as { message: string }).message;
}

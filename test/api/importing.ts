import assert from 'node:assert/strict';
import request, { type Response, type Test } from 'supertest';
import { isSuppressed } from '../../src/core/suppressed.js';
import type { List } from '../../src/core/lists.js';
import { until, type TestService } from '../support/service.js';
import { checked, clientOfList, type ApiAnswer, type Client } from './client.js';

/** An import as the API shows it. */
export interface Import {
  id: string;
  state: string;
  format: string | null;
  file_name: string | null;
  octets: number;
  tag: string;
  lines: number;
  taken: number;
  refused: number;
  warnings: Record<string, number>;
  failure: { code: string; detail: string } | null;
  credential_id: number | null;
  finished_at: string | null;
}

/** A list of the test's own, with the tag "offers", and what imports into it by the API. */
export interface Importing {
  readonly list: List;
  readonly call: Client;
  /** `/lists/<id>/imports`. */
  readonly path: string;
  readonly post: (query?: string, key?: string) => Test;
  readonly upload: (
    text: string | Buffer,
    query?: string,
    type?: string,
    headers?: Record<string, string>,
  ) => Promise<ApiAnswer>;
  readonly isOut: (email: string, tag?: string) => Promise<boolean>;
  /** Waits until the import that was answered has ended. */
  readonly over: (answer: Response) => Promise<Import>;
  readonly listed: () => Promise<Import[]>;
}

export async function startImporting(service: TestService): Promise<Importing> {
  const { db } = service.deps;
  const { list, call } = await clientOfList(service, 'read', 'record');
  const path = `/lists/${list.publicId}/imports`;
  const post = (query = '', key = call.key) =>
    request(service.url).post(`/api/v1${path}${query}`).set('Authorization', `Bearer ${key}`);
  return {
    ...{ list, call, path, post },
    upload: (text, query = '', type = 'text/csv', headers = {}) =>
      checked(post(query).set('Content-Type', type).set(headers).send(text)),
    isOut: (email, tag) => isSuppressed(db, list.id, email, tag === undefined ? {} : { tag }),
    async over(answer) {
      assert.equal(answer.status, 202, answer.text);
      const { id } = answer.body as Import;
      assert.equal(answer.headers.location, `http://signoff.test/api/v1${path}/${id}`);
      let found: Import | undefined;
      await until('the import is over', async () => {
        const asked = await call('get', `${path}/${id}`);
        assert.equal(asked.status, 200, asked.text);
        found = asked.body as Import;
        return found.finished_at !== null;
      });
      assert.ok(found);
      return found;
    },
    listed: async () => ((await call('get', path)).body as { imports: Import[] }).imports,
  };
}

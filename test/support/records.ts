import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import type { OptOutRecord } from '../../src/core/opt-outs.js';
import type { TestService } from './service.js';

/** What stands in a list, by address and tag. */
export async function rowsOf({ deps }: TestService, list: List): Promise<OptOutRecord[]> {
  const rows = await deps
    .db<OptOutRecord>('opt_outs')
    .where({ list_id: list.id })
    .orderBy(['address', 'tag']);
  return rows;
}

/** The addresses of a list, in order. */
export async function addressesOf(service: TestService, list: List): Promise<string[]> {
  return (await rowsOf(service, list)).map((row) => String(row.address));
}

/** The one row of a list. */
export async function onlyRowOf(service: TestService, list: List): Promise<OptOutRecord> {
  const rows = await rowsOf(service, list);
  assert.equal(rows.length, 1);
  return rows[0] as OptOutRecord;
}

/** A problem document (RFC 9457), as `sendProblemJson` writes it. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail?: string;
  readonly field?: string;
  readonly error_id?: string;
}

/** The problem document that an answer is, with all that RFC 9457 asks of one. */
export function problemIn(answer: { status: number; type: string; body: unknown }): ProblemDocument {
  assert.equal(answer.type, 'application/problem+json');
  const problem = answer.body as ProblemDocument;
  assert.equal(problem.type, 'about:blank');
  assert.equal(problem.status, answer.status);
  assert.ok(problem.title.length > 0);
  assert.match(problem.code, /^[a-z0-9-]+$/);
  return problem;
}

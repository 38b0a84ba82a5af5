import assert from 'node:assert/strict';
import { createLog } from '../src/log.js';
import { startTestService, type TestService } from './support/service.js';

function logOf(error: unknown): string {
  const lines: string[] = [];
  createLog('info', { write: (line: string) => void lines.push(line) }).warn({ err: error }, 'it failed');
  return lines.join('');
}

describe('The log', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('holds no value of a statement that failed', async () => {
    const { db } = service.deps;
    const failed = await db('opt_outs')
      .insert({ list_id: 1, address: Buffer.from('ann@example.com'), ip: 'ann@example.com', source: null })
      .then(
        () => null,
        (error: unknown) => error,
      );
    assert.ok(failed instanceof Error);
    const line = logOf(failed);
    assert.doesNotMatch(line, /ann|example/);
    assert.match(line, /insert into/, 'what was tried is still to be seen');
  });

  it('masks addresses, keys, quoted values and queries in any message', () => {
    const key = `so_${'k'.repeat(43)}`;
    const error = new Error(
      `Duplicate entry 'ann' for "bob": ann@example.com at /l/x/download?key=${key} ${key}`,
    );
    (error as Error & { sql?: string }).sql = 'SELECT ann@example.com';
    error.cause = new Error('cat@example.com');
    const line = logOf(error);
    assert.doesNotMatch(line, /\bann|\bbob|\bcat|example|kkk/);
    assert.match(line, /Duplicate entry/);
    assert.match(line, /log\.test\.ts/, 'the frames tell where');
  });

  it('takes what is no error, and a cause that is its own', () => {
    assert.match(logOf('just text'), /just text/);
    const error = new Error('round');
    error.cause = error;
    assert.match(logOf(error), /round/);
  });
});

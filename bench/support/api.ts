import { createCredential, type NewCredential } from '../../src/core/credentials.js';
import type { BenchDatabase, RunningProgram } from './service.js';

/** Calls our own API; anything but a 2xx is an error. */
export type ApiClient = (
  method: 'GET' | 'POST',
  path: string,
  body?: string | Buffer,
  type?: string,
) => Promise<unknown>;

export async function apiClient(
  { db, accountId }: BenchDatabase,
  { url }: RunningProgram,
  rights: NewCredential['rights'],
): Promise<ApiClient> {
  const { key } = await createCredential(
    db,
    accountId,
    { surface: 'api', name: 'Shop', rights },
    { actor: 'bench', confirmPrivate: true },
  );
  return async (method, path, body, type = 'application/json') => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'Content-Type': type }) },
      ...(body === undefined ? {} : { body }),
    });
    const text = await answer.text();
    if (!answer.ok)
      throw new Error(`${method} ${path} was answered by ${answer.status}: ${text.slice(0, 500)}`);
    return JSON.parse(text) as unknown;
  };
}

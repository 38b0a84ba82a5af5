import http from 'node:http';
import { rotateAccessKey } from '../../src/core/access-keys.js';
import type { List } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import type { BenchDatabase } from './service.js';

/** A mailer that may download a list, plain too: its key. */
export async function keyFor({ db, accountId }: BenchDatabase, list: List): Promise<string> {
  const actor = 'bench';
  const mailer = await createMailer(db, accountId, { name: 'Mailer', plainAllowed: true }, { actor });
  await grantList(db, mailer, list, { actor });
  return rotateAccessKey(db, mailer, { actor, overlapMs: 0 });
}

/**
 * Downloads a list, and looks at nothing of it.
 *
 * @returns how many octets came.
 * @throws Error where it was refused or cut off.
 */
export function downloadOf(
  url: string,
  list: List,
  query: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<number> {
  const path = `${url}/l/${list.publicId}/download?${new URLSearchParams(query).toString()}`;
  return new Promise((resolve, reject) => {
    let octets = 0;
    const request = http.get(
      path,
      { agent: false, ...(signal === undefined ? {} : { signal }) },
      (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`the download was answered by ${answer.statusCode}`));
        answer.on('data', (chunk: Buffer) => (octets += chunk.length));
        answer.on('end', () => resolve(octets));
        answer.on('error', reject);
      },
    );
    request.on('error', reject);
  });
}

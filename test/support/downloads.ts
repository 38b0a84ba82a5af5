import http, { type IncomingHttpHeaders } from 'node:http';
import request, { type Test } from 'supertest';
import type { List } from '../../src/core/lists.js';
import type { DownloadRow } from '../../src/core/downloads.js';
import { optOutOf } from './core.js';
import { makeList, makeMailer, untilNumbered, type TestService } from './service.js';

/** A list, and the key of a mailer that may have its plain addresses from this machine. */
export interface Downloadable {
  readonly list: List;
  readonly key: string;
}

/** A list that suppresses these addresses, all numbered. */
export async function listOf(service: TestService, emails: readonly string[] = []): Promise<Downloadable> {
  const list = await makeList(service);
  const { key } = await makeMailer(service, list);
  await service.deps.recorder.record(emails.map((email) => optOutOf(list.id, email)));
  await untilNumbered(service, list);
  return { list, key };
}

/** An ordinary client's download: what it gets is unzipped on the way. */
export function download(
  service: TestService,
  { list, key }: Downloadable,
  query: Record<string, string> = {},
): Test {
  return request(service.url)
    .get(`/l/${list.publicId}/download`)
    .query({ key, ...query });
}

export interface Octets {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A download's octets as they came: nothing asked for that is not in `headers`, nothing unzipped. */
export function octetsOf(
  service: TestService,
  { list, key }: Downloadable,
  query: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Octets> {
  const url = `${service.url}/l/${list.publicId}/download?${new URLSearchParams({ key, ...query }).toString()}`;
  return new Promise((resolve, reject) => {
    const asked = http.get(url, { headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }),
      );
    });
    asked.on('error', reject);
  });
}

/** A list's access log, oldest first. */
export async function accessLogOf(service: TestService, { list }: Downloadable): Promise<DownloadRow[]> {
  const rows = await service.deps.db<DownloadRow>('downloads').where({ list_id: list.id }).orderBy('id');
  return rows;
}

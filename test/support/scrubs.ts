import request, { type Test } from 'supertest';
import type { Downloadable } from './downloads.js';
import type { TestService } from './service.js';

/** A file that is sent as the body, as curl's --data-binary does. */
export function scrub(
  service: TestService,
  { list, key }: Downloadable,
  file: string | Buffer,
  query: Record<string, string> = {},
  type = 'text/plain',
): Test {
  return request(service.url)
    .post(`/l/${list.publicId}/scrub`)
    .query({ key, return: 'black', ...query })
    .set('Content-Type', type)
    .send(file);
}

/** What is told in the head about the lines of a file. */
export function toldOf(answer: request.Response): Record<string, string | undefined> {
  const told = (name: string) => answer.get(`Signoff-Scrub-${name}`);
  return {
    items: told('Items'),
    suppressed: told('Suppressed'),
    refused: told('Refused'),
    lines: told('Refused-Lines'),
  };
}

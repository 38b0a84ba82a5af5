import type { IncomingMessage } from 'node:http';
import { queryOf } from './request.js';

/** An access key, from `Authorization: Bearer …` (RFC 6750) or `?key=…`; null where there is neither. */
export function keyOf(req: IncomingMessage): string | null {
  const [, bearer] = /^Bearer +(\S+) *$/i.exec(req.headers.authorization ?? '') ?? [];
  return bearer ?? queryOf(req).get('key');
}

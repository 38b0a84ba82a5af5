import type { IncomingMessage } from 'node:http';
import { queryOf } from './request.js';

/** An access key, from `Authorization: Bearer …` (RFC 6750) or `?key=…`; null where there is neither. */
export function keyOf(req: IncomingMessage): string | null {
  const [, bearer] = /^Bearer +(\S+) *$/i.exec(req.headers.authorization ?? '') ?? [];
  return bearer ?? queryOf(req).get('key');
}

/**
 * A user's name and key, from `Authorization: Basic …` (RFC 7617, in UTF-8); null where there is none, or what
 * is there cannot be read. A name holds no colon, a key may.
 */
export function basicOf(req: IncomingMessage): { login: string; key: string } | null {
  const [, encoded] = /^Basic +([A-Za-z0-9+/_-]+=*) *$/i.exec(req.headers.authorization ?? '') ?? [];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon === -1 ? null : { login: text.slice(0, colon), key: text.slice(colon + 1) };
}

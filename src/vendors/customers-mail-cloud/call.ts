import type { IncomingMessage } from 'node:http';
import { allowsList, type Credential } from '../../core/credentials.js';
import { findNamedList } from '../../core/list-names.js';
import type { List } from '../../core/lists.js';
import type { Deps } from '../../deps.js';
import { mediaTypeOf, readBody } from '../../http/request.js';
import { Failure, fault, type Fault } from './errors.js';

export const surfaceName = 'customers-mail-cloud';

/** The parameters of a call by name: whatever JSON can hold; in a form, texts, and lists of those that repeat. */
export type Body = ReadonlyMap<string, unknown>;

export const names = [
  ...(['api_user', 'api_key', 'server_composition', 'email'] as const),
  ...(['start_date', 'end_date', 'filter_name'] as const),
] as const;
export type Name = (typeof names)[number];

/** Octets: 1,000 addresses take a quarter of it as JSON, and most of it as JSON in a form. */
const bodyLimit = 1024 * 1024;

/**
 * Reads a body, JSON or urlencoded, by its Content-Type; without one, by its first character.
 *
 * @throws Failure 15-001 for JSON that is none, or no object; 00-400 for what is not UTF-8.
 * @throws HttpError
 */
export async function readCall(req: IncomingMessage): Promise<Body> {
  const octets = await readBody(req, bodyLimit);
  const type = mediaTypeOf(req);
  const isJson = /^application\/(.+\+)?json$|^text\/json$/.test(type);
  if (!isJson && type !== '' && type !== 'application/x-www-form-urlencoded') {
    throw new Failure(415, [fault('00-415')]);
  }
  const text = textOf(octets);
  return isJson || (type === '' && /^\s*[[{]/.test(text)) ? jsonOf(text) : formOf(text);
}

function textOf(octets: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(octets);
  } catch {
    throw notUtf8();
  }
}

function jsonOf(text: string): Body {
  const value = parsed(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Failure(400, [fault('15-001')]);
  }
  // What only a prototype has is no parameter.
  return new Map(Object.entries(value));
}

function formOf(text: string): Body {
  const form = new URLSearchParams(text);
  const body = new Map<string, unknown>();
  for (const name of names) {
    const values = form.getAll(name);
    // Percent-escapes of another charset come out as this.
    if (values.some((value) => value.includes('\ufffd'))) throw notUtf8();
    if (values.length > 0) body.set(name, values.length === 1 ? values[0] : values);
  }
  return body;
}

/** @throws Failure 15-001 */
export function parsed(json: string, field = ''): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new Failure(400, [fault('15-001', field)]);
  }
}

function notUtf8(): Failure {
  return new Failure(400, [fault('00-400', '', 'request', 'UTF-8')]);
}

/** Collects what is wrong, so that all of it is told at once. */
export type Faults = Fault[];

/** A parameter that is a text; null where it is absent or empty. */
export function textIn(body: Body, name: Name, faults: Faults): string | null {
  const value = body.get(name) ?? '';
  if (typeof value === 'string') return value.trim() === '' ? null : value.trim();
  faults.push(fault('00-400', name, name, 'string'));
  return null;
}

/**
 * The list that a call is about; null where there is none of that name.
 *
 * @throws Failure 12-002 for one that this credential is not for.
 */
export async function listIn(
  { db }: Deps,
  credential: Credential,
  body: Body,
  faults: Faults,
): Promise<List | null> {
  const field = 'server_composition';
  const before = faults.length;
  const name = textIn(body, field, faults);
  if (name === null) {
    if (faults.length === before) faults.push(fault('10-001', field, field));
    return null;
  }
  const list = await findNamedList(db, credential.accountId, surfaceName, name);
  if (list === null) faults.push(fault('10-002', field, name));
  else if (!allowsList(credential, list)) throw new Failure(403, [fault('12-002')]);
  return list;
}

import type { IncomingMessage } from 'node:http';
import { HttpError } from '../../http/http-error.js';
import { mediaTypeOf, readBody, readForm } from '../../http/request.js';
import { invalid } from './answers.js';

const formLimit = 16 * 1024; // octets
/** A thousand records of 2 KB. */
const jsonLimit = 2 * 1024 * 1024;

/**
 * What a body says: the fields of a form, or a value of JSON.
 *
 * @throws HttpError 400, 413, 415
 */
export async function readInsert(req: IncomingMessage): Promise<URLSearchParams | { json: unknown }> {
  const type = mediaTypeOf(req);
  if (type === 'multipart/form-data' || type === 'application/x-www-form-urlencoded') return readForm(req);
  if (type !== 'application/json' && type !== '') throw unknownType();
  const text = textOf(await readBody(req, jsonLimit));
  // Without a type (its documentation asks for none), a form looks like none of these.
  if (type === '' && !/^\s*[[{]/.test(text)) return new URLSearchParams(text);
  return { json: parsed(text) };
}

/**
 * The fields of a body, where there is one: of a form, or of an object of JSON, which some programs send under
 * a form's type. An empty list of JSON is one empty text.
 *
 * @throws HttpError 400, 413, 415
 */
export async function readFields(req: IncomingMessage): Promise<URLSearchParams> {
  const type = mediaTypeOf(req);
  if (type === 'multipart/form-data') return readForm(req);
  const text = textOf(await readBody(req, formLimit));
  if (text.trim() === '') return new URLSearchParams();
  if (!/^\s*[[{]/.test(text)) {
    if (type !== '' && type !== 'application/x-www-form-urlencoded') throw unknownType();
    return new URLSearchParams(text);
  }
  const value = parsed(text);
  const fields = new URLSearchParams();
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw invalid('Invalid json: no object');
  for (const [name, of] of Object.entries(value)) {
    // An empty list names its field as well: what looks for it must not take it for left out.
    for (const one of Array.isArray(of) ? (of.length > 0 ? (of as unknown[]) : ['']) : [of]) {
      if (typeof one !== 'string') throw invalid(`Invalid json: ${name.slice(0, 100)} is no text`);
      fields.append(name, one);
    }
  }
  return fields;
}

function unknownType(): HttpError {
  return new HttpError(
    415,
    'content-type',
    'Send application/json, application/x-www-form-urlencoded or multipart/form-data.',
  );
}

function textOf(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw invalid('Invalid json: the body is not UTF-8');
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The message of V8 quotes what it does not understand, and nothing else.
    throw invalid(`Invalid json: ${(error as Error).message}`);
  }
}

import type { IncomingMessage } from 'node:http';
import { isMergeTag } from '../core/address.js';
import { Invalid } from '../errors.js';
import { HttpError } from '../http/http-error.js';
import { mediaTypeOf, readBody } from '../http/request.js';

/** One address of a notification, unread. */
export interface Notified {
  /** From 1: the element of the array, or the line. */
  readonly position: number;
  /** Null for what is no text, or a merge tag that was not replaced. */
  readonly email: string | null;
  /** Why there is none. */
  readonly problem: 'missing' | 'not-text';
  readonly tag: string | null;
  readonly mailer: string | null;
}

const bodyLimit = 1024 * 1024; // octets: 1,000 addresses with room to spare
const mostAddresses = 1000;

/**
 * Reads the body of a server's POST: a JSON array of addresses or of `{"email": …, "tag": …, "mailer": …}`,
 * one such object, an urlencoded form with `email` (or `item`) any number of times, or text with a line each.
 *
 * @throws Invalid for a body that holds none of these, or more than 1,000 addresses: nothing of it is taken.
 * @throws HttpError as `readBody`, and 415 for another type.
 */
export async function readNotification(req: IncomingMessage): Promise<Notified[]> {
  const type = mediaTypeOf(req);
  const read = readers[type];
  if (read === undefined) {
    throw new HttpError(
      415,
      'content-type',
      'Send the addresses as application/json, text/plain or application/x-www-form-urlencoded.',
    );
  }
  const notified = read((await readBody(req, bodyLimit)).toString('utf8').replace(/^\uFEFF/, ''));
  if (notified.length === 0) throw new Invalid('email', 'missing', 'the body holds no address');
  if (notified.length > mostAddresses) {
    throw new Invalid(
      'email',
      'too-many',
      `the body holds ${notified.length} addresses; at most ${mostAddresses} can be sent at once. Nothing was recorded`,
    );
  }
  return notified;
}

const readers: Record<string, (body: string) => Notified[]> = {
  'application/json': readJson,
  'text/plain': readLines,
  'application/x-www-form-urlencoded': readUrlencoded,
};

function readJson(body: string): Notified[] {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new Invalid('body', 'malformed', 'the body is not JSON');
  }
  const elements: unknown[] = Array.isArray(json) ? json : [json];
  return elements.map((element, i) => {
    const isObject = typeof element === 'object' && element !== null && !Array.isArray(element);
    const named = (isObject ? element : { email: element }) as Record<string, unknown>;
    const { email, item, tag, c, mailer } = named;
    return notifiedOf(i + 1, email ?? item, { tag: tag ?? c, mailer });
  });
}

function readLines(body: string): Notified[] {
  return body
    .split(/\r\n|\r|\n/)
    .map((line, i) => notifiedOf(i + 1, line.trim()))
    .filter((entry) => entry.email !== '');
}

function readUrlencoded(body: string): Notified[] {
  const form = new URLSearchParams(body);
  const emails = [...form.getAll('email'), ...form.getAll('item')].filter((email) => email.trim() !== '');
  const more = { tag: form.get('tag') ?? form.get('c'), mailer: form.get('mailer') };
  return emails.map((email, i) => notifiedOf(i + 1, email, more));
}

function notifiedOf(
  position: number,
  email: unknown,
  { tag, mailer }: { tag?: unknown; mailer?: unknown } = {},
): Notified {
  const isText = typeof email === 'string';
  return {
    position,
    email: isText && !isMergeTag(email) ? email : null,
    problem: isText || email === undefined || email === null ? 'missing' : 'not-text',
    tag: typeof tag === 'string' ? tag : null,
    mailer: typeof mailer === 'string' || typeof mailer === 'number' ? String(mailer) : null,
  };
}

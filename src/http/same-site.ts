import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { HttpError } from './http-error.js';

/**
 * Refuses a change that another site sent: by what browsers say of a request's origin (Fetch Metadata; Origin,
 * RFC 6454, where they are older). A program that sends neither is no browser, and has no cookie of a person's.
 *
 * @throws HttpError 403
 */
export function refuseOtherSites(req: IncomingMessage, baseUrl: string): void {
  const site = req.headers['sec-fetch-site'];
  const { origin } = req.headers;
  const isOurs = site === undefined ? origin === baseUrl : site === 'same-origin';
  if (isOurs) return;
  throw new HttpError(403, 'other-site', `This form was not sent by a page of ${baseUrl}.`);
}

/** @throws HttpError 403 for a form that does not carry the token of its session. */
export function checkFormToken(expected: string, form: URLSearchParams): void {
  const given = Buffer.from(form.get('csrf') ?? '');
  const wanted = Buffer.from(expected);
  if (given.length === wanted.length && timingSafeEqual(given, wanted)) return;
  throw new HttpError(403, 'form-token', 'This form is of another session. Open its page again.');
}

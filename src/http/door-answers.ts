import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressProblem } from '../core/address.js';
import type { Format } from '../core/entry-texts.js';
import { contentTypeOf, type FileType } from '../core/entry-lines.js';
import type { List } from '../core/lists.js';
import type { Returns, Scrubbed } from '../core/scrub.js';
import { NOT_KEPT } from './respond.js';

/** What the doors of machines answer with: the same where somebody tries them in the console. */
export interface DoorAnswer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string | Buffer;
}

export function sendAnswer(res: ServerResponse, { status, headers, body }: DoorAnswer): void {
  res.writeHead(status, { ...NOT_KEPT, ...headers, 'Content-Length': Buffer.byteLength(body) });
  res.end(body);
}

export const oneClickAnswer: DoorAnswer = {
  status: 200,
  headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  body: 'You have been unsubscribed.\n',
};

export const pixelAnswer: DoorAnswer = {
  status: 200,
  headers: {
    // Helmet's same-origin would keep the image out of the very pages it is for.
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'Content-Type': 'image/gif',
  },
  /** One transparent point. */
  body: Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64'),
};

/** An address of a notification that was not taken. */
export interface Refusal {
  /** From 1: the element of the array, or the line. */
  readonly position: number;
  readonly email: string | null;
  readonly problem: AddressFault;
  readonly detail: string;
}

/** To a server that has sent some addresses. */
export function notifiedAnswer(taken: number, refused: readonly Refusal[]): DoorAnswer {
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json' },
    body: `${JSON.stringify({ status: 'opted-out', taken, refused })}\n`,
  };
}

export function refusalOf(position: number, email: string | null, problem: AddressFault): Refusal {
  return { position, email, problem, detail: addressFaults[problem] };
}

export type AddressFault = AddressProblem | 'several' | 'not-text';

/** For programs and logs; people are told in their language (locales/). */
export const addressFaults: Record<AddressFault, string> = {
  missing: 'email is missing, or is a merge tag that was not replaced',
  'too-long': 'email is longer than 254 octets',
  'no-at': 'email has no @',
  'bad-local-part': 'what stands before the @ of email is not possible there',
  'bad-domain': 'what stands after the @ of email is no domain name',
  'control-character': 'email holds a control character, or octets that are not UTF-8',
  'invisible-character': 'email holds an invisible character',
  'merge-tag': 'email is a merge tag that was not replaced',
  several: 'email is given more than once',
  'not-text': 'email is no text',
};

/** Of the file of a download. */
export function downloadHeaders(
  { publicId }: List,
  { format, fileType, isGzipFile }: { format: Format; fileType: FileType; isGzipFile: boolean },
): Record<'Content-Type' | 'Content-Disposition', string> {
  const name = `${publicId}-${format}.${fileType === 'csv' ? 'csv' : 'txt'}${isGzipFile ? '.gz' : ''}`;
  return {
    'Content-Type': isGzipFile ? 'application/gzip' : contentTypeOf(fileType),
    'Content-Disposition': `attachment; filename="${name}"`,
  };
}

/** Of what a scrub gives back. */
export function scrubHeaders(
  { publicId }: List,
  returns: Returns,
  { items, suppressed, refused, refusedLines }: Scrubbed,
): OutgoingHttpHeaders {
  return {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Disposition': `attachment; filename="${publicId}-${returns}.txt"`,
    'Signoff-Scrub-Items': items,
    'Signoff-Scrub-Suppressed': suppressed,
    'Signoff-Scrub-Refused': refused,
    ...(refused > 0 ? { 'Signoff-Scrub-Refused-Lines': refusedLines.join(', ') } : {}),
  };
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import Negotiator from 'negotiator';
import type { Deps } from '../../deps.js';
import { closeUnread, problemOf } from '../../http/errors.js';
import { sendText } from '../../http/respond.js';
import { Failure, fault, languages, messageOf, type Fault, type Language } from './errors.js';

export type Format = 'json' | 'xml';

const contentTypes = {
  json: 'application/json; charset=utf-8',
  xml: 'application/xml; charset=utf-8',
} as const;

/** Octet by octet as its documentation has it. */
const success = {
  json: '{"message":"success"}',
  xml: '<success>\n<message>success</message>\n</success>',
} as const;

export function sendSuccess(res: ServerResponse, format: Format): void {
  sendText(res, 200, success[format], { 'Content-Type': contentTypes[format] });
}

export function sendFailure(
  req: IncomingMessage,
  res: ServerResponse,
  format: Format,
  failure: Failure,
): void {
  const { status, faults, headers } = failure;
  closeUnread(req, res, status);
  const language = languageOf(req);
  const errors = faults.map((one) => ({
    code: one.code,
    field: one.field,
    message: messageOf(one, language),
  }));
  const body = format === 'json' ? JSON.stringify({ errors }) : xmlOf(errors);
  sendText(res, status, body, {
    ...{ Vary: 'Accept-Language', 'Content-Language': language },
    ...headers,
    'Content-Type': contentTypes[format],
  });
}

/** Whatever a call has thrown, in this API's words. */
export function failureOf(deps: Deps, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const { status, code, title, detail, headers = {}, errorId } = problemOf(deps, error);
  return new Failure(status, [faultOf(status, code, detail ?? title, errorId)], headers);
}

function faultOf(status: number, code: string, said: string, errorId = ''): Fault {
  // From a network that the key may not be used from: whoever sees that has to know which one it was.
  if (status === 403 && code === 'not-whitelisted') return { ...fault('12-002'), detail: said };
  if (status === 403) return fault('00-403', '', said);
  if (status === 405) return fault('00-405');
  if (status === 413) return fault('00-413');
  if (status === 415) return fault('00-415');
  if (status === 429) return fault('00-429');
  if (status === 503) return fault('00-503');
  return status < 500 ? fault('00-400', '', 'request', said) : fault('00-500', '', errorId);
}

/** English, unless Japanese is asked for. */
function languageOf(req: IncomingMessage): Language {
  const language = new Negotiator(req).language([...languages]);
  return languages.find((one) => one === language) ?? 'en';
}

/** By analogy with the success: its documentation does not show it. */
function xmlOf(errors: readonly Readonly<Record<string, string>>[]): string {
  const elements = errors.map((error) =>
    ['<error>', ...Object.entries(error).map(([name, text]) => element(name, text)), '</error>'].join('\n'),
  );
  return ['<errors>', ...elements, '</errors>'].join('\n');
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

function element(name: string, text: string): string {
  // XML 1.0 has no place for these, escaped or not.
  const allowed = text.replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd');
  return `<${name}>${allowed.replace(/[&<>]/g, (one) => entities[one] ?? one)}</${name}>`;
}

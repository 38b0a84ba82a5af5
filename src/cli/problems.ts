import { debuglog } from 'node:util';
import { DomainError, Invalid, Unavailable } from '../errors.js';

const debug = debuglog('signoff');

/** The options by which people here know the fields of the core. */
const optionOf: Readonly<Record<string, string>> = {
  name: '--name',
  internalName: '--internal-name',
  state: '--state',
  directLink: '--direct-link',
  pixel: '--pixel',
  thankYou: '--thank-you',
  redirectTemplate: '--redirect',
  ipWhitelist: '--ip-whitelist',
  downloadsFromAnyAddress: '--downloads-from-any-address',
  operatorName: '--operator-name',
  postalAddress: '--postal-address',
  contact: '--contact',
  privacyUrl: '--privacy-url',
  defaultLanguage: '--language',
  tag: '--tag',
  email: '<address>',
};

/** The server answers, and says that this is not for us. */
const wrongDatabase = new Set(['ER_BAD_DB_ERROR', 'ER_ACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR']);

/** What is told of an error: what went wrong and with which option; never a stack (NODE_DEBUG=signoff shows it). */
export function sentenceOf(error: unknown): string {
  debug('%o', error);
  if (error instanceof Invalid) return invalidOption(error);
  if (error instanceof Unavailable) {
    const cause = error.cause === undefined ? '' : `: ${messageOf(error.cause)}`;
    return `${sentence(error.message + cause)} If something was to be changed, look whether it was; it can be repeated.`;
  }
  if (error instanceof DomainError) return error.message;
  const { code } = error as { code?: string };
  if (code !== undefined && wrongDatabase.has(code)) return `DATABASE_URL: ${sentence(messageOf(error))}`;
  return (
    `Signoff failed: ${sentence(messageOf(error))}\n` +
    'If this looks like a fault of Signoff, report it with the command and this message (see CONTRIBUTING.md).'
  );
}

function invalidOption({ field, message }: Invalid): string {
  const option = optionOf[field] ?? field;
  return message.startsWith(`${field} `)
    ? sentence(`${option}${message.slice(field.length)}`)
    : `${option}: ${message}${endOf(message)}`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + endOf(text);
}

function endOf(text: string): string {
  return /[.!?)]$/.test(text) ? '' : '.';
}

/** Knex puts the statement with its values before the driver's own words: addresses, that is. */
function messageOf(error: unknown): string {
  const { message } = error instanceof Error ? error : new Error(String(error));
  // Of a refused connection to a name with several addresses, Node tells each attempt on its own.
  const first = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  const text = message === '' ? (first?.message ?? String(error)) : message;
  return text.slice(text.lastIndexOf(' - ') + 1).replace(/^- /, '');
}

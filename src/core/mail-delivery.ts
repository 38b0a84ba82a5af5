import { createTransport } from 'nodemailer';
import { isOnThisMachine, type MailSettings } from './mail-server.js';
import type { Mail } from './mails.js';

/** What came of handing a mail in. */
export interface Delivery {
  /**
   * `refused` is for good; `later` concerns this mail alone; with `trouble` the server takes none at the moment.
   */
  readonly outcome: 'sent' | 'refused' | 'later' | 'trouble';
  /** For the log: codes alone, since what a server answers holds addresses. */
  readonly why: Readonly<Record<string, string | number>>;
}

/** Hands one mail in; never fails. */
export type Deliver = (mail: Mail, signal: AbortSignal) => Promise<Delivery>;

/** Of the steps of a conversation with the server, and of all of it: milliseconds. */
const stepMs = 10_000;
const longestMs = 30_000;

/**
 * Over a network a password goes out under TLS alone, whatever the server offers. On this machine nobody could
 * listen, and servers have certificates there that nobody has signed.
 */
export function createDeliver({ server, sender }: MailSettings): Deliver {
  const isHere = isOnThisMachine(server);
  const transport = createTransport({
    host: server.host,
    port: server.port,
    secure: server.isSecure,
    requireTLS: server.login !== null && !server.isSecure && !isHere,
    tls: { rejectUnauthorized: !isHere },
    ...(server.login === null ? {} : { auth: { user: server.login.user, pass: server.login.password } }),
    connectionTimeout: stepMs,
    greetingTimeout: stepMs,
    socketTimeout: stepMs,
    dnsTimeout: stepMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });

  return async ({ to, subject, text }, signal) => {
    try {
      await transport.sendMail({
        from: { name: sender.name, address: sender.address },
        // As an object, so that it is one address whatever is in it.
        to: { name: '', address: to },
        subject,
        text,
        // RFC 3834, section 5: no vacation notice answers it.
        headers: { 'Auto-Submitted': 'auto-generated' },
        signal: AbortSignal.any([signal, AbortSignal.timeout(longestMs)]),
      });
      return { outcome: 'sent', why: {} };
    } catch (error) {
      return failureOf(error);
    }
  };
}

/** Replies of RFC 5321, section 4.2.1: 5yz is for good. One that refuses our sender refuses all mails. */
function failureOf(error: unknown): Delivery {
  const {
    code = '',
    command = '',
    responseCode,
  } = error as {
    code?: string;
    command?: string;
    responseCode?: number;
  };
  const why = { code, command, ...(responseCode === undefined ? {} : { response_code: responseCode }) };
  const isOfThisMail = ['EENVELOPE', 'EMESSAGE'].includes(code) && command !== 'MAIL FROM';
  if (!isOfThisMail) return { outcome: 'trouble', why };
  const isPassing = responseCode !== undefined && responseCode < 500;
  return { outcome: isPassing ? 'later' : 'refused', why };
}

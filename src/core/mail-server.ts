import { isIPv4, isIPv6 } from 'node:net';
import { parseAddress } from './address.js';
import { readUrl } from './text.js';

/** The server that takes the installation's mails, and whom they come from. */
export interface MailSettings {
  readonly server: MailServer;
  readonly sender: MailSender;
}

export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** TLS from the first octet; otherwise by STARTTLS, where the server offers it. */
  readonly isSecure: boolean;
  readonly login: { readonly user: string; readonly password: string } | null;
}

export interface MailSender {
  readonly name: string;
  readonly address: string;
}

/** Ports of RFC 6409 and RFC 8314: where mail is handed in. */
const defaultPorts = { 'smtp:': 587, 'smtps:': 465 } as const;

/** @returns null for what is no `smtp://` or `smtps://` address of a server. */
export function readMailServer(text: string): MailServer | null {
  const url = readUrl(text);
  if (url === null || !(url.protocol === 'smtp:' || url.protocol === 'smtps:')) return null;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const isHost = /^[a-z\d](?:[a-z\d.-]{0,252})$/i.test(host) || isIPv6(host);
  if (!isHost || !['', '/'].includes(url.pathname) || url.search + url.hash !== '') return null;
  if ((url.username === '') !== (url.password === '')) return null;
  const login = loginOf(url);
  if (login === undefined || url.port === '0') return null;
  return {
    host,
    port: Number(url.port || defaultPorts[url.protocol]),
    isSecure: url.protocol === 'smtps:',
    login,
  };
}

/** Undefined where it is not encoded as URLs are. */
function loginOf(url: URL): MailServer['login'] | undefined {
  if (url.username === '') return null;
  try {
    return { user: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  } catch {
    return undefined;
  }
}

/** Whether a mail to it leaves this machine. */
export function isOnThisMachine({ host }: MailServer): boolean {
  return host.toLowerCase() === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

const longestName = 100;

/** @returns null for what is neither an address, nor `Name <address>`. */
export function readMailSender(text: string): MailSender | null {
  const [, quoted, inAngles, bare] = /^(?:([^<>]*)<([^<>]+)>|([^<>]+))$/.exec(text.trim()) ?? [];
  const parsed = parseAddress(inAngles ?? bare ?? '');
  const name = (quoted ?? '').trim().replace(/^"(.*)"$/, '$1');
  if (!parsed.ok || name.length > longestName || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(name)) return null;
  return { name, address: parsed.address.given };
}

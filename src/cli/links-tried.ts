import http from 'node:http';
import https from 'node:https';
import type { Kind } from './links-explained.js';

export interface Answer {
  readonly as: Kind;
  readonly method: string;
  /** Null where there was no answer. */
  readonly status: number | null;
  readonly offers: 'button' | 'form' | null;
  /** In words. */
  readonly got: string;
}

const timeoutMs = 5000;
const mostOctets = 256 * 1024;

/**
 * That nothing is recorded must hold whatever the list is set to in this very second, and from whichever
 * address we are seen: a browser's GET of an instant link records, and so does a program's from the IP
 * whitelist. This is what browsers say when they fetch a page that nobody has clicked on, and the doors
 * record nothing then.
 */
const recordsNothing = { 'Sec-Purpose': 'prefetch' };

const scanner = { Accept: '*/*', 'User-Agent': 'signoff-links-verify', ...recordsNothing };
const browser = {
  Accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
  'Accept-Language': 'en',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
  'User-Agent': 'signoff-links-verify',
  ...recordsNothing,
};

interface Sent {
  readonly as: Kind;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
}

const requests: readonly Sent[] = [
  { as: 'scanner', method: 'GET', headers: scanner },
  { as: 'scanner', method: 'HEAD', headers: scanner },
  { as: 'scanner', method: 'OPTIONS', headers: scanner },
  { as: 'browser', method: 'GET', headers: browser },
];

/** RFC 8058, section 3.2: no cookie, and no context but the link. It records. */
const oneClick: Sent = {
  as: 'mail-client',
  method: 'POST',
  headers: {
    'Content-Type': 'application/x-www-form-urlencoded',
    'User-Agent': 'signoff-links-verify',
  },
  body: 'List-Unsubscribe=One-Click',
};

/**
 * Opens a link as those do who must not record by it.
 *
 * @param records sends what a mail client does, and nothing else: the opt-out is recorded.
 */
export async function tryLink(url: URL, as: Kind | null, records = false): Promise<Answer[]> {
  const answers: Answer[] = [];
  const sent = records ? [oneClick] : requests.filter((one) => as === null || one.as === as);
  for (const request of sent) {
    const { as: who, method } = request;
    try {
      const { status, body, location } = await ask(url, request);
      const offers = offerOf(body);
      const what =
        offers === null ? (method === 'GET' ? 'neither a button nor a form' : '') : `with a ${offers}`;
      const got = [`${status}`, location === null ? '' : `to ${location}`, what].filter(Boolean).join(', ');
      answers.push({ as: who, method, status, offers, got });
    } catch (error) {
      const { name, code, message } = error as NodeJS.ErrnoException;
      const why = name === 'AbortError' ? `not within ${timeoutMs / 1000} s` : (code ?? message);
      answers.push({ as: who, method, status: null, offers: null, got: `no answer (${why})` });
    }
  }
  return answers;
}

/** A page with an address has a button alone; one without asks for it. */
function offerOf(body: string): Answer['offers'] {
  const [form] = /<form method="post"[\s\S]*?<\/form>/.exec(body) ?? [];
  if (form === undefined) return null;
  return /<input id="email"/.test(form) ? 'form' : 'button';
}

/** Follows no redirect, and reads no more than a page of ours can be. */
function ask(
  url: URL,
  { method, headers, body = '' }: Sent,
): Promise<{ status: number; body: string; location: string | null }> {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const sent = request(url, { method, headers, agent: false, signal }, (res) => {
      const chunks: Buffer[] = [];
      let octets = 0;
      const done = () => {
        const { statusCode: status = 0, headers: answered } = res;
        resolve({ status, body: Buffer.concat(chunks).toString(), location: answered.location ?? null });
      };
      res.on('data', (chunk: Buffer) => {
        octets += chunk.length;
        if (octets <= mostOctets) return void chunks.push(chunk);
        done();
        res.destroy();
      });
      res.on('end', done).on('error', reject);
    });
    sent.on('error', reject).end(body);
  });
}

import http from 'node:http';
import { trustedProxy } from './doors.js';
import { browser, imageOfBrowser, type Headers } from './visitors.js';

export interface FloodAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** A client that asks thousands of times, by way of the trusted proxy. */
export interface Flood {
  ask(method: 'GET' | 'POST', path: string, headers: Headers, body?: string): Promise<FloodAnswer>;
  close(): void;
}

/** @param from the address that it has for the service. */
export function startFlood(url: string, from: string): Flood {
  const agent = new http.Agent({ localAddress: trustedProxy, keepAlive: true, maxSockets: 32 });
  return {
    ask: (method, path, headers, body = '') =>
      new Promise((resolve, reject) => {
        const more = method === 'POST' ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {};
        const asked = http.request(url + path, {
          method,
          agent,
          headers: {
            ...headers,
            ...more,
            'X-Forwarded-For': from,
            'Content-Length': Buffer.byteLength(body),
          },
        });
        asked.on('error', reject).on('response', (answer) => {
          let text = '';
          answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
          answer.on('error', reject);
        });
        asked.end(body);
      }),
    close: () => agent.destroy(),
  };
}

/** How an opt-out is made at each door that anybody can come to; `at` is the path of a list's link, or a signed one. */
export const forgeries = {
  pixel: (flood: Flood, at: string, email: string) =>
    flood.ask('GET', `${at}/pixel.gif${queryOf(email)}`, imageOfBrowser),
  'one-click': (flood: Flood, at: string, email: string) =>
    flood.ask('POST', at + queryOf(email), {}, 'List-Unsubscribe=One-Click'),
  'direct-link': (flood: Flood, at: string, email: string) => flood.ask('GET', at + queryOf(email), browser),
  page: (flood: Flood, at: string, email: string) =>
    flood.ask('POST', `${at}/opt-out`, browser, queryOf(email).slice(1)),
} as const;

function queryOf(email: string): string {
  return email === '' ? '' : `?email=${encodeURIComponent(email)}`;
}

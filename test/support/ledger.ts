import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { oneClickWay, serverWay, type Way } from './ways.js';

/** What a client has sent, and what of it was acknowledged: the client's own notes, whatever the service says later. */
export interface Ledger {
  /** Noted before the request is sent. */
  readonly intended: Set<string>;
  /** Noted when the answer said so, and had ended; in the order of the answers. */
  readonly acked: Set<string>;
  /** Status of each answer that acknowledged nothing. */
  readonly refusals: number[];
  /** How many of the refusals were a 503 (or the vendor's word for it) that said when to come again. */
  retryable: number;
  /** Requests, repeated ones among them. */
  sent: number;
  /** Connections that broke, or were refused, before an answer. */
  breaks: number;
  /** How many were acknowledged, by way. */
  readonly ackedBy: Map<string, number>;
}

export interface Load {
  readonly ledger: Ledger;
  /** Lets requests under way end, and sends no more. */
  stop(): Promise<void>;
}

interface LoadOptions {
  readonly connections: number;
  /** Of its addresses. */
  readonly name: string;
  /** In turns; by one click and by the server door, unless told otherwise. */
  readonly ways?: readonly Way[];
  /** How long a client waits for an answer before it gives the connection up: milliseconds. */
  readonly patienceMs?: number;
}

/**
 * Sends opt-outs over connections of their own that are kept alive, one request at a time on each. What was
 * not acknowledged is sent again, once, by the next way.
 *
 * @param origin where the service listens now; it is asked before each request, by the number of the connection.
 */
export function startLoad(
  origin: (connection: number) => string,
  path: string,
  { connections, name, ways = [oneClickWay(path), serverWay(path)], patienceMs = 60_000 }: LoadOptions,
): Load {
  const ledger: Ledger = {
    ...{ intended: new Set(), acked: new Set(), refusals: [], ackedBy: new Map() },
    ...{ retryable: 0, sent: 0, breaks: 0 },
  };
  let isStopping = false;

  async function work(connection: number): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let n = 0; !isStopping; n++) {
      const email = `${name}-${connection}-${n}@example.com`;
      ledger.intended.add(email);
      for (let attempt = 0; attempt < 2 && !isStopping && !ledger.acked.has(email); attempt++) {
        const way = ways[(connection + n + attempt) % ways.length];
        if (way === undefined) throw new Error('no way');
        ledger.sent++;
        const answer = await send(agent, origin(connection), way, email, patienceMs);
        if (answer === null) ledger.breaks++;
        else if (answer.isTaken) {
          ledger.acked.add(email);
          ledger.ackedBy.set(way.name, (ledger.ackedBy.get(way.name) ?? 0) + 1);
        } else {
          ledger.refusals.push(answer.status);
          if (answer.isRetryable) ledger.retryable++;
        }
        // A service that is down is not worth a storm of requests.
        if (answer === null || !answer.isTaken) await wait(100);
      }
    }
    agent.destroy();
  }

  const working = Promise.all(Array.from({ length: connections }, (_, i) => work(i)));
  return {
    ledger,
    stop: async () => {
      isStopping = true;
      await working;
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly isTaken: boolean;
  /** It cannot be recorded now, and the answer says when to come again. */
  readonly isRetryable: boolean;
  readonly text: string;
}

/** @returns null where the connection broke before the answer had ended, or there was none in time. */
export function send(
  agent: http.Agent,
  origin: string,
  { ask, isTaken = isSuccess, isUnavailable = (status) => status === 503 }: Way,
  email: string,
  patienceMs = 60_000,
): Promise<Answer | null> {
  const { method, path, headers, body = '' } = ask(email);
  return new Promise((resolve) => {
    const request = http.request(origin + path, {
      ...{ agent, method, headers: { ...headers, 'Content-Length': Buffer.byteLength(body) } },
    });
    const patience = setTimeout(() => request.destroy(new Error('no answer')), patienceMs);
    const end = (answer: Answer | null) => {
      clearTimeout(patience);
      resolve(answer);
    };
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('error', () => end(null));
      response.on('close', () => {
        if (!response.complete) return end(null);
        const { statusCode: status = 0, headers: given } = response;
        const isRetryable = isUnavailable(status, text) && given['retry-after'] !== undefined;
        end({ ...{ status, text, isRetryable }, isTaken: isTaken(status, text) });
      });
    });
    request.on('error', () => end(null));
    request.end(body);
  });
}

const isSuccess = (status: number) => status >= 200 && status < 300;

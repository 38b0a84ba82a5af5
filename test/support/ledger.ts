import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

/** What a client has sent, and what of it was acknowledged: the client's own notes, whatever the service says later. */
export interface Ledger {
  /** Noted before the request is sent. */
  readonly intended: Set<string>;
  /** Noted when the answer was 2xx, and had ended. */
  readonly acked: Set<string>;
  /** Status of each answer that was no 2xx. */
  readonly refusals: number[];
  /** Connections that broke, or were refused, before an answer. */
  breaks: number;
}

export interface Load {
  readonly ledger: Ledger;
  /** Lets requests under way end, and sends no more. */
  stop(): Promise<void>;
}

/**
 * Sends opt-outs over connections of their own that are kept alive, one request at a time on each: every
 * second one by one click, the rest by the server door. What was not acknowledged is sent again, once.
 *
 * @param origin where the service listens now; it is asked before each request.
 */
export function startLoad(
  origin: () => string,
  path: string,
  { connections, name }: { connections: number; name: string },
): Load {
  const ledger: Ledger = { intended: new Set(), acked: new Set(), refusals: [], breaks: 0 };
  let isStopping = false;

  async function work(connection: number): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let n = 0; !isStopping; n++) {
      const email = `${name}-${connection}-${n}@example.com`;
      ledger.intended.add(email);
      for (let attempt = 0; attempt < 2 && !isStopping && !ledger.acked.has(email); attempt++) {
        const status = await send(agent, `${origin()}${path}`, email, n % 2 === 0);
        if (status === null) {
          ledger.breaks++;
          await wait(20); // a service that is down is not worth a storm of connections
        } else if (status >= 200 && status < 300) ledger.acked.add(email);
        else ledger.refusals.push(status);
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

/** @returns null where the connection broke before the answer had ended. */
function send(agent: http.Agent, link: string, email: string, isOneClick: boolean): Promise<number | null> {
  const url = isOneClick ? `${link}?email=${encodeURIComponent(email)}` : `${link}/notify`;
  const body = isOneClick ? 'List-Unsubscribe=One-Click' : `email=${encodeURIComponent(email)}`;
  return new Promise((resolve) => {
    const request = http.request(url, {
      agent,
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': body.length },
    });
    request.on('response', (response) => {
      response.on('error', () => resolve(null));
      response.on('close', () => resolve(response.complete ? (response.statusCode ?? null) : null));
      response.resume();
    });
    request.on('error', () => resolve(null));
    request.end(body);
  });
}

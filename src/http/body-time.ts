import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/**
 * Of all that a client sends, only uploads may take long: Node has one time for all requests of a server, so
 * the short one is kept here.
 */
const long = new WeakSet<IncomingMessage>();

/** How long the longest upload may take as a whole: milliseconds. A client that sends nothing is ended sooner. */
export const longestUploadMs = 2 * 3_600_000;

/** The body of this request may take as long as `longestUploadMs`. */
export function mayTakeLong(req: IncomingMessage): void {
  long.add(req);
}

/** Answers 408 to requests whose body is not there after so long, and closes their connection (RFC 9110, section 15.5.9). */
export function limitBodyTime(server: Server, ms: number): void {
  server.requestTimeout = longestUploadMs;
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    const { 'content-length': length, 'transfer-encoding': coding } = req.headers;
    if ((length === undefined || length === '0') && coding === undefined) return;
    const timer = setTimeout(() => {
      if (req.complete || long.has(req)) return;
      const { socket } = req;
      if (res.headersSent || !socket.writable) socket.destroy();
      else socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n', () => socket.destroy());
    }, ms);
    req.once('close', () => clearTimeout(timer));
  });
}

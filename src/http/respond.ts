import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

/**
 * Answers nobody may keep or change: they speak of one person at one moment. `no-transform` keeps
 * proxies from rewriting the page (RFC 9111, section 5.2.2.6).
 */
export const NOT_KEPT = { 'Cache-Control': 'no-store, no-transform' } as const;

/** @param html as octets where a page is the same for many: to encode its text takes longer than all else here. */
export function sendHtml(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  html: string | Buffer,
  headers: OutgoingHttpHeaders = {},
): void {
  const body = typeof html === 'string' ? Buffer.from(html) : html;
  res.writeHead(status, {
    ...NOT_KEPT,
    Vary: 'Accept-Language',
    ...headers,
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': body.length,
  });
  res.end(req.method === 'HEAD' ? undefined : body);
}

export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  const json = `${JSON.stringify(body)}\n`;
  res.writeHead(status, {
    ...NOT_KEPT,
    'Content-Type': 'application/json',
    ...headers,
    'Content-Length': Buffer.byteLength(json),
  });
  res.end(res.req.method === 'HEAD' ? undefined : json);
}

export function sendText(
  res: ServerResponse,
  status: number,
  text: string,
  headers: OutgoingHttpHeaders = {},
): void {
  res.writeHead(status, {
    ...NOT_KEPT,
    'Content-Type': 'text/plain; charset=utf-8',
    ...headers,
    'Content-Length': Buffer.byteLength(text),
  });
  res.end(res.req.method === 'HEAD' ? undefined : text);
}

export function sendNothing(res: ServerResponse, headers: OutgoingHttpHeaders = {}): void {
  res.writeHead(204, { ...NOT_KEPT, ...headers });
  res.end();
}

import type { IncomingMessage } from 'node:http';

/** Who opens a list's one link, by DESIGN's table of doors. */
export type Asker = 'prefetch' | 'image' | 'browser' | 'program';

/**
 * Tells them apart by what their requests say of themselves. The order matters: a prefetch is one
 * whatever else it claims, and an image request is never a visit.
 *
 * Browsers send Accept-Language with `Accept: text/html`, or `Sec-Fetch-Mode: navigate`; old Java sends
 * `text/html` alone (java.net.HttpURLConnection's default Accept).
 */
export function whoAsks(req: IncomingMessage): Asker {
  const { headers } = req;
  // Sec-Purpose: Fetch Standard; Purpose and X-Moz: what browsers sent before; X-Purpose: Safari's previews.
  const purpose = [headers['sec-purpose'], headers['purpose'], headers['x-moz'], headers['x-purpose']];
  if (purpose.some((value) => /prefetch|prerender|preview/i.test(String(value ?? '')))) return 'prefetch';

  const accept = (headers.accept ?? '').toLowerCase();
  const acceptsHtml = accept.includes('text/html') || accept.includes('application/xhtml+xml');
  if (headers['sec-fetch-dest'] === 'image') return 'image';
  if (accept.includes('image/') && !acceptsHtml) return 'image';

  if (headers['sec-fetch-mode'] === 'navigate') return 'browser';
  return acceptsHtml && headers['accept-language'] !== undefined ? 'browser' : 'program';
}

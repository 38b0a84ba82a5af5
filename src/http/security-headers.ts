import helmet from 'helmet';
import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * The headers of every answer. Nothing may be loaded or framed: the pages need one stylesheet and one
 * form, which `pagePolicy` allows them.
 *
 * Left out of helmet's defaults: `upgrade-insecure-requests` and HSTS where the base URL is plain http,
 * on which they would break the page; HSTS does not speak for the operator's other hosts.
 */
export function securityHeaders(baseUrl: string): (res: ServerResponse) => void {
  const set = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'none'"],
        'base-uri': ["'none'"],
        'form-action': ["'none'"],
        'frame-ancestors': ["'none'"],
      },
    },
    strictTransportSecurity: baseUrl.startsWith('https:')
      ? { maxAge: 365 * 24 * 60 * 60, includeSubDomains: false }
      : false,
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
  });
  // Helmet's twelve middlewares come to the same for every request: they are asked once.
  const headers: [name: string, value: string][] = [];
  const asked = {
    setHeader: (name: string, value: string) => headers.push([name, value]),
    removeHeader: () => undefined,
  };
  set({} as IncomingMessage, asked as unknown as ServerResponse, (error) => {
    if (error !== undefined) throw error as Error;
  });
  return (res) => {
    for (const [name, value] of headers) res.setHeader(name, value);
  };
}

/**
 * The policy of a hosted page.
 *
 * @param redirectOrigin where the list sends recipients afterwards. Chromium applies form-action to the
 *   redirect that answers a form, and would show nothing after the opt-out was recorded.
 */
export function pagePolicy(redirectOrigin: string | null): string {
  return (
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; " +
    `form-action 'self'${redirectOrigin === null ? '' : ` ${redirectOrigin}`}`
  );
}

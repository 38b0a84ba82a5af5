import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * The cookie that a session's token travels in. Over https its name begins with `__Host-`, which browsers take
 * from this host alone, encrypted and for the whole of it (RFC 6265bis, section 4.1.3.2), so that no neighbour
 * under the same domain can plant one. Over plain http (development) browsers refuse such a name.
 */
function nameFor(baseUrl: string): string {
  return baseUrl.startsWith('https:') ? '__Host-signoff' : 'signoff';
}

/** @returns null where there is none, or several: then one of them is not ours. */
export function sessionTokenOf(req: IncomingMessage, baseUrl: string): string | null {
  const name = nameFor(baseUrl);
  const found = (req.headers.cookie ?? '')
    .slice(0, 8192)
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  return found.length === 1 ? (found[0] ?? null) : null;
}

/** @param token null to forget it. Lax: whoever comes by a link in a mail is signed in, and no other site's form is. */
export function setSessionCookie(
  res: ServerResponse,
  baseUrl: string,
  token: string | null,
  maxAgeMs: number,
): void {
  const secure = baseUrl.startsWith('https:') ? '; Secure' : '';
  const maxAge = token === null ? 0 : Math.floor(maxAgeMs / 1000);
  res.appendHeader(
    'Set-Cookie',
    `${nameFor(baseUrl)}=${token ?? ''}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure}`,
  );
}

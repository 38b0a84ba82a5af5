import type { IncomingMessage } from 'node:http';
import { mediaTypeOf, readBody } from '../http/request.js';
import { ApiProblem } from './problems.js';

/** What nests deeper than any body of ours is an attack on whatever looks at it. */
const mostDepth = 20;

/**
 * Reads a JSON body. Of members that come twice the last one counts, as JSON.parse has it: what is checked is
 * what is used.
 *
 * @param limit octets.
 * @returns the value, and the octets that it came as.
 */
export async function readJson(
  req: IncomingMessage,
  limit: number,
): Promise<{ value: unknown; octets: Buffer }> {
  const type = mediaTypeOf(req);
  if (type !== 'application/json') {
    const seen = type === '' ? 'There was no Content-Type.' : 'Its Content-Type was another.';
    throw new ApiProblem('unsupported-media-type', `Send the body as application/json. ${seen}`);
  }
  const octets = await readBody(req, limit);
  if (depthOf(octets) > mostDepth) {
    throw new ApiProblem('malformed', `The body is nested deeper than ${mostDepth} levels.`);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(octets);
    return { value: JSON.parse(text) as unknown, octets };
  } catch (error) {
    const isJson = error instanceof SyntaxError;
    // What V8 says of it would repeat a part of the body.
    throw new ApiProblem('malformed', isJson ? 'The body is not JSON.' : 'The body is not UTF-8.');
  }
}

const [quote, backslash, opening, closing] = [0x22, 0x5c, [0x5b, 0x7b], [0x5d, 0x7d]];

/** Counted before anything is built. In UTF-8, no octet of a letter beyond ASCII is any of these marks. */
function depthOf(octets: Buffer): number {
  let depth = 0;
  let deepest = 0;
  let isText = false;
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i] ?? 0;
    if (isText) {
      if (octet === backslash) i++;
      else if (octet === quote) isText = false;
    } else if (octet === quote) isText = true;
    else if (opening.includes(octet)) deepest = Math.max(deepest, ++depth);
    else if (closing.includes(octet)) depth--;
  }
  return deepest;
}

/** RFC 9112, section 6: either of the two announces one. */
export function hasBody(req: IncomingMessage): boolean {
  return Number(req.headers['content-length'] ?? 0) > 0 || 'transfer-encoding' in req.headers;
}

/** @throws ApiProblem for a body where none belongs: what it says would be passed over without a word. */
export function refuseBody(req: IncomingMessage): void {
  if (!hasBody(req)) return;
  throw new ApiProblem('malformed', 'This operation takes no body: its parameters are in the URL.');
}

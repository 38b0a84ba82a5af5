import type { IncomingMessage } from 'node:http';
import { Busboy } from '@fastify/busboy';
import { HttpError } from './http-error.js';

/** The query of a request. Percent-escapes that are not UTF-8 come out as U+FFFD, which no check lets pass. */
export function queryOf(req: IncomingMessage): URLSearchParams {
  const url = req.url ?? '';
  const start = url.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : url.slice(start + 1));
}

/** The media type of a body, in lower case and without its parameters; '' where none is named. */
export function mediaTypeOf(req: IncomingMessage): string {
  return (req.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/**
 * Reads a whole body into memory.
 *
 * @param limit octets.
 * @throws HttpError 415 for a Content-Encoding (a decoder is what a body could attack) or a charset that
 *   is not UTF-8, 413 beyond the limit, 400 for a body that breaks off.
 */
export async function readBody(req: IncomingMessage, limit: number): Promise<Buffer> {
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new HttpError(415, 'content-encoding', 'Send the body without a Content-Encoding.');
  }
  const charset = /charset\s*=\s*"?([^\s";]+)/i.exec(req.headers['content-type'] ?? '')?.[1] ?? 'utf-8';
  if (!/^(utf-?8|us-ascii)$/i.test(charset)) {
    throw new HttpError(415, 'charset', 'Send the body in UTF-8.');
  }
  const tooLarge = () => new HttpError(413, 'too-large', `The body is larger than ${limit} octets.`);
  if (Number(req.headers['content-length'] ?? 0) > limit) throw tooLarge();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    // Iterating over the request would destroy its socket on the way out, and the answer with it.
    req.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= limit) chunks.push(chunk);
      else reject(tooLarge());
    });
    let isWhole = false;
    req.on('end', () => {
      isWhole = true;
      const [only] = chunks;
      resolve(only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks));
    });
    // An error takes a hundred times as long to make as a flag to look at: each request closes in the end.
    const brokeOff = () => {
      if (!isWhole) reject(new HttpError(400, 'incomplete', 'The body broke off.'));
    };
    req.on('error', brokeOff);
    req.on('close', brokeOff);
  });
}

/** How much a form may hold. */
export interface FormLimits {
  readonly octets: number;
  readonly fields: number;
}

/** What anybody may send. */
const publicForm: FormLimits = { octets: 16 * 1024, fields: 50 };

/**
 * Reads a form, urlencoded or multipart (RFC 8058 allows both). Files are passed over.
 *
 * @param limits at most 16 KB and 50 fields, unless it is said otherwise.
 * @throws HttpError as `readBody`, 415 for another type, 400 for what is no such form.
 */
export async function readForm(
  req: IncomingMessage,
  limits: FormLimits = publicForm,
): Promise<URLSearchParams> {
  const type = mediaTypeOf(req);
  if (type !== 'multipart/form-data' && type !== 'application/x-www-form-urlencoded') {
    throw new HttpError(
      415,
      'content-type',
      'Send the form as application/x-www-form-urlencoded or multipart/form-data.',
    );
  }
  const body = await readBody(req, limits.octets);
  const tooMany = () => new HttpError(400, 'too-many-fields', 'The form has too many fields.');
  if (type === 'application/x-www-form-urlencoded') {
    // To parse half a million fields takes its time, even if none of them is wanted.
    if (hasMoreFields(body, limits.fields)) throw tooMany();
    return new URLSearchParams(body.toString('utf8'));
  }
  const form = await readMultipart(req.headers['content-type'] ?? '', body, limits);
  if (form.size > limits.fields) throw tooMany();
  return form;
}

/** Between two separators there is a field, or nothing. */
function hasMoreFields(body: Buffer, most: number): boolean {
  const separator = 0x26;
  let fields = 0;
  let before = separator;
  for (const octet of body) {
    if (before === separator && octet !== separator && ++fields > most) return true;
    before = octet;
  }
  return false;
}

function readMultipart(contentType: string, body: Buffer, limits: FormLimits): Promise<URLSearchParams> {
  return new Promise((resolve, reject) => {
    const malformed = () => reject(new HttpError(400, 'incomplete', 'The form is broken, or broke off.'));
    const form = new URLSearchParams();
    try {
      const reader = new Busboy({
        headers: { 'content-type': contentType },
        limits: {
          ...{ fields: limits.fields + 1, parts: limits.fields + 10 },
          ...{ fieldNameSize: 100, fieldSize: limits.octets },
        },
      });
      reader.on('field', (name: string, value: string) => form.append(name, value));
      reader.on('file', (_name: string, file: NodeJS.ReadableStream) => {
        // A file that breaks off says so here as well; an error that nobody hears ends the process.
        file.on('error', malformed);
        file.resume();
      });
      reader.on('error', malformed);
      reader.on('finish', () => resolve(form));
      reader.end(body);
      // The body is there as a whole: what is not read by now (headers without an end) never will be.
      setImmediate(malformed);
    } catch {
      malformed();
    }
  });
}

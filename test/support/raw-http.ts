import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  /** Everything that came back, as Latin-1. */
  readonly text: string;
  /** Of the first answer. */
  readonly status: number;
  readonly body: string;
  /** How the connection broke, such as ECONNRESET; null where it was closed in order. */
  readonly error: string | null;
}

/**
 * Sends octets as they are, and waits for the server to close the connection: ask for `Connection: close`
 * or HTTP/1.0.
 *
 * @param end closes our half after sending, as a client that breaks off does.
 */
export async function exchange(
  port: number,
  octets: string | Buffer,
  { from = '127.0.0.1', end = false }: { from?: string; end?: boolean } = {},
): Promise<RawAnswer> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from });
  const answer = answerOn(socket);
  socket.write(octets);
  if (end) socket.end();
  return answer;
}

/** All that still comes on a connection. */
export function answerOn(socket: Socket): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    const ended = () => {
      // It may have broken before anybody listened here.
      const broken: NodeJS.ErrnoException | null = socket.errored;
      const error = broken === null ? null : (broken.code ?? broken.message);
      const text = Buffer.concat(chunks).toString('latin1');
      const headEnd = text.indexOf('\r\n\r\n');
      resolve({
        text,
        status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0),
        body: headEnd === -1 ? '' : text.slice(headEnd + 4),
        error,
      });
    };
    if (socket.closed) ended();
    else socket.on('close', ended);
  });
}

import { createServer, type AddressInfo, type Socket } from 'node:net';
import { simpleParser, type ParsedMail } from 'mailparser';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface ReceivedMail extends ParsedMail {
  /** The envelope's. */
  readonly recipients: readonly string[];
  /** As it came. */
  readonly source: string;
}

export interface MailServer {
  readonly port: number;
  /** For SMTP_URL. */
  readonly url: string;
  readonly received: ReceivedMail[];
  /** Users who have logged in. */
  readonly logins: string[];
  close(): Promise<void>;
}

/** A mail server on loopback, which takes everything unless `options` say otherwise. */
export async function startMailServer(
  options: SMTPServerOptions = {},
  host = '127.0.0.1',
): Promise<MailServer> {
  const received: ReceivedMail[] = [];
  const logins: string[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth({ username = '' }, _session, callback) {
      logins.push(username);
      callback(null, { user: username });
    },
    onData(stream, { envelope }, callback) {
      const octets: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => octets.push(chunk));
      stream.on('end', () => {
        const source = Buffer.concat(octets);
        void simpleParser(source).then((mail) => {
          const recipients = envelope.rcptTo.map(({ address }) => address);
          received.push({ ...mail, recipients, source: source.toString() });
          callback();
        });
      });
    },
    ...options,
  });
  // A client that goes away in the middle is none of its business.
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => void server.listen(0, host, resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    url: `smtp://127.0.0.1:${port}`,
    received,
    logins,
    close: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

/** One that takes connections, and never says a word. */
export async function startSilentServer(): Promise<{
  readonly url: string;
  readonly connections: Set<Socket>;
  close(): Promise<void>;
}> {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => connections.delete(socket));
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections,
    async close() {
      for (const socket of connections) socket.destroy();
      await new Promise<unknown>((resolve) => server.close(resolve));
    },
  };
}

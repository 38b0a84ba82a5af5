import process from 'node:process';
import { loadEnvFile, readConfig } from './config.js';
import type { Demo } from './core/demo.js';
import { linksOf } from './core/links.js';
import { StartRefused } from './errors.js';
import { createLog } from './log.js';
import { startService } from './service.js';

// What is made here holds addresses, keys or the secret: nobody else's business on a shared machine.
process.umask(0o077);

try {
  loadEnvFile();
  const config = readConfig(process.env);
  const log = createLog(config.logLevel);
  const service = await startService(config, log);
  if (service.demo !== null) process.stdout.write(demoText(service.deps.baseUrl, service.demo));
  if (service.setUpLink !== null) process.stdout.write(setUpText(service.setUpLink));

  const stop = (signal: NodeJS.Signals) => {
    if (service.deps.state.isStopping) return;
    log.info({ signal }, 'stopping: what was accepted is finished first');
    // A database that hangs must not keep the process for ever.
    setTimeout(() => process.exit(1), config.stopMs + 10_000).unref();
    service.stop().then(
      () => end(0),
      (error: unknown) => {
        log.error({ err: error }, 'could not stop in order');
        end(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
} catch (error) {
  process.stderr.write(`${whyNot(error)}\n`);
  process.exit(1);
}

/**
 * Once nothing is left to do: Pino still writes the log's last line then, and at the exit itself it would try that for
 * ever where nobody reads it any more (`npm start | tee log`, interrupted).
 */
function end(code: number): void {
  process.exitCode = code;
  setTimeout(() => process.exit(code), 1000).unref();
}

/** What an operator can mend is told in a sentence; for the rest, where it happened is what helps. */
function whyNot(error: unknown): string {
  if (error instanceof StartRefused) return error.message;
  const { code, message, stack } = error as Error & { code?: string };
  if (code === 'EACCES') return `Signoff could not start: it is not allowed to (${message}).`;
  const isDatabase = code !== undefined && /^(E[A-Z]+|ER_\w+|PROTOCOL_\w+|SQLITE_\w+)$/.test(code);
  if (isDatabase)
    return `Signoff could not start: the database of DATABASE_URL cannot be used (${code}: ${message}).`;
  return `Signoff could not start: ${stack ?? message}`;
}

function demoText(baseUrl: string, { list, accessKey }: Demo): string {
  const links = linksOf(baseUrl, list, 'ann@example.com');
  return `
A demo list is ready. Try:

  Its hosted page       ${links.page}
  A direct link         ${links.directLink}
  The pixel's HTML      <img src="${links.pixel}" width="1" height="1" alt="">
  Server to server      curl -d email=bob@example.com ${links.notify}
  The download          curl -H 'Authorization: Bearer ${accessKey}' '${links.download}?format=plain'
  The scrub of a file   curl -H 'Authorization: Bearer ${accessKey}' -F file=@FILE '${links.scrub}?return=white'

The access key is shown only this once.

`;
}

function setUpText(link: string): string {
  return `
The console has no admin yet. Make the first one here, within a day, once:

  ${link}

`;
}

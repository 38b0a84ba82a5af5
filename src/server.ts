import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import pino, { type Logger } from 'pino';
import { createApp } from './app.js';
import { loadEnvFile, readConfig, type Config } from './config.js';
import { createDemo, type Demo } from './core/demo.js';
import { createListCache } from './core/list-cache.js';
import { linksOf } from './core/links.js';
import { createRecorder } from './core/recorder.js';
import { checkSecret, secretOfDataFolder } from './core/secret.js';
import { checkDurability, connect, type Db } from './db/connect.js';
import { migrate } from './db/migrate.js';
import type { Deps, ServiceState } from './deps.js';
import { StartRefused } from './errors.js';
import { compileTrust } from './http/client-address.js';
import { startKeeper, type Keeper } from './keeper/keeper.js';

loadEnvFile();
try {
  await start(readConfig(process.env));
} catch (error) {
  process.stderr.write(
    error instanceof StartRefused
      ? `${error.message}\n`
      : `Signoff could not start: ${(error as Error).stack}\n`,
  );
  process.exit(1);
}

async function start(config: Config): Promise<void> {
  const log = pino({ level: config.logLevel });
  const db = connect(config.databaseUrl, {
    timeoutMs: config.databaseTimeoutMs,
    poolSize: config.databasePool,
    acceptLosingOptOuts: config.acceptLosingOptOuts,
  });
  const accepted = await checkDurability(db, config.acceptLosingOptOuts);
  if (accepted.length > 0)
    log.warn({ accepted }, 'acknowledged opt-outs can be lost, as ACCEPT_LOSING_OPT_OUTS says');
  const done = await migrate(db);
  if (done.length > 0) log.info({ migrations: done }, 'migrated');
  await checkSecret(db, config.secret ?? secretOfDataFolder(config.dataDir));
  const demo = config.production ? null : await createDemo(db);

  const server = createServer({ maxHeaderSize: 16 * 1024 });
  // Slow clients keep a socket, never a place in the queue: RFC 9110, section 15.5.9, answers them 408.
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  server.keepAliveTimeout = 65_000;
  server.maxConnections = config.maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const baseUrl = config.baseUrl ?? `http://localhost:${port}`;

  const keeper = startKeeper(
    db,
    log,
    `${hostname().slice(0, 30)}-${process.pid}-${randomBytes(4).toString('hex')}`,
  );
  const state: ServiceState = { isStopping: false, forwardedByStrangerAt: null };
  const deps: Deps = {
    config,
    baseUrl,
    db,
    recorder: createRecorder(db, {
      queueRows: config.recordQueueRows,
      timeoutMs: config.databaseTimeoutMs,
      onCommit: () => keeper.wake(),
    }),
    findList: createListCache(db),
    trust: compileTrust(config.trustProxy),
    log,
    state,
  };
  server.on('request', createApp(deps));
  log.info({ host: config.host, port, base_url: baseUrl }, 'listening');
  if (demo !== null) process.stdout.write(demoText(baseUrl, demo));

  const stop = (signal: string) => {
    if (state.isStopping) return;
    state.isStopping = true;
    log.info({ signal }, 'stopping: what was accepted is finished');
    void stopServing(config, log, db, deps, keeper, server);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/**
 * No accepted request is dropped: the listener closes first, requests under way are answered, and the
 * recorder and the database close only after them. Downloads that outlast the limit are reset.
 */
async function stopServing(
  config: Config,
  log: Logger,
  db: Db,
  { recorder }: Deps,
  keeper: Keeper,
  server: ReturnType<typeof createServer>,
): Promise<void> {
  const deadline = setTimeout(() => {
    log.warn('some requests outlasted STOP_SECONDS and were cut off');
    server.closeAllConnections();
  }, config.stopMs);
  const closed = new Promise((resolve) => server.close(resolve));
  // A kept-alive connection turns idle only when its last answer is out.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  await closed;
  clearInterval(idle);
  clearTimeout(deadline);
  await recorder.drain();
  await keeper.stop();
  // A database that hangs must not keep the process.
  setTimeout(() => process.exit(0), 3000).unref();
  await db.destroy();
  log.info('stopped');
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

The access key is shown only this once.

`;
}

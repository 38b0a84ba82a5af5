import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import process from 'node:process';
import type { Logger } from 'pino';
import { createListener } from './app.js';
import type { Config } from './config.js';
import { consoleTexts } from './console/texts.js';
import { createAttackRule, type AttackRule } from './core/attack-rule.js';
import { createDemo, type Demo } from './core/demo.js';
import { createSetUpLink } from './core/first-admin.js';
import { refuseHalfRestored } from './core/half-restored.js';
import { createLinkOpener } from './core/link-opener.js';
import { createListCache } from './core/list-cache.js';
import { createRecorder } from './core/recorder.js';
import { checkSecret, secretOfDataFolder } from './core/secret.js';
import { checkDurability, connect, retrying, waitingForConnections, type Db } from './db/connect.js';
import { migrate } from './db/migrate.js';
import type { Deps, ServiceState } from './deps.js';
import { StartRefused } from './errors.js';
import { limitBodyTime } from './http/body-time.js';
import { compileTrust } from './http/client-address.js';
import { cutOff } from './http/cut-off.js';
import { createEntrance, usualLimits } from './http/entrance.js';
import { metricsServer } from './http/metrics-page.js';
import { createMetrics } from './http/metrics.js';
import { createScrape } from './http/scrape.js';
import { startKeeper, type Keeper } from './keeper/keeper.js';

export interface Service {
  readonly deps: Deps;
  readonly keeper: Keeper;
  /** That is listened on. */
  readonly port: number;
  /** That METRICS_BIND's own listener has; null without one. */
  readonly metricsPort: number | null;
  /** Made on this start, since the database was empty; never in production. */
  readonly demo: Demo | null;
  /** Where the first admin is made; null where there is one. */
  readonly setUpLink: string | null;
  /**
   * No accepted request is dropped: the listener closes first, requests under way are answered, and the
   * recorder and the database close only after them. Downloads that outlast STOP_SECONDS are cut off.
   */
  stop(): Promise<void>;
}

/**
 * Brings the whole service up: database, migrations, keeper, and last the listener.
 *
 * @throws StartRefused where it must not run as it is set up; nothing is left open then.
 */
export async function startService(config: Config, log: Logger): Promise<Service> {
  const db = await openDatabase(config);
  // Node looks for requests that are late every 30 s by itself: slow clients would have that on top.
  const server = createServer({ maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 1000 });
  let metrics: Server | null = null;
  let keeper: Keeper | undefined;
  let attackRule: AttackRule | undefined;
  try {
    const secret = config.secret ?? secretOfDataFolder(config.dataDir);
    await prepareDatabase(config, log, db, secret);
    const port = await listen(config, server);
    const node = `${hostname().slice(0, 30)}-${process.pid}-${randomBytes(4).toString('hex')}`;
    const baseUrl = config.baseUrl ?? `http://localhost:${port}`;
    const post = { settings: config.mail, secret, texts: consoleTexts, baseUrl, log };
    const startedKeeper = startKeeper(db, log, node, config.retention, post);
    keeper = startedKeeper;
    attackRule = createAttackRule(db, {
      recipients: config.attackRecipients,
      windowMs: config.attackWindowMs,
      blockMs: config.blockMs,
      node,
      log,
    });
    const deps = makeDeps(config, log, db, secret, startedKeeper, attackRule, baseUrl);
    server.on('request', createListener(deps));
    server.on('connection', deps.entrance.connected);
    const { scrape } = deps;
    if (config.metricsBind !== null && scrape !== null) metrics = metricsServer(scrape);
    const metricsPort = metrics === null ? null : await listenForMetrics(config, metrics);
    // Last, since its key is shown only once: a start that fails must not use it up.
    const demo = config.production ? null : await createDemo(db);
    // Another process, as the command line, may be writing.
    const setUpToken = await retrying(db, config.databaseTimeoutMs, () => createSetUpLink(db));
    log.info({ host: config.host, port, base_url: deps.baseUrl }, 'listening');
    return {
      deps,
      keeper: startedKeeper,
      port,
      metricsPort,
      demo,
      setUpLink: setUpToken === null ? null : `${deps.baseUrl}/console/set-up/${setUpToken}`,
      stop: () => stop(deps, startedKeeper, server, metrics),
    };
  } catch (error) {
    server.close();
    metrics?.close();
    await attackRule?.stop();
    await keeper?.stop();
    await db.destroy();
    throw error;
  }
}

/** @throws StartRefused for a database that cannot be reached, or is none. */
async function openDatabase(config: Config): Promise<Db> {
  let db: Db | undefined;
  try {
    db = connect(config.databaseUrl, { timeoutMs: config.databaseTimeoutMs, poolSize: config.databasePool });
    await db.raw('SELECT 1');
    return db;
  } catch (error) {
    await db?.destroy();
    if (error instanceof StartRefused) throw error;
    throw new StartRefused(`The database of DATABASE_URL cannot be used: ${(error as Error).message}`);
  }
}

async function prepareDatabase(config: Config, log: Logger, db: Db, secret: string): Promise<void> {
  const accepted = await checkDurability(db, config.acceptLosingOptOuts);
  if (accepted.length > 0) {
    log.warn({ accepted }, 'acknowledged opt-outs can be lost, as ACCEPT_LOSING_OPT_OUTS says');
  }
  await refuseHalfRestored(db);
  const migrations = await migrate(db);
  if (migrations.length > 0) log.info({ migrations }, 'migrated');
  await retrying(db, config.databaseTimeoutMs, () => checkSecret(db, secret));
}

async function listen(config: Config, server: Server): Promise<number> {
  // A slow client is answered 408 and costs a socket for so long, no more (RFC 9110, section 15.5.9).
  server.headersTimeout = 10_000;
  limitBodyTime(server, 30_000);
  server.keepAliveTimeout = 65_000;
  // Their octets are bounded. Node silently drops headers beyond a count, and a proxy may write its own last.
  server.maxHeadersCount = 0;
  server.maxConnections = config.maxConnections;
  // Who waits for nothing makes room for who cannot get in.
  server.on('drop', () => server.closeIdleConnections());
  return listenOn(server, config, `HOST ${config.host}, PORT ${config.port}`);
}

async function listenForMetrics({ metricsBind }: Config, server: Server): Promise<number> {
  const { host, port } = metricsBind ?? { host: '127.0.0.1', port: 0 };
  return listenOn(server, { host, port }, `METRICS_BIND, ${host} port ${port},`);
}

async function listenOn(
  server: Server,
  { host, port }: { host: string; port: number },
  settings: string,
): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'something listens there already' : error.message;
      reject(new StartRefused(`${settings} cannot be listened on: ${why}.`));
    });
    // Node asks for 511: of more that connect within one turn of its event loop, some would wait for TCP to try again.
    server.listen({ port, host, backlog: 4096 }, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** Requests that are let in on top of these would but wait for the database, or for their turn after its answer. */
const mostForConnections = 100;

function makeDeps(
  config: Config,
  log: Logger,
  db: Db,
  secret: string,
  keeper: Keeper,
  attackRule: AttackRule,
  baseUrl: string,
): Deps {
  const state: ServiceState = {
    isStopping: false,
    downloads: new Set(),
    scrubs: new Map(),
    forwardedByStrangerAt: null,
  };
  const metrics = createMetrics();
  const recorder = createRecorder(db, {
    queueRows: config.recordQueueRows,
    timeoutMs: config.databaseTimeoutMs,
    onCommit: () => keeper.wake(),
    onStatement: metrics.statement,
  });
  // A line that took every connection would leave none to be told on that it is too long.
  const most = Math.max(usualLimits.fewest, config.maxConnections >> 1);
  const isHeld = () => recorder.isBehind() || waitingForConnections(db) >= mostForConnections;
  const entrance = createEntrance(isHeld, {
    ...usualLimits,
    most,
    longestMs: Math.min(config.databaseTimeoutMs, usualLimits.longestMs),
  });
  const isScraped = config.metricsToken !== null || config.metricsBind !== null;
  return {
    config,
    baseUrl,
    db,
    keeper,
    entrance,
    recorder,
    attackRule,
    findList: createListCache(db),
    openLink: createLinkOpener(db, secret),
    secret,
    trust: compileTrust(config.trustProxy),
    log,
    metrics,
    scrape: isScraped ? createScrape({ db, keeper, recorder, entrance, state, metrics, log }) : null,
    state,
  };
}

async function stop(
  { config, state, recorder, attackRule, db, log }: Deps,
  keeper: Keeper,
  server: Server,
  metrics: Server | null,
): Promise<void> {
  state.isStopping = true;
  const closed = new Promise((resolve) => server.close(resolve));
  // A kept-alive connection turns idle only when its last answer is out.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const deadline = setTimeout(() => {
    log.warn('some requests outlasted STOP_SECONDS and were cut off');
    // A connection that is closed in order would make a broken-off file look whole to HTTP/1.0.
    for (const res of [...state.downloads, ...state.scrubs.keys()]) cutOff(res);
    server.closeAllConnections();
  }, config.stopMs);
  await closed;
  clearInterval(idle);
  clearTimeout(deadline);
  metrics?.close();
  metrics?.closeAllConnections();
  await recorder.drain();
  await attackRule.stop();
  await keeper.stop();
  await db.destroy();
  log.info('stopped');
}

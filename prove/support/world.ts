import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { startPrivateDatabase, type PrivateDatabase } from '../../test/support/mariadb.js';
import { startProxy, type Proxy } from '../../test/support/proxy.js';
import { freshMigratedDatabase } from '../../test/support/template.js';
import type { SpawnedService } from '../../test/support/spawned-service.js';
import type { Engine } from '../proof.js';
import { createDatabase, forgetLease, install, type Installation } from './installation.js';

/** A service, its database and its clients, and all that faults are put on with. */
export interface World {
  readonly of: Installation;
  /** That runs now: another one after a restart. */
  readonly service: SpawnedService;
  /** Null on SQLite, whose database is the service itself. */
  readonly server: PrivateDatabase | null;
  /** Between the service and its database server; null on SQLite. */
  readonly toDatabase: Proxy | null;
  /** Between the service and those clients that come by way of it. */
  readonly toService: Proxy;
  /** Ends the service the hard way. */
  killService(): Promise<void>;
  /** Starts it again. */
  startService(): Promise<void>;
  /** Sends the database server a signal: SIGSTOP and SIGCONT. */
  signalDatabase(signal: NodeJS.Signals): void;
  close(): Promise<void>;
}

interface WorldOptions {
  /** That the database stands in. */
  readonly folder?: string;
  readonly serverSettings?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** On the server that all proofs share, which nothing is to happen to. */
  readonly isShared?: boolean;
}

export async function openWorld(engine: Engine, options: WorldOptions = {}): Promise<World> {
  const { folder = os.tmpdir(), serverSettings = [], env = {}, isShared = false } = options;
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    let url: string;
    let server: PrivateDatabase | null = null;
    let toDatabase: Proxy | null = null;
    if (isShared) {
      const database = await freshMigratedDatabase(folder);
      closing.push(database.drop);
      url = database.url;
    } else if (engine === 'sqlite') {
      const own = await mkdtemp(path.join(folder, 'signoff-prove-'));
      closing.push(() => rm(own, { recursive: true, force: true }));
      url = `sqlite://${path.join(own, 'signoff.db')}`;
    } else {
      server = await startPrivateDatabase(serverSettings, folder);
      closing.push(server.stop);
      url = await createDatabase(server.url);
      const { hostname, port } = new URL(url);
      toDatabase = await startProxy(() => ({ hostname, port: Number(port) }));
      closing.push(() => toDatabase?.close() ?? Promise.resolve());
    }
    const of = await install(url);
    const start = () => of.start({ ...env, DATABASE_URL: throughProxy(url, toDatabase) });
    let service = await start();
    closing.push(() => kill(service));
    const toService = await startProxy(() => ({ hostname: '127.0.0.1', port: service.port }));
    closing.push(() => toService.close());
    return {
      ...{ of, server, toDatabase, toService, close },
      get service() {
        return service;
      },
      killService: () => kill(service),
      async startService() {
        // Otherwise the next keeper waits for the lease of one that was killed to run out.
        await of.withDb(forgetLease);
        service = await start();
      },
      signalDatabase: (signal) => void process.kill(server?.pid ?? service.process.pid ?? 0, signal),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function throughProxy(url: string, proxy: Proxy | null): string {
  if (proxy === null) return url;
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String(proxy.port);
  return through.href;
}

async function kill({ process: child }: SpawnedService): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

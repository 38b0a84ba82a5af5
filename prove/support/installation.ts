import { createConnection } from 'mysql2/promise';
import { rotateAccessKey } from '../../src/core/access-keys.js';
import { createAccount } from '../../src/core/accounts.js';
import { createCredential } from '../../src/core/credentials.js';
import { hasPendingChanges } from '../../src/core/feed.js';
import { nameList } from '../../src/core/list-names.js';
import { createList, type List } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { connect, type Db } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { until } from '../../test/support/service.js';
import { spawnRunningService, type SpawnedService } from '../../test/support/spawned-service.js';
import {
  apiWay,
  formWay,
  mailgunWay,
  oneClickWay,
  pixelWay,
  sendcloudWay,
  serverWay,
  type Way,
} from '../../test/support/ways.js';

/** How long one query of the services in these proofs may take; three times as long is what an answer may. */
export const timeoutMs = 1500;

/** An account with one list on a database of its own, and all that is needed to record on it and to read it. */
export interface Installation {
  readonly url: string;
  readonly list: List;
  /** `/l/…`. */
  readonly link: string;
  readonly accessKey: string;
  readonly apiKey: string;
  readonly mailgun: { readonly domain: string; readonly key: string };
  /** A way through each door that records. */
  readonly ways: readonly Way[];
  /** The service, as a process of its own. */
  start(env?: Readonly<Record<string, string>>): Promise<SpawnedService>;
  /** Work on a connection of the proof's own. */
  withDb<T>(work: (db: Db) => Promise<T>): Promise<T>;
  /** Until the keeper has numbered all. */
  untilNumbered(): Promise<void>;
}

/**
 * @param url of a database that is empty, or has been migrated.
 * @param name of the list with the vendors, which no other list of the database has.
 */
export async function install(url: string, name = 'mg.example.com'): Promise<Installation> {
  async function withDb<T>(work: (db: Db) => Promise<T>): Promise<T> {
    const db = connect(url, { timeoutMs: 20_000, poolSize: 3 });
    try {
      return await work(db);
    } finally {
      await db.destroy();
    }
  }
  const made = await withDb((db) => makeList(db, name));
  const { list, apiKey, mailgunKey, sendcloudKey } = made;
  const link = `/l/${list.publicId}`;
  return {
    ...{ url, link, withDb, ...made },
    mailgun: { domain: name, key: mailgunKey },
    ways: [
      ...[oneClickWay(link), pixelWay(link), serverWay(link), formWay(link)],
      ...[apiWay(list.publicId, apiKey), mailgunWay(name, mailgunKey), sendcloudWay(name, sendcloudKey)],
    ],
    start: (env = {}) =>
      spawnRunningService({
        NODE_ENV: 'production',
        BASE_URL: 'http://signoff.test',
        SIGNOFF_SECRET: 'a secret of at least 32 characters',
        DATABASE_URL: url,
        DATABASE_TIMEOUT_MS: String(timeoutMs),
        RECIPIENT_REQUESTS_PER_MINUTE: '1000000',
        API_REQUESTS_PER_MINUTE: '1000000',
        TRUST_PROXY: '127.0.0.9',
        LOG_LEVEL: 'info',
        ...env,
      }),
    untilNumbered: () =>
      withDb((db) => until('everything is numbered', async () => !(await hasPendingChanges(db, list.id)))),
  };
}

/** An empty database of a server of the proof's own. */
export async function createDatabase(serverUrl: string, name = 'signoff'): Promise<string> {
  const connection = await createConnection(serverUrl);
  try {
    await connection.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
  } finally {
    await connection.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** What is written of a service that was killed goes on at once: the next keeper does not wait for its lease. */
export async function forgetLease(db: Db): Promise<void> {
  await db('leases').where({ name: 'keeper' }).update({ expires_at: 0 });
}

async function makeList(db: Db, name: string) {
  await migrate(db);
  const account = await createAccount(db, 'Acme');
  const actor = 'test';
  const sure = { actor, confirmPrivate: true };
  const settings = { name: 'Acme News', ipWhitelist: '127.0.0.1\n203.0.113.0/24' };
  const list = await createList(db, account.id, settings, sure);
  const mailer = await createMailer(db, account.id, { name: 'Mailer', plainAllowed: true }, { actor });
  await grantList(db, mailer, list, { actor });
  const keyFor = async (surface: string, login?: string) => {
    if (surface !== 'api') await nameList(db, list, surface, name, { actor });
    const rights = ['read', 'record', 'remove'] as const;
    const credential = { surface, name: surface, rights, ...(login === undefined ? {} : { login }) };
    return (await createCredential(db, account.id, credential, sure)).key;
  };
  return {
    list,
    accessKey: await rotateAccessKey(db, mailer, { actor, overlapMs: 0 }),
    apiKey: await keyFor('api'),
    mailgunKey: await keyFor('mailgun'),
    sendcloudKey: await keyFor('sendcloud', name),
  };
}

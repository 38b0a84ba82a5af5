import { readConfig } from '../../src/config.js';
import { rotateAccessKey } from '../../src/core/access-keys.js';
import { createAccount } from '../../src/core/accounts.js';
import { hasPendingChanges } from '../../src/core/feed.js';
import type { ListSettings } from '../../src/core/list-settings.js';
import { createList, type List } from '../../src/core/lists.js';
import { createMailer, grantList, type Mailer } from '../../src/core/mailers.js';
import { createLog } from '../../src/log.js';
import { startService, type Service } from '../../src/service.js';
import { auditIsClean } from './audited.js';
import { freshMigratedDatabase } from './template.js';

export interface TestService extends Service {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly accountId: number;
  readonly databaseUrl: string;
  /** What the service logged so far: one JSON object a line. */
  readonly logged: string[];
  /**
   * Stops the service and removes its database, which has to be free of breaches by then.
   *
   * @param unauditedBecause what a test has done to it on purpose.
   */
  close(unauditedBecause?: string): Promise<void>;
}

/**
 * The whole service on a fresh database of this run's engine, on a free port of loopback.
 *
 * @param env more of the environment, as `npm start` would read it; its DATABASE_URL is somebody else's to drop.
 */
export async function startTestService(env: Record<string, string> = {}): Promise<TestService> {
  const { DATABASE_URL: given } = env;
  const database =
    given === undefined ? await freshMigratedDatabase() : { url: given, drop: () => Promise.resolve() };
  const logged: string[] = [];
  const log = createLog('debug', { write: (line: string) => void logged.push(line) });
  const config = readConfig({
    NODE_ENV: 'production',
    BASE_URL: 'http://signoff.test',
    SIGNOFF_SECRET: 'a secret of at least 32 characters',
    PORT: '0',
    DATABASE_URL: database.url,
    TRUST_PROXY: '127.0.0.9',
    ...env,
  });
  const service = await startService(config, log);
  const account = await createAccount(service.deps.db, 'Acme');
  return {
    ...service,
    url: `http://127.0.0.1:${service.port}`,
    accountId: account.id,
    databaseUrl: database.url,
    logged,
    async close(unauditedBecause = '') {
      await service.stop();
      try {
        if (given === undefined && unauditedBecause === '') await auditIsClean(database.url);
      } finally {
        await database.drop();
      }
    },
  };
}

/** A list of the test's own, so that tests share a service and nothing else. Loopback is whitelisted unless the settings say otherwise. */
export function makeList(
  { deps, accountId }: TestService,
  settings: Partial<ListSettings> = {},
): Promise<List> {
  return createList(
    deps.db,
    accountId,
    { name: 'Acme News', ipWhitelist: '127.0.0.1', ...settings },
    { actor: 'test', confirmPrivate: true, confirmWide: true },
  );
}

/** A mailer that the list is granted to, and its key. */
export async function makeMailer(
  { deps, accountId }: TestService,
  list: List,
  settings: { plainAllowed?: boolean; ipWhitelist?: string } = { plainAllowed: true },
): Promise<{ mailer: Mailer; key: string }> {
  const actor = 'test';
  const mailer = await createMailer(
    deps.db,
    accountId,
    { name: 'Mailer', ...settings },
    { actor, confirmPrivate: true },
  );
  await grantList(deps.db, mailer, list, { actor });
  return { mailer, key: await rotateAccessKey(deps.db, mailer, { actor, overlapMs: 0 }) };
}

/** Polls until it is so, for 45 seconds at most, which is about hangs and not about speed. */
export async function until(
  what: string | (() => string),
  isSo: () => Promise<boolean> | boolean,
): Promise<void> {
  const deadline = Date.now() + 45_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) {
      throw new Error(`it did not come to pass: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Until the keeper has numbered all that this list has. */
export function untilNumbered({ deps }: TestService, list: List): Promise<void> {
  return until('everything is numbered', async () => !(await hasPendingChanges(deps.db, list.id)));
}

import { existsSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { z } from 'zod';
import { readMailSender, readMailServer, type MailSettings } from './core/mail-server.js';
import { readUrl } from './core/text.js';
import type { Retention } from './core/retention.js';
import { StartRefused } from './errors.js';
import { compileTrust } from './http/client-address.js';
import { projectPath } from './paths.js';

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((n) => n >= min && n <= max, `must be a whole number from ${min} to ${max}`);

const baseUrl = z.string().transform((text, context) => {
  const url = readUrl(text);
  const isOrigin =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.pathname === '/' &&
    url.search + url.hash + url.username + url.password === '';
  if (isOrigin) return url.origin;
  context.addIssue('must be an origin such as https://out.example.com: http or https, and no path');
  return z.NEVER;
});

const databaseUrl = z.string().refine((text) => {
  const url = readUrl(text);
  const isServer = url !== null && /^(mysql|mariadb):$/.test(url.protocol) && url.pathname.length > 1;
  return isServer || /^sqlite:\/\/./.test(text);
}, 'must be mysql://user:password@host/database, mariadb://… or sqlite:///file');

const trustProxy = z.string().transform((text, context) => {
  const proxies = text.split(/[\s,]+/).filter(Boolean);
  try {
    compileTrust(proxies);
    return proxies;
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
});

/** Whoever reaches this listener is given everything: it may be reached from this machine alone. */
const loopbackBind = z.string().transform((text, context) => {
  const [, v4, v6, digits] = /^(?:([\d.]+)|\[([\d:a-f]+)\]):(\d{1,5})$/i.exec(text) ?? [];
  const host = v4 ?? v6 ?? '';
  const isLoopback = (isIPv4(host) && host.startsWith('127.')) || host === '::1';
  if (isLoopback && Number(digits) <= 65_535) return { host, port: Number(digits) };
  context.addIssue('must be a loopback address and a port, such as 127.0.0.1:9464 or [::1]:9464');
  return z.NEVER;
});

const metricsToken = z
  .string()
  .min(16, 'must be at least 16 characters')
  .max(512)
  .regex(/^[\x21-\x7e]*$/, 'must be of ASCII characters, without spaces');

const smtpUrl = z.string().transform((text, context) => {
  const server = readMailServer(text);
  if (server !== null) return server;
  context.addIssue(
    'must be smtp://user:password@host:port or smtps://…, its parts encoded as in any URL, or without a login',
  );
  return z.NEVER;
});

const mailFrom = z.string().transform((text, context) => {
  const sender = readMailSender(text);
  if (sender !== null) return sender;
  context.addIssue('must be an address, or a name and an address: Signoff <signoff@example.com>');
  return z.NEVER;
});

const dayMs = 24 * 3_600_000;

const environment = z.object({
  NODE_ENV: z.enum(['development', 'test', 'production']).default('development'),
  HOST: z.string().default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(3000),
  BASE_URL: baseUrl.optional(),
  DATABASE_URL: databaseUrl.optional(),
  DATA_DIR: z.string().default('data'),
  SIGNOFF_SECRET: z.string().min(32, 'must be at least 32 characters').max(512).optional(),
  TRUST_PROXY: trustProxy.default([]),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).default('info'),
  ACCEPT_LOSING_OPT_OUTS: z.enum(['no', 'yes']).default('no'),
  DATABASE_POOL: wholeNumber(3, 200).default(10),
  DATABASE_TIMEOUT_MS: wholeNumber(100, 60_000).default(5000),
  RECORD_QUEUE_ROWS: wholeNumber(1000, 1_000_000).default(20_000),
  DOWNLOADS_AT_ONCE: wholeNumber(1, 100).default(8),
  SCRUBS_AT_ONCE: wholeNumber(1, 100).default(2),
  SPOOL_DIR: z.string().optional(),
  RECIPIENT_REQUESTS_PER_MINUTE: wholeNumber(10, 1_000_000).default(1200),
  API_REQUESTS_PER_MINUTE: wholeNumber(10, 1_000_000).default(6000),
  ATTACK_RECIPIENTS: wholeNumber(2, 1000).default(100),
  ATTACK_WINDOW_SECONDS: wholeNumber(10, 86_400).default(600),
  BLOCK_SECONDS: wholeNumber(10, 604_800).default(3600),
  MAX_CONNECTIONS: wholeNumber(10, 1_000_000).default(10_000),
  STOP_SECONDS: wholeNumber(1, 600).default(25),
  METRICS_TOKEN: metricsToken.optional(),
  METRICS_BIND: loopbackBind.optional(),
  SMTP_URL: smtpUrl.optional(),
  MAIL_FROM: mailFrom.optional(),
  KEEP_IP_DAYS: wholeNumber(1, 3650).default(90),
  KEEP_TOMBSTONES_DAYS: wholeNumber(30, 3650).default(400),
  KEEP_HISTORY_DAYS: wholeNumber(0, 36_500).default(730),
});

export interface Config {
  readonly production: boolean;
  readonly host: string;
  readonly port: number;
  /** An origin without a slash at the end. Null: made from the port that is listened on. */
  readonly baseUrl: string | null;
  readonly databaseUrl: string;
  readonly dataDir: string;
  /** Null: made and kept in the data folder (outside production only). */
  readonly secret: string | null;
  readonly trustProxy: readonly string[];
  readonly logLevel: string;
  readonly acceptLosingOptOuts: boolean;
  readonly databasePool: number;
  readonly databaseTimeoutMs: number;
  readonly recordQueueRows: number;
  readonly downloadsAtOnce: number;
  readonly scrubsAtOnce: number;
  /** Where the results of scrubs are kept while they are made. */
  readonly spoolDir: string;
  readonly recipientRequestsPerMinute: number;
  readonly apiRequestsPerMinute: number;
  readonly attackRecipients: number;
  readonly attackWindowMs: number;
  readonly blockMs: number;
  readonly maxConnections: number;
  readonly stopMs: number;
  /** With it, `/metrics` answers on the service's own port. */
  readonly metricsToken: string | null;
  /** A second listener that serves `/metrics` alone, to this machine. */
  readonly metricsBind: { readonly host: string; readonly port: number } | null;
  /** Null: no mail is sent. */
  readonly mail: MailSettings | null;
  readonly retention: Retention;
}

/** Reads `.env` of the working folder, where there is one; what the environment already holds wins. */
export function loadEnvFile(): void {
  if (existsSync('.env')) process.loadEnvFile('.env');
}

/**
 * Turns the environment into a Config. An empty value counts as absent.
 *
 * @throws StartRefused naming every variable that is missing or does not pass, without its value:
 *   several of them are secrets.
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(given);
  const problems = [
    ...(parsed.error?.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`) ?? []),
    ...(given.NODE_ENV === 'production' ? missingInProduction(given) : []),
    ...(isSenderMissing(given, parsed.error?.issues ?? []) ? ['MAIL_FROM is needed with SMTP_URL'] : []),
  ];
  if (!parsed.success || problems.length > 0) throw refusal(problems);

  const e = parsed.data;
  const production = e.NODE_ENV === 'production';
  const dataDir = path.resolve(e.DATA_DIR === 'data' ? projectPath('data') : e.DATA_DIR);
  const databaseUrl =
    e.DATABASE_URL ??
    `sqlite://${encodeURI(path.join(dataDir, 'signoff.db')).replace(/[?#]/g, encodeURIComponent)}`;
  return {
    production,
    host: e.HOST,
    port: e.PORT,
    baseUrl: e.BASE_URL ?? null,
    databaseUrl,
    dataDir,
    secret: e.SIGNOFF_SECRET ?? null,
    trustProxy: e.TRUST_PROXY,
    logLevel: e.LOG_LEVEL,
    acceptLosingOptOuts: e.ACCEPT_LOSING_OPT_OUTS === 'yes',
    databasePool: e.DATABASE_POOL,
    databaseTimeoutMs: e.DATABASE_TIMEOUT_MS,
    recordQueueRows: e.RECORD_QUEUE_ROWS,
    downloadsAtOnce: e.DOWNLOADS_AT_ONCE,
    scrubsAtOnce: e.SCRUBS_AT_ONCE,
    spoolDir: path.resolve(e.SPOOL_DIR ?? tmpdir()),
    recipientRequestsPerMinute: e.RECIPIENT_REQUESTS_PER_MINUTE,
    apiRequestsPerMinute: e.API_REQUESTS_PER_MINUTE,
    attackRecipients: e.ATTACK_RECIPIENTS,
    attackWindowMs: e.ATTACK_WINDOW_SECONDS * 1000,
    blockMs: e.BLOCK_SECONDS * 1000,
    maxConnections: e.MAX_CONNECTIONS,
    stopMs: e.STOP_SECONDS * 1000,
    metricsToken: e.METRICS_TOKEN ?? null,
    metricsBind: e.METRICS_BIND ?? null,
    mail: e.SMTP_URL && e.MAIL_FROM ? { server: e.SMTP_URL, sender: e.MAIL_FROM } : null,
    retention: {
      ipMs: e.KEEP_IP_DAYS * dayMs,
      tombstonesMs: e.KEEP_TOMBSTONES_DAYS * dayMs,
      historyMs: e.KEEP_HISTORY_DAYS === 0 ? null : e.KEEP_HISTORY_DAYS * dayMs,
    },
  };
}

function missingInProduction(given: Readonly<Record<string, string | undefined>>): string[] {
  const needed = {
    SIGNOFF_SECRET: 'is needed in production (for example: openssl rand -base64 32)',
    BASE_URL: 'is needed in production: the address under which recipients reach this service',
  };
  return Object.entries(needed).flatMap(([name, why]) =>
    given[name] === undefined ? [`${name} ${why}`] : [],
  );
}

/** Not told where the server itself does not pass: that may be what is to be taken away. */
function isSenderMissing(
  given: Readonly<Record<string, string | undefined>>,
  issues: readonly { readonly path: readonly PropertyKey[] }[],
): boolean {
  const isServerGood =
    given.SMTP_URL !== undefined && issues.every(({ path: [name] }) => name !== 'SMTP_URL');
  return isServerGood && given.MAIL_FROM === undefined;
}

function refusal(problems: string[]): StartRefused {
  return new StartRefused(`The configuration does not pass:\n${problems.map((p) => `  - ${p}`).join('\n')}`);
}

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { readConfig } from '../src/config.js';
import { StartRefused } from '../src/errors.js';
import { projectPath } from '../src/paths.js';

const production = {
  NODE_ENV: 'production',
  BASE_URL: 'https://out.example.com',
  SIGNOFF_SECRET: 'a secret of at least 32 characters',
};

/** What is told of an environment that does not pass, by lines. */
function refusalOf(env: Record<string, string>): string[] {
  try {
    readConfig(env);
  } catch (error) {
    assert.ok(error instanceof StartRefused, String(error));
    const [head, ...lines] = error.message.split('\n');
    assert.equal(head, 'The configuration does not pass:');
    return lines.map((line) => line.replace(/^ {2}- /, ''));
  }
  return [];
}

/** Of each variable that is checked, values that do not pass. */
const bad: Record<string, string[]> = {
  PORT: ['65536', '-1', '80a', '1.5', '0x50', ' 80', 'NaN', '99999999999'],
  BASE_URL: [
    ...[
      'acme.example',
      'ftp://acme.example',
      'https://acme.example/path',
      'https://',
      'https://acme.example?y=1',
    ],
    ...[
      'https://ann:secretpass@acme.example',
      'javascript:acme()',
      'https://acme.example#x',
      'https://ac me',
    ],
  ],
  DATABASE_URL: [
    'postgres://ann:secretpass@acme/db',
    'acme.db',
    'mysql:',
    'mysql://',
    'MYSQL',
    '/acme/signoff.db',
  ],
  SIGNOFF_SECRET: ['secretpass', 's'.repeat(31), 's'.repeat(513)],
  LOG_LEVEL: ['verbose', 'INFO', 'trace'],
  ACCEPT_LOSING_OPT_OUTS: ['true', '1', 'YES'],
  DATABASE_POOL: ['2', '201', 'ten'],
  DATABASE_TIMEOUT_MS: ['99', '60001', '5s'],
  RECORD_QUEUE_ROWS: ['999', '1000001'],
  DOWNLOADS_AT_ONCE: ['0', '101'],
  SCRUBS_AT_ONCE: ['0', '101', 'two'],
  RECIPIENT_REQUESTS_PER_MINUTE: ['9', '1000001', '-1'],
  API_REQUESTS_PER_MINUTE: ['9', '1000001', 'none'],
  ATTACK_RECIPIENTS: ['0', '1', '1001', 'off'],
  ATTACK_WINDOW_SECONDS: ['9', '86401', '10m'],
  BLOCK_SECONDS: ['9', '604801', '1h'],
  MAX_CONNECTIONS: ['9', '1000001'],
  STOP_SECONDS: ['0', '601'],
  KEEP_IP_DAYS: ['0', '3651', '90d'],
  KEEP_TOMBSTONES_DAYS: ['29', '3651', '-1'],
  KEEP_HISTORY_DAYS: ['-1', '36501', 'ever'],
  METRICS_TOKEN: ['secretpass', 's'.repeat(513), 'secretpass secretpass', 'secretpässsecretpass'],
  METRICS_BIND: [
    ...['0.0.0.0:9464', '[::]:9464', '10.0.0.1:9464', 'acme.example:9464', 'localhost:9464', ':9464'],
    ...['9464', '127.0.0.1', '127.0.0.1:', '127.0.0.1:65536', '::1:9464', '[127.0.0.1]:9464'],
    ...['127.0.0.1.acme:9464', '127.1:9464', '127.0.0.256:9464', '[::ffff:127.0.0.1]:9464'],
  ],
  SMTP_URL: [
    ...[
      'acme.example',
      'acme.example:587',
      'http://acme.example',
      'smtp://',
      'smtp:',
      'smtp://acme.example/x',
    ],
    ...['smtp://ann@acme.example', 'smtp://ann:@acme.example', 'smtp://:secretpass@acme.example'],
    ...['smtp://acme.example:0', 'smtp://acme.example:65536', 'smtp://acme.example?pool=true'],
    ...['smtp://ann:secretpass%ff@acme.example', 'smtp://ac me', 'smtp://acme_/', 'sendmail://acme.example'],
  ],
  MAIL_FROM: [
    ...['acme.example', 'Acme', '<>', 'Acme <>', 'Acme <ann>', 'ann@acme.example, bob@acme.example'],
    ...['Acme <ann@acme.example> x', `${'a'.repeat(101)} <ann@acme.example>`, 'A\ncme <ann@acme.example>'],
  ],
};

describe('The configuration', () => {
  for (const [name, values] of Object.entries(bad)) {
    it(`stops the start at a bad ${name}, by its name and without its value`, () => {
      for (const value of values) {
        const lines = refusalOf({ ...production, [name]: value });
        assert.equal(lines.length, 1, value);
        assert.match(lines[0] ?? '', new RegExp(`^${name} \\S`));
        assert.doesNotMatch(lines[0] ?? '', /acme|secretpass|sss|undefined|ZodError/);
      }
    });
  }

  it('stops the start at a bad TRUST_PROXY, and names the entry: it is no secret', () => {
    for (const entry of ['true', '*', '1', 'loopback', '10.0.0.1/8', '0.0.0.0/0', 'proxy.example.com']) {
      const lines = refusalOf({ ...production, TRUST_PROXY: `127.0.0.1, ${entry}` });
      assert.equal(lines.length, 1);
      assert.ok(lines[0]?.startsWith('TRUST_PROXY ') && lines[0].includes(`"${entry}"`), lines[0]);
    }
  });

  it('tells everything that is wrong at once', () => {
    const names = (lines: string[]) => lines.map((line) => line.split(' ')[0]);
    const numbers = refusalOf({ PORT: 'x', LOG_LEVEL: 'x', STOP_SECONDS: 'x' });
    assert.deepEqual(names(numbers), ['PORT', 'LOG_LEVEL', 'STOP_SECONDS']);
    const texts = refusalOf({ NODE_ENV: 'production', DATABASE_URL: 'x', TRUST_PROXY: 'x' });
    assert.deepEqual(names(texts), ['DATABASE_URL', 'TRUST_PROXY', 'SIGNOFF_SECRET', 'BASE_URL']);
    const both = refusalOf({ NODE_ENV: 'production', PORT: 'x', BASE_URL: 'ftp://x', TRUST_PROXY: 'x' });
    assert.deepEqual(names(both), ['PORT', 'BASE_URL', 'TRUST_PROXY', 'SIGNOFF_SECRET']);
  });

  it('demands a secret and the base URL in production, and there alone', () => {
    assert.equal(readConfig(production).production, true);
    for (const name of ['SIGNOFF_SECRET', 'BASE_URL'] as const) {
      for (const env of [
        { ...production, [name]: '' },
        { ...production, [name]: undefined },
      ]) {
        const given = Object.entries(env).filter(
          (entry): entry is [string, string] => entry[1] !== undefined,
        );
        assert.match(
          refusalOf(Object.fromEntries(given)).join(),
          new RegExp(`^${name} is needed in production`),
        );
      }
    }
    const { secret, baseUrl } = readConfig({ NODE_ENV: 'development' });
    assert.deepEqual([secret, baseUrl], [null, null]);
  });

  it('wants to know whom mails come from where there is a server for them', () => {
    assert.deepEqual(refusalOf({ ...production, SMTP_URL: 'smtp://localhost:25' }), [
      'MAIL_FROM is needed with SMTP_URL',
    ]);
    assert.deepEqual(refusalOf({ ...production, SMTP_URL: 'acme.example', PORT: 'x' }).length, 2);
    assert.equal(readConfig({ MAIL_FROM: 'out@acme.example' }).mail, null);
    assert.deepEqual(
      readConfig({
        SMTP_URL: 'smtps://ann%40acme:p%2Fss@mail.acme.example',
        MAIL_FROM: '"Acme, Inc." <Out@acme.example>',
      }).mail,
      {
        server: {
          ...{ host: 'mail.acme.example', port: 465, isSecure: true },
          login: { user: 'ann@acme', password: 'p/ss' },
        },
        sender: { name: 'Acme, Inc.', address: 'Out@acme.example' },
      },
    );
    assert.deepEqual(readConfig({ SMTP_URL: 'smtp://[::1]', MAIL_FROM: 'out@acme.example' }).mail, {
      server: { host: '::1', port: 587, isSecure: false, login: null },
      sender: { name: '', address: 'out@acme.example' },
    });
  });

  it('takes an empty value for an absent one', () => {
    const names = Object.keys(bad);
    assert.deepEqual(readConfig(Object.fromEntries(names.map((name) => [name, '']))), readConfig({}));
  });

  it('prints the base URL as browsers compare it, and reads the edges of every range', () => {
    const originOf = (url: string) => readConfig({ BASE_URL: url }).baseUrl;
    assert.equal(originOf('https://Out.Example.com:443/'), 'https://out.example.com');
    assert.equal(originOf('http://[::1]:3000'), 'http://[::1]:3000');
    assert.equal(readConfig({ PORT: '0' }).port, 0);
    assert.equal(readConfig({ PORT: '65535' }).port, 65_535);
    assert.equal(readConfig({ STOP_SECONDS: '600' }).stopMs, 600_000);
    assert.deepEqual(readConfig({ TRUST_PROXY: ' 127.0.0.1,10.0.0.0/8  ::1 ' }).trustProxy, [
      '127.0.0.1',
      '10.0.0.0/8',
      '::1',
    ]);
  });

  it('is what .env.example says: each variable, with its default', () => {
    const example = parseEnv(readFileSync(projectPath('.env.example'), 'utf8')) as Record<string, string>;
    const source = readFileSync(projectPath('src', 'config.ts'), 'utf8');
    const [, schema = ''] = /const environment = z\.object\(\{\n([\s\S]*?)\n\}\);/.exec(source) ?? [];
    const read = [...schema.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name]) => name);
    assert.ok(read.length > 10);
    assert.deepEqual(Object.keys(example).sort(), read.sort(), 'the same variables');
    assert.deepEqual(readConfig(example), readConfig({}));
    const others = ['SPOOL_DIR', 'METRICS_TOKEN', 'METRICS_BIND', 'SMTP_URL', 'MAIL_FROM'];
    for (const [name, value] of Object.entries(example)) {
      const isOptional = ['BASE_URL', 'DATABASE_URL', 'SIGNOFF_SECRET', 'TRUST_PROXY', ...others].includes(
        name,
      );
      assert.equal(value === '', isOptional, `${name} shows its default`);
    }
  });
});

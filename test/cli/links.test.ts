import assert from 'node:assert/strict';
import request from 'supertest';
import { headersOf } from '../../src/cli/links.js';
import { masked } from '../../src/cli/links-verify.js';
import type { ListSettings } from '../../src/core/list-settings.js';
import type { List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { rowsOf } from '../support/records.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { environmentOf, signoff } from './signoff.js';

interface Verified {
  list: string;
  signed: boolean;
  key: number | null;
  newest_key: number | null;
  address: string | null;
  tag: string;
  settings: Record<string, unknown>;
  outcomes: { as: string; records: boolean; gets: string }[];
  one_click_curl: string;
  tried: { as: string; method: string; status: number | null; offers: string | null }[] | null;
}

describe('signoff links', function () {
  this.timeout(180_000);
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const run = (...args: string[]) =>
    signoff({ ...environmentOf(service.databaseUrl), BASE_URL: service.url }, args);
  const done = async (...args: string[]) => {
    const ran = await run(...args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  };
  const make = async (settings: Partial<ListSettings> = {}) => {
    const list = await makeList(service, settings);
    await addTags(service.deps.db, list.id, ['sale']);
    return list;
  };
  const linkFor = async (list: List, ...more: string[]) => {
    const ran = await done('links', 'headers', '--list', list.publicId, 'ann@example.com', '--json', ...more);
    return ran.json<{ link: string }>().link;
  };
  const verified = async (...args: string[]) =>
    (await done('links', 'verify', '--json', ...args)).json<Verified>();
  const recording = ({ outcomes }: Verified) => outcomes.filter((one) => one.records).map((one) => one.as);
  const cut = (link: string) => link.slice(0, -6);

  it('headers prints the two lines, and a link that one-click goes through', async () => {
    const list = await make();
    const ran = await done('links', 'headers', '--list', list.publicId, 'Ann@Example.com', '--tag', 'sale');
    const [first = '', second, ...others] = ran.stdout.split('\n');
    const link = /^List-Unsubscribe: <(\S+)>$/.exec(first)?.[1] ?? '';
    assert.equal(second, 'List-Unsubscribe-Post: List-Unsubscribe=One-Click');
    assert.deepEqual(others, ['']);
    assert.match(ran.stderr, /DKIM.*both headers/);
    assert.match(ran.stderr, /not https/);
    const answer = await request(link).post('').type('form').send('List-Unsubscribe=One-Click');
    assert.equal(answer.status, 200);
    assert.deepEqual(
      (await rowsOf(service, list)).map((row) => [row.source, String(row.address), row.tag.toString()]),
      [['one-click', 'ann@example.com', 'sale']],
    );
  });

  it('headers folds a line that no mail may have', () => {
    assert.equal(headersOf('https://x/o/T').list_unsubscribe, 'List-Unsubscribe: <https://x/o/T>');
    const long = `https://x/o/${'T'.repeat(985)}`;
    assert.equal(headersOf(long).list_unsubscribe, `List-Unsubscribe:\r\n <${long}>`);
  });

  it('rotate makes a new key, and links of the old one go on opening', async () => {
    const list = await make();
    const old = await linkFor(list);
    const rotated = await done('links', 'rotate', '--list', list.publicId);
    assert.match(
      rotated.stdout,
      /^Key 2 makes the links of Acme News from now on\.\nLinks made with older keys/,
    );
    const renewed = await linkFor(list);
    assert.notEqual(renewed, old);
    const [before, after] = [await verified(old), await verified(renewed)];
    assert.deepEqual([before.key, before.newest_key, after.key], [1, 2, 2]);
    assert.equal((await request(old).post('').type('form').send('List-Unsubscribe=One-Click')).status, 200);
    assert.deepEqual((await done('links', 'rotate', '--list', list.publicId, '--json')).json(), {
      list: list.publicId,
      key: 3,
    });
  });

  it('verify tells whose link it is, and what each would get', async () => {
    const list = await make();
    const link = await linkFor(list, '--tag', 'sale');
    const { stdout } = await done('links', 'verify', link);
    for (const said of [
      /^Link +signed, and ours$/m,
      new RegExp(`^List +Acme News \\(${list.publicId}\\)$`, 'm'),
      /^Address +a…@example\.com$/m,
      /^Tag +sale$/m,
      /^Key +1, the newest$/m,
      /^Direct link +confirm$/m,
      /^Signed links only +no$/m,
      /^A scanner \(.*\n {2}403,.*Nothing is recorded\. From the IP whitelist/m,
      /^A browser \(.*\n {2}The page with the address and one button\./m,
      /^A mail-client \(.*\n {2}It is recorded, and answered with 200/m,
      `curl -d List-Unsubscribe=One-Click '${link}'`,
    ]) {
      assert.ok(typeof said === 'string' ? stdout.includes(said) : said.test(stdout), `${said}\n${stdout}`);
    }
    assert.doesNotMatch(stdout, /ann@/);
    assert.match((await done('links', 'verify', link, '--show-address')).stdout, /ann@example\.com/);
    const one = await done('links', 'verify', link, '--as', 'browser');
    assert.doesNotMatch(one.stdout, /scanner|curl/);
    assert.deepEqual(recording(await verified(link)), ['mail-client']);
    assert.deepEqual(await rowsOf(service, list), []);
  });

  it('verify knows the settings: instant links, pixels, redirects, signed links only', async () => {
    const list = await make({
      directLink: 'instant',
      signedLinksOnly: true,
      redirectTemplate: 'https://acme.example/bye?l={list}',
    });
    const link = await linkFor(list);
    const signed = await verified(link);
    assert.deepEqual(recording(signed), ['scanner', 'browser', 'mail-client']);
    assert.match(signed.outcomes[1]?.gets ?? '', /redirect to https:\/\/acme\.example\./);
    assert.equal(signed.settings.signed_links_only, true);
    const plain = await verified(`${service.url}/l/${list.publicId}?email=ann%2Bx@example.com`);
    assert.deepEqual([plain.signed, plain.key, plain.address], [false, null, 'a…@example.com']);
    assert.deepEqual(recording(plain), []);
    assert.match(plain.outcomes[2]?.gets ?? '', /^403/);
    assert.deepEqual(recording(await verified(`${link}/pixel.gif`)), ['scanner', 'browser']);
    const bare = await verified(`${service.url}/l/${list.publicId}?email={{email}}&tag=none`);
    assert.deepEqual([bare.address, bare.tag], [null, '*']);
  });

  it('verify says of what is not ours that it is not, and ends with 1', async () => {
    const list = await make();
    const link = await linkFor(list);
    const { publicId } = list;
    // Both end a token as base64url may: their last bits are zero.
    const last = link.endsWith('A') ? 'Q' : 'A';
    const token = Buffer.from(link.slice(link.lastIndexOf('/') + 1), 'base64url');
    token.writeUInt16BE(77, 5);
    const foreign: [string, RegExp][] = [
      [`${cut(link)}${last.repeat(6)}`, /does not open/],
      [`${service.url}/o/${token.toString('base64url')}`, /names a key that is not in this database/],
      [`${service.url}/o/AQ`, /not ours, or it was cut/],
      [`${service.url}/o/%E0%A4%A`, /not ours, or it was cut/],
      [`${service.url}/l/${publicId.slice(1)}a`, /there is no such list/],
      [`${service.url}/x/y`, /no link of a list/],
      ['ann@example.com', /no address of the web/],
      [`mailto:ann@example.com`, /no address of the web/],
    ];
    for (const [url, why] of foreign) {
      const ran = await run('links', 'verify', url, '--try');
      assert.deepEqual([ran.code, ran.stdout], [1, ''], url);
      assert.match(ran.stderr, why);
      assert.doesNotMatch(ran.stderr, /\n {4}at |fault of Signoff/);
    }
  });

  it('verify --try opens it, and records nothing, even where opening records and we are whitelisted', async () => {
    for (const directLink of ['confirm', 'instant']) {
      // makeList whitelists loopback, where this test is seen from.
      const list = await make({ directLink });
      const link = await linkFor(list);
      const { tried } = await verified(link, '--try');
      assert.deepEqual(
        tried?.map(({ as, method, status, offers }) => [as, method, status, offers]),
        [
          ['scanner', 'GET', 200, 'button'],
          ['scanner', 'HEAD', 200, null],
          ['scanner', 'OPTIONS', 204, null],
          ['browser', 'GET', 200, 'button'],
        ],
      );
      const unsigned = `${service.url}/l/${list.publicId}`;
      await done('links', 'verify', `${unsigned}?email=ann@example.com`, '--try');
      const shown = await done('links', 'verify', unsigned, '--try', '--as', 'browser');
      assert.match(shown.stdout, /^ {2}GET as a browser +200, with a form$/m);
      assert.deepEqual(await rowsOf(service, list), []);
    }
  });

  it('verify --try sends what a mail client does where it is told to record', async () => {
    const list = await make();
    const link = await linkFor(list, '--tag', 'sale');
    const asClient = ['--try', '--as', 'mail-client'];
    const refused = await run('links', 'verify', link, ...asClient);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^It was not tried: .* would record an opt-out\. Add --record/);
    const elsewhere = link.replace(service.url, 'http://127.0.0.2:9');
    assert.equal((await run('links', 'verify', elsewhere, ...asClient, '--record')).code, 1);
    assert.equal((await run('links', 'verify', link, '--try', '--record')).code, 2);
    assert.deepEqual(await rowsOf(service, list), []);
    const { stdout } = await done('links', 'verify', link, ...asClient, '--record');
    assert.match(stdout, /^Sent now, a POST as a mail-client: 200$/m);
    assert.ok(
      stdout.includes(`recorded. To take it back:\n  signoff opt-out remove ${list.publicId} ADDRESS --tag`),
    );
    assert.deepEqual(
      (await rowsOf(service, list)).map((row) => [row.source, row.tag.toString()]),
      [['one-click', 'sale']],
    );
  });

  it('verify --try sends nothing to strangers, nor to a door that records', async () => {
    const list = await make();
    const link = await linkFor(list);
    const elsewhere = link.replace(service.url, 'http://127.0.0.2:9');
    const stranger = await run('links', 'verify', elsewhere, '--try');
    assert.equal(stranger.code, 1);
    assert.match(stranger.stderr, /not tried: it begins with http:\/\/127\.0\.0\.2:9, and BASE_URL is/);
    assert.match(
      (await done('links', 'verify', elsewhere)).stdout,
      /^Begins with +http:\/\/127\.0\.0\.2:9, where/m,
    );
    for (const door of ['pixel.gif', 'notify', 'opt-out']) {
      const ran = await run('links', 'verify', `${link}/${door}`, '--try');
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /to open …\/.* is to record/);
    }
    assert.deepEqual(await rowsOf(service, list), []);
  });

  it('the setting is switched, shown, and told with the links', async () => {
    const list = await make();
    const edited = await done('list', 'edit', list.publicId, '--signed-links-only', 'yes', '--json');
    assert.equal(edited.json<Record<string, unknown>>().signed_links_only, true);
    assert.match((await done('list', 'show', list.publicId)).stdout, /^Signed links only +yes$/m);
    const links = (await done('list', 'links', list.publicId)).stdout;
    assert.match(links, /by signed links alone: those above are refused/);
    assert.ok(links.includes(`${service.url}/o/TOKEN\n  signoff links mint FILE --list ${list.publicId}`));
    await done('list', 'edit', list.publicId, '--signed-links-only', 'no');
    assert.doesNotMatch((await done('list', 'links', list.publicId)).stdout, /are refused/);
    const made = await done('list', 'create', '--name', 'New', '--signed-links-only', 'yes', '--json');
    assert.equal(made.json<Record<string, unknown>>().signed_links_only, true);
  });

  it('explains itself, and refuses wrong usage with 2', async () => {
    for (const command of ['mint', 'headers', 'rotate', 'verify']) {
      const { stdout } = await done('links', command, '--help');
      assert.match(stdout, new RegExp(`^Usage: signoff links ${command}[^]*\nExamples:\n {2}\\$ `));
    }
    const wrong = [
      ['mint', '-'],
      ['mint', '-', '--list', 'x', '--tag', 'a', '--tag-column', 'b'],
      ['mint', '-', '--list', 'x', '--json'],
      ['headers', '--list', 'x'],
      ['verify', 'https://x/', '--as', 'cat'],
    ];
    for (const args of wrong) assert.equal((await run('links', ...args)).code, 2, args.join(' '));
  });

  it('masks addresses', () => {
    assert.deepEqual(['ann@example.com', '😀x@y.example'].map(masked), ['a…@example.com', '😀…@y.example']);
  });
});

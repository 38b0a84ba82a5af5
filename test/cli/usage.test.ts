import assert from 'node:assert/strict';
import { signoff, signoffAlone } from './signoff.js';

describe('Wrong usage of the command signoff', function () {
  this.timeout(120_000);
  const wrong: [args: string[], why: RegExp][] = [
    [[], /Getting started:/],
    [['lists'], /unknown command 'lists'/],
    [['list', 'links'], /missing required argument 'list'/],
    [['list', 'create'], /required option '--name <name>'/],
    [['list', 'create', '--name', 'x', '--account', 'Acme'], /'--account <id>'.*number/],
    [['list', 'edit', 'Acme News'], /there is nothing to change/],
    [['list', 'edit', 'Acme News', '--archive', '--unarchive'], /not both/],
    [['list', 'edit', 'Acme News', '--pixel', 'yes'], /'--pixel <switch>'.*Allowed choices are on, off/],
    [['list', 'edit', 'Acme News', '--thank-you', 'Bye'], /'--thank-you <LANG=TEXT>'.*LANG=@FILE/],
    [['list', 'edit', 'Acme News', '--thank-you', 'en=@/no/such'], /'--thank-you <LANG=TEXT>'.*ENOENT/],
    [['backup', '-', '--json'], /--json goes with a file/],
    [['restore'], /missing required argument 'file'/],
    [['import'], /name a file and its --list, or a --manifest/],
    [['import', 'a.csv', '--manifest', 'b.csv'], /name a file and its --list, or a --manifest/],
    [['import', 'a.csv'], /required option '--list <list>'/],
    [['import', '--manifest', 'b.csv', '--tag-column', 'x'], /--tag-column does not go with --manifest/],
    [['import', 'a.csv', '--list', 'x', '--from-line', '0'], /'--from-line <number>'.*count from 1/],
    [
      ['import', 'a.csv', '--list', 'x', '--format', 'xml'],
      /'--format <format>'.*auto, csv, text, md5, sha256/,
    ],
    [['export', 'x', '--json'], /--json goes with --output/],
    [['mailer', 'rotate-key', '1', '--overlap', '91d'], /'--overlap <time>'.*90d at most/],
  ];
  for (const [args, why] of wrong) {
    it(`signoff ${args.join(' ')}`.trimEnd(), async () => {
      // A word alone, or none: in a process of its own, as people run it.
      const ran = await (args.length < 2 ? signoffAlone : signoff)({}, args);
      assert.equal(ran.code, 2);
      assert.match(ran.stderr, why);
      assert.equal(ran.stdout, '');
    });
  }

  it('is not --help: each command explains itself, with examples', async () => {
    const commands = [
      ...[
        'migrate',
        'audit',
        'backup',
        'restore',
        'account create',
        'account list',
        'list create',
        'list list',
        'list show',
      ],
      ...[
        'list edit',
        'list links',
        'list global',
        'list clear',
        'removals list',
        'removals restore',
        'mailer create',
        'mailer list',
        'mailer edit',
        'mailer grant',
      ],
      ...['mailer revoke', 'mailer rotate-key', 'mailer revoke-keys', 'opt-out add', 'opt-out check'],
      ...[
        'opt-out remove',
        'person show',
        'person erase',
        'import',
        'import-job list',
        'import-job show',
        'import-job end',
        'import-job restart',
        'export',
      ],
    ];
    for (const command of commands) {
      const ran = await signoff({}, [...command.split(' '), '--help']);
      assert.equal(ran.code, 0, `${command}: ${ran.stderr}`);
      assert.match(ran.stdout, new RegExp(`^Usage: signoff ${command}`));
      assert.ok(ran.stdout.includes(`Examples:\n  $ `) && ran.stdout.includes(`signoff ${command}`), command);
    }
  });
});

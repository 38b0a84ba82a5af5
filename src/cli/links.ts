import type { Command } from 'commander';
import { parseAddress } from '../core/address.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { mintToken, rotateLinkKey } from '../core/signed-links.js';
import { addressFaults } from '../core/row-faults.js';
import { Invalid } from '../errors.js';
import { chosenList, listArgument } from './arguments.js';
import { addMintCommand } from './links-mint.js';
import { mintingOf } from './links-session.js';
import { addVerifyCommand } from './links-verify.js';
import { baseUrlOf } from './list-links.js';
import { knownTag } from './opt-out.js';
import { print, printJson, warn } from './output.js';
import { actor, changing, withSession } from './session.js';

/** RFC 5322, section 2.1.1: octets of a line, its end not counted. */
const longestHeaderLine = 998;

export function addLinksCommands(program: Command): void {
  const links = program
    .command('links')
    .summary('signed links: mint, headers, rotate, verify')
    .description(
      'Signed links: each carries the list, the address and the tag of one recipient, encrypted. No address ' +
        'stands in them, nobody can make one for somebody else, and each opens for as long as the secret is kept.',
    );
  addMintCommand(links);
  addHeaders(links);
  addRotate(links);
  addVerifyCommand(links);
}

function addHeaders(links: Command): void {
  links
    .command('headers')
    .summary('print the headers for one-click of a mail to one address')
    .description(
      "Prints the two headers that a mail needs for the unsubscribe button of its recipient's mail program " +
        '(RFC 8058, RFC 2369), ready for use: they hold one address, so each mail has its own.',
    )
    .argument('<address>', 'the e-mail address that the mail goes to')
    .requiredOption('--list <list>', listArgument)
    .option('--tag <tag>', 'the link leaves this tag of the list; without it, all of its mail')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff links headers --list "Acme News" ann@example.com
  $ signoff links headers --list offers --tag sale ann@example.com --json`,
    )
    .action((addressText: string, options: { list: string; tag?: string; json?: true }) =>
      withSession(async (session) => {
        const address = recipientOf(addressText);
        const { list, key } = await mintingOf(session, options.list);
        const tag = options.tag === undefined ? EVERYTHING : knownTag(list, options.tag);
        const baseUrl = baseUrlOf(session.config);
        const link = `${baseUrl}/o/${mintToken(key, address, tag)}`;
        const headers = headersOf(link);
        if (options.json) {
          printJson({ list: list.publicId, address, tag, key: key.number, link, ...headers });
        } else {
          print(headers.list_unsubscribe);
          print(headers.list_unsubscribe_post);
        }
        warn(
          'The DKIM signature of the mail has to cover both headers (h=…:List-Unsubscribe:List-Unsubscribe-Post).',
        );
        if (!baseUrl.startsWith('https:')) {
          warn(
            'BASE_URL is not https: mail programs offer no one-click for such a link (RFC 8058, section 3.1).',
          );
        }
      }),
    );
}

/** As the doors read an address: what a link holds is read once more when it is opened. */
function recipientOf(text: string): string {
  const result = parseAddress(text, { typed: true });
  if (!result.ok) throw new Invalid('email', result.problem, addressFaults[result.problem]);
  return result.address.normalised;
}

/** The two lines; one that a mail could not hold is folded. */
export function headersOf(link: string): { list_unsubscribe: string; list_unsubscribe_post: string } {
  const whole = `List-Unsubscribe: <${link}>`;
  return {
    list_unsubscribe:
      Buffer.byteLength(whole) <= longestHeaderLine ? whole : `List-Unsubscribe:\r\n <${link}>`,
    list_unsubscribe_post: 'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
  };
}

function addRotate(links: Command): void {
  links
    .command('rotate')
    .summary('make a new key for the links of a list')
    .description(
      'Makes a new key, with which all new links of a list are made. Links of its older keys go on opening, ' +
        'for ever: somebody may leave by a mail from years ago.',
    )
    .requiredOption('--list <list>', listArgument)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff links rotate --list "Acme News"')
    .action((options: { list: string; json?: true }) =>
      withSession(async (session) => {
        const { list, number } = await changing(session, async (db) => {
          const chosen = await chosenList(db, options.list);
          return { list: chosen, number: await rotateLinkKey(db, chosen, { actor }) };
        });
        if (options.json) return printJson({ list: list.publicId, key: number });
        print(`Key ${number} makes the links of ${list.name} from now on.`);
        if (number > 1) print('Links made with older keys go on opening.');
      }),
    );
}

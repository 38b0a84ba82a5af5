import type { Command } from 'commander';
import type { Config } from '../config.js';
import { linksOf, type ListLinks } from '../core/links.js';
import type { List } from '../core/lists.js';
import { Refused } from '../errors.js';
import { chosenList, listArgument } from './arguments.js';
import { print, printJson } from './output.js';
import { reading, withSession } from './session.js';

const keyPlace = 'YOUR_ACCESS_KEY';

export function addLinksCommand(list: Command): void {
  list
    .command('links')
    .summary('print the links of a list, ready to paste')
    .description(
      'Prints every address of a list with what to paste where: the link for the foot of a mail, the headers ' +
        'for one-click, the pixel, server to server, the download and the scrub. They begin with BASE_URL, or, where that ' +
        'is not set, with http://localhost and PORT.',
    )
    .argument('<list>', listArgument)
    .option('--merge-tag <tag>', "what your mail program replaces with the recipient's address", '{{email}}')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Merge tags of common mail programs (where yours can URL-encode, let it: a + in an address needs it):
  ActiveCampaign    %EMAIL%              Klaviyo       {{ email }}
  Brevo             {{ contact.EMAIL }}  listmonk      {{ .Subscriber.Email }}
  Campaign Monitor  [email]              Mailchimp     *|EMAIL|*
  GetResponse       [[email]]            MailerLite    {$email}
  HubSpot           {{ contact.email }}  Salesforce MC %%emailaddr%%

Examples:
  $ signoff list links "Acme News"
  $ signoff list links offers --merge-tag '*|EMAIL|*'`,
    )
    .action((text: string, options: { mergeTag: string; json?: true }) =>
      withSession(async (session) => {
        const found = await reading(session, (db) => chosenList(db, text));
        const baseUrl = baseUrlOf(session.config);
        const links = linksOf(baseUrl, found, options.mergeTag);
        const pasted = { ...snippetsOf(links), ...signedSnippetsOf(baseUrl, found) };
        if (options.json) printJson({ ...addressesOf(links), merge_tag: options.mergeTag, ...pasted });
        else print(linksText(found, links, pasted));
      }),
    );
}

/** What every link that is given out begins with. */
export function baseUrlOf({ baseUrl, port }: Config): string {
  if (baseUrl !== null) return baseUrl;
  if (port === 0) throw new Refused('no-base-url', 'BASE_URL is needed for links where PORT is 0.');
  return `http://localhost:${port}`;
}

function addressesOf({ page, directLink, pixel, notify, download, scrub }: ListLinks) {
  return { page, direct_link: directLink, pixel, notify, download, scrub };
}

function snippetsOf({ page, directLink, pixel, notify, download, scrub }: ListLinks) {
  return {
    footer_html: `<a href="${page}">Unsubscribe</a>`,
    direct_link_html: `<a href="${directLink}">Unsubscribe</a>`,
    pixel_html: `<img src="${pixel}" width="1" height="1" alt="">`,
    list_unsubscribe: `List-Unsubscribe: <${directLink}>`,
    list_unsubscribe_post: 'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    notify_curl: `curl --data-urlencode email=ann@example.com '${notify}'`,
    download_curl: `curl -H 'Authorization: Bearer ${keyPlace}' '${download}'`,
    download_with_key: `${download}?key=${keyPlace}`,
    scrub_curl: `curl -H 'Authorization: Bearer ${keyPlace}' -F file=@FILE -o CLEAN_FILE '${scrub}?return=white'`,
  };
}

/** A token is one recipient's: what is printed here is where it goes, and how to get them. */
function signedSnippetsOf(baseUrl: string, { publicId }: List) {
  return {
    signed_link: `${baseUrl}/o/TOKEN`,
    signed_links_mint: `signoff links mint FILE --list ${publicId} --output FILE`,
    signed_headers: `signoff links headers --list ${publicId} ADDRESS`,
  };
}

type Pasted = ReturnType<typeof snippetsOf> & ReturnType<typeof signedSnippetsOf>;

function linksText({ signedLinksOnly }: List, links: ListLinks, pasted: Pasted): string {
  const only = signedLinksOnly
    ? '\n  This list takes direct links, one-click and the pixel by signed links alone: those above are refused.'
    : '';
  return `The hosted page, for the foot of every mail
  ${links.page}
  ${pasted.footer_html}

The direct link: the recipient need not type the address
  ${links.directLink}
  ${pasted.direct_link_html}

One-click, for the headers of every mail (RFC 8058; the mail's DKIM signature has to cover both)
  ${pasted.list_unsubscribe}
  ${pasted.list_unsubscribe_post}

The pixel, for a thank-you page of your own, never for a mail
  ${links.pixel}
  ${pasted.pixel_html}

Server to server, from the IP whitelist or with an access key
  ${links.notify}
  ${pasted.notify_curl}

Signed links, instead of the direct link, in headers and for the pixel: no address stands in them, and nobody
can make one for somebody else. A link for each line of a file, and the headers for one address:${only}
  ${pasted.signed_link}
  ${pasted.signed_links_mint}
  ${pasted.signed_headers}

The download, for a mailer that the list is granted to (signoff mailer --help)
  ${links.download}
  ${pasted.download_curl}
  ${pasted.download_with_key}

The scrub, for the same mailers: a file of theirs, without whom the list suppresses (return=black: those alone)
  ${links.scrub}
  ${pasted.scrub_curl}`;
}

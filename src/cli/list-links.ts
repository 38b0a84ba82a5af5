import type { Command } from 'commander';
import type { Config } from '../config.js';
import { linksOf, type ListLinks } from '../core/links.js';
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
        'for one-click, the pixel, server to server, and the download. They begin with BASE_URL, or, where that ' +
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
        const links = linksOf(baseUrlOf(session.config), found, options.mergeTag);
        const pasted = snippetsOf(links);
        if (options.json) printJson({ ...addressesOf(links), merge_tag: options.mergeTag, ...pasted });
        else print(linksText(links, pasted));
      }),
    );
}

function baseUrlOf({ baseUrl, port }: Config): string {
  if (baseUrl !== null) return baseUrl;
  if (port === 0) throw new Refused('no-base-url', 'BASE_URL is needed for links where PORT is 0.');
  return `http://localhost:${port}`;
}

function addressesOf({ page, directLink, pixel, notify, download }: ListLinks) {
  return { page, direct_link: directLink, pixel, notify, download };
}

function snippetsOf({ page, directLink, pixel, notify, download }: ListLinks) {
  return {
    footer_html: `<a href="${page}">Unsubscribe</a>`,
    direct_link_html: `<a href="${directLink}">Unsubscribe</a>`,
    pixel_html: `<img src="${pixel}" width="1" height="1" alt="">`,
    list_unsubscribe: `List-Unsubscribe: <${directLink}>`,
    list_unsubscribe_post: 'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    notify_curl: `curl --data-urlencode email=ann@example.com '${notify}'`,
    download_curl: `curl -H 'Authorization: Bearer ${keyPlace}' '${download}'`,
    download_with_key: `${download}?key=${keyPlace}`,
  };
}

function linksText(links: ListLinks, pasted: ReturnType<typeof snippetsOf>): string {
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

The download, for a mailer that the list is granted to (signoff mailer --help)
  ${links.download}
  ${pasted.download_curl}
  ${pasted.download_with_key}`;
}

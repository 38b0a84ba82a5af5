import { linksOf } from '../core/links.js';
import type { List } from '../core/lists.js';
import type { MailProgram } from './mail-programs.js';

/** What stands for an access key: only its holder knows it. */
const keyPlace = 'ACCESS_KEY';
const withKey = `-H 'Authorization: Bearer ${keyPlace}'`;

/** Everything of a list that is there to be copied, by what it is called in the view. */
export function snippetsOf(
  baseUrl: string,
  list: List,
  { program, signedLink, linkText }: { program: MailProgram; signedLink: string; linkText: string },
) {
  const { page, notify, download, scrub } = linksOf(baseUrl, list);
  const { directLink } = linksOf(baseUrl, list, program.emailTag);
  const anchor = (href: string) => `<a href="${href}">${linkText}</a>`;
  // A thank-you page is the mailer's own: no mail program fills it in.
  const pixel = list.signedLinksOnly ? '{{link}}/pixel.gif' : linksOf(baseUrl, list).pixel;
  return {
    ...{ page, footer: anchor(page) },
    ...{ directLink, directFooter: anchor(directLink) },
    signedFooter: anchor(program.linkTag),
    mint: `signoff links mint subscribers.csv --list ${list.publicId} --output with-links.csv`,
    headers: headersOf(program.linkTag),
    headersExample: headersOf(signedLink),
    pixel: `<img src="${pixel}" width="1" height="1" alt="">`,
    notifyWithKey: `curl ${withKey} --data-urlencode email=ann@example.com '${notify}'`,
    notify: `curl --data-urlencode email=ann@example.com '${notify}'`,
    notifySeveral: `curl ${withKey} -H 'Content-Type: application/json' --data '["ann@example.com", "bob@example.com"]' '${notify}'`,
    download: `curl -f ${withKey} -o suppressed.txt '${download}'`,
    downloadUrls: [
      `${download}?key=${keyPlace}`,
      `${download}?key=${keyPlace}&format=sha256`,
      `${download}?key=${keyPlace}&format=plain`,
      `${download}?key=${keyPlace}&as=csv`,
    ].join('\n'),
    delta: `curl -f ${withKey} -D headers.txt -o changes.txt '${download}?cursor=CURSOR'`,
    scrub: `curl -f ${withKey} -F file=@recipients.csv -o clean.csv '${scrub}?return=white'`,
  };
}

/** RFC 2369 and RFC 8058. */
function headersOf(link: string): string {
  return `List-Unsubscribe: <${link}>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click`;
}

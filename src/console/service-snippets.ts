import { linksOf } from '../core/links.js';
import type { List } from '../core/lists.js';
import { EVERYTHING } from '../core/opt-outs.js';
import type { MailProgram } from './mail-programs.js';

/** What stands for an access key: only its holder knows it. */
const keyPlace = 'ACCESS_KEY';
const withKey = `-H 'Authorization: Bearer ${keyPlace}'`;

/** What the snippets are written for. */
export interface Choice {
  readonly program: MailProgram;
  readonly signedLink: string;
  readonly linkText: string;
  /** Which part of the mail they are about, or `EVERYTHING`. */
  readonly tag: string;
  /** Whether plain addresses may be downloaded. */
  readonly hasPlain: boolean;
}

/** Everything of a list that is there to be copied, by what it is called in the view. */
export function snippetsOf(
  baseUrl: string,
  list: List,
  { program, signedLink, linkText, tag, hasPlain }: Choice,
) {
  const urls = linksOf(baseUrl, list);
  const page = withTag(urls.page, tag);
  const notify = withTag(urls.notify, tag);
  const download = withTag(urls.download, tag);
  const directLink = withTag(linksOf(baseUrl, list, program.emailTag).directLink, tag);
  const anchor = (href: string) => `<a href="${href.replaceAll('&', '&amp;')}">${linkText}</a>`;
  // A thank-you page is the mailer's own: no mail program fills it in. A signed link holds its tag.
  const pixel = list.signedLinksOnly ? '{{link}}/pixel.gif' : withTag(urls.pixel, tag);
  const asked = (...query: string[]) => withTag(`${urls.download}?${query.join('&')}`, tag);
  return {
    ...{ page, footer: anchor(page) },
    ...{ directLink, directFooter: anchor(directLink) },
    signedFooter: anchor(program.linkTag),
    headers: headersOf(program.linkTag),
    headersExample: headersOf(signedLink),
    pixel: `<img src="${pixel.replaceAll('&', '&amp;')}" width="1" height="1" alt="">`,
    notifyWithKey: `curl ${withKey} --data-urlencode email=ann@example.com '${notify}'`,
    notify: `curl --data-urlencode email=ann@example.com '${notify}'`,
    notifySeveral: `curl ${withKey} -H 'Content-Type: application/json' --data '["ann@example.com", "bob@example.com"]' '${notify}'`,
    download: `curl -f ${withKey} -o suppressed.txt '${download}'`,
    downloadUrls: [
      asked(`key=${keyPlace}`),
      asked(`key=${keyPlace}`, 'format=sha256'),
      ...(hasPlain ? [asked(`key=${keyPlace}`, 'format=plain')] : []),
      asked(`key=${keyPlace}`, 'as=csv'),
    ].join('\n'),
    delta: `curl -f ${withKey} -D headers.txt -o changes.txt '${asked('cursor=CURSOR')}'`,
    scrub: `curl -f ${withKey} -F file=@recipients.csv -o clean.csv '${withTag(`${urls.scrub}?return=white`, tag)}'`,
  };
}

/** A URL that is about one tag of the list: in a snippet for a shell as well, so without quotes. */
export function withTag(url: string, tag: string): string {
  if (tag === EVERYTHING) return url;
  const value = encodeURIComponent(tag).replaceAll("'", '%27');
  return `${url}${url.includes('?') ? '&' : '?'}tag=${value}`;
}

/** RFC 2369 and RFC 8058. */
function headersOf(link: string): string {
  return `List-Unsubscribe: <${link}>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click`;
}

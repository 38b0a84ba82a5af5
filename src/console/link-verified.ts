import { isInstant, needsSigned, readLink, type ReadLink } from '../core/link-read.js';
import { Invalid, Refused } from '../errors.js';
import { linksPage } from './links.js';
import type { ListVisit, Screen } from './screen.js';

/** Whose link it is, and whether it opens. By POST: the answer shows an address, and so may the link. */
export const verifiedLink: Screen<ListVisit> = {
  show: (visit) => linksPage(visit),
  async act(visit) {
    const verified = shownOf(await linkOfList(visit), visit.deps.baseUrl);
    return linksPage(visit, { verified });
  },
};

/** Longer than any link that a mail could hold. */
const longestLink = 4096;

/** @throws Invalid for the field `link`. Of links of other lists no more is told than of those that are nobody's. */
async function linkOfList({ deps, list, form }: ListVisit): Promise<ReadLink> {
  const text = form?.get('link')?.trim() ?? '';
  if (text === '') throw new Invalid('link', 'missing', 'link must not be empty');
  if (text.length > longestLink) throw new Invalid('link', 'too-long', 'link is too long');
  const link = await readLink(deps.db, deps.secret, text).catch((error: unknown) => {
    if (!(error instanceof Refused)) throw error;
    throw error.reason === 'no-url' ? new Invalid('link', 'malformed', error.message) : notOurs;
  });
  if (link.list.id !== list.id) throw notOurs;
  return link;
}

const notOurs = new Invalid('link', 'not-ours', 'link is none of this list, or was changed on its way');

function shownOf(link: ReadLink, baseUrl: string) {
  const { url, isSigned, address, tag, keyNumber, newestKey } = link;
  return {
    isSigned,
    isElsewhere: url.origin !== baseUrl,
    origin: url.origin,
    address: address.ok ? address.normalised : null,
    tag: tag.isKnown ? tag.text : null,
    ...{ keyNumber, isNewestKey: keyNumber === newestKey },
    opens: opensAs(link),
  };
}

/** What one who opens it gets: a key of `links.opens`. */
function opensAs(link: ReadLink): string {
  if (link.door !== null) return 'door';
  if (!link.address.ok || needsSigned(link)) return 'form';
  return isInstant(link) ? 'instant' : 'confirm';
}

import { STATUS_CODES } from 'node:http';
import { md5Of, parseAddress, type Address } from '../core/address.js';
import { fileTypes } from '../core/entry-lines.js';
import { formats } from '../core/entry-texts.js';
import { isWhitelisted } from '../core/ip-whitelist.js';
import { namesOfList } from '../core/list-names.js';
import { linksOf } from '../core/links.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { findTest, takeBackTest } from '../core/test-opt-outs.js';
import { ownMailer } from '../core/user-rights.js';
import { Invalid } from '../errors.js';
import { whitelistAddressOf } from '../http/client-address-of.js';
import { surfaces } from '../surfaces.js';
import { mailProgramOf, mailPrograms, ownProgram } from './mail-programs.js';
import { idOfOptOut } from './opt-out-search.js';
import { view, type ListVisit, type PageAnswer, type Screen } from './screen.js';
import { snippetsOf, withTag } from './service-snippets.js';
import {
  chosenTag,
  notAnAddress,
  signedLinkOf,
  testAddress,
  tries,
  tryDoor,
  type Tried,
} from './service-tries.js';

const page = view('console/service.ejs');

/** Every link and snippet of a list, ready to be copied, and a button with each that tries it. */
export const service: Screen<ListVisit> = {
  show: (visit) => servicePage(visit),
};

/** What the buttons of that page do. Its answers are for once: they stand on the page, and nowhere else. */
export const serviceTry: Screen<ListVisit> = {
  show: (visit) => servicePage(visit),
  async act(visit) {
    const { deps, list, form, actor } = visit;
    const what = form?.get('what') ?? '';
    if (what === 'address') {
      testAddress(form);
      return servicePage(visit);
    }
    if (what === 'take-back') {
      const tag = chosenTag(visit);
      const { mailerId } = visit.user;
      const options = { tag, actor, mailerId, retryMs: deps.config.databaseTimeoutMs };
      const isGone = await takeBackTest(deps.db, list, testAddress(form), options);
      const redirect = withTag(`/console/lists/${list.publicId}/service`, tag);
      return { redirect, done: isGone ? 'test-taken-back' : 'test-stays' };
    }
    const known = tries.find((one) => one === what);
    if (known === undefined) throw new Invalid('what', 'unknown', 'There is no such door to try.');
    return servicePage(visit, await tryDoor(visit, known));
  },
};

async function servicePage(visit: ListVisit, tried: Tried | null = null): Promise<PageAnswer> {
  const { deps, t, list, user, query, form } = visit;
  const { baseUrl, db } = deps;
  const mailer = await ownMailer(db, user);
  const program = mailProgramOf(form?.get('program') ?? query.get('program'));
  const tag = chosenTag(visit);
  const hasPlain = mailer === null || mailer.plainAllowed;
  const address = addressOnPage(visit);
  // Whoever has one can leave for that address: of others than one's own, they are for owners to make.
  const signedAddress = mailer === null ? address : ownAddress(visit);
  const signedLink = await signedLinkOf(visit, signedAddress);
  const { ip } = whitelistAddressOf(deps, visit.req);
  const isListed = isWhitelisted(list.ipWhitelist, ip);
  const hasWhitelist = list.ipWhitelist.length > 0;
  return page(t('service.title'), {
    base: `/console/lists/${list.publicId}`,
    links: linksOf(baseUrl, list),
    snippets: snippetsOf(baseUrl, list, {
      program,
      signedLink,
      linkText: t('service.unsubscribe'),
      ...{ tag, hasPlain },
    }),
    program,
    programs: [ownProgram, ...mailPrograms].map(({ id, name }) => [id, name || t('service.ownProgram')]),
    tag: tag === EVERYTHING ? null : tag,
    tags: [...list.tags].sort((a, b) => a.localeCompare(b)).map((known) => [known, known]),
    hasPlain,
    address: address.normalised,
    testedAt: tried?.optOut?.isNew === true ? null : await findTest(db, list, address, tag),
    ...{ signedAddress: signedAddress.normalised, signedLink },
    directLink: withTag(
      `${linksOf(baseUrl, list).page}?email=${encodeURIComponent(address.normalised)}`,
      tag,
    ),
    isShut: list.archivedAt !== null || list.state === 'closed',
    isHttps: baseUrl.startsWith('https:'),
    whitelist: {
      ip,
      hasWhitelist,
      isListed,
      // A mailer's own one counts for downloads as well.
      opensDownloads:
        ip !== null &&
        (isListed || list.downloadsFromAnyAddress || isWhitelisted(mailer?.ipWhitelist ?? [], ip)),
      hasAny: hasWhitelist || list.downloadsFromAnyAddress || (mailer?.ipWhitelist.length ?? 0) > 0,
    },
    downloadFormats: formats
      .filter((format) => format !== 'plain' || hasPlain)
      .map((format) => [format, t(`service.format.${format}`)]),
    fileTypes: fileTypes.map((type) => [type, t(`service.fileType.${type}`)]),
    mailer,
    notAnAddress,
    names: mailer === null ? await namesIn(visit) : [],
    tried: tried === null ? null : shownOf(tried),
    optOutId: idOfOptOut({ address_key: md5Of(address.normalised), tag: Buffer.from(tag) }),
  });
}

/** The test address: the user's own, until another one is typed. */
function addressOnPage(visit: ListVisit): Address {
  const typed = parseAddress(visit.form?.get('email') ?? '', { typed: true });
  return typed.ok ? typed.address : ownAddress(visit);
}

function ownAddress({ user }: ListVisit): Address {
  const own = parseAddress(user.email);
  if (!own.ok) throw new Error(`user ${user.id} has no usable address`);
  return own.address;
}

/** What the APIs call this list. */
async function namesIn({ deps, list }: ListVisit): Promise<{ title: string; noun: string; name: string }[]> {
  const names = await namesOfList(deps.db, list);
  return names.flatMap(({ surface, name }) => {
    const known = surfaces.find((one) => one.name === surface);
    return known === undefined ? [] : [{ title: known.title, noun: known.listNoun ?? '', name }];
  });
}

/** An answer as curl would print it. */
function shownOf({ what, address, answer, optOut }: Tried) {
  const { status, headers, body } = answer;
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`);
  return {
    what,
    address: address.normalised,
    optOut,
    isGood: status < 300,
    answer: [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...head, '', ''].join('\n'),
    body: Buffer.isBuffer(body) ? null : body,
    octets: Buffer.byteLength(body),
    section: what === 'notify-several' ? 'notify' : what,
  };
}

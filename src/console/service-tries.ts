import { setImmediate as everyoneElse } from 'node:timers/promises';
import { md5Of, parseAddress, type Address } from '../core/address.js';
import { readEntries } from '../core/entries.js';
import { fileTypes, headOf, lineOf, type FileType } from '../core/entry-lines.js';
import { formats, textsOf, type Format } from '../core/entry-texts.js';
import { cursorText, getFeed } from '../core/feed.js';
import { listsThatCount } from '../core/global-list.js';
import { noteChange } from '../core/history.js';
import { checkDownloads, checkFormat, checkPixel, checkSigned } from '../core/list-doors.js';
import { refuseWhileRestoring } from '../core/removals-under-way.js';
import { scrub, type Scrubbed } from '../core/scrub.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { countTry } from '../core/sign-in-limit.js';
import { mintToken, newestLinkKey } from '../core/signed-links.js';
import { recordTest, type TestOptOut } from '../core/test-opt-outs.js';
import { ownMailer } from '../core/user-rights.js';
import { DomainError, Invalid, NotFound } from '../errors.js';
import {
  downloadHeaders,
  notifiedAnswer,
  oneClickAnswer,
  pixelAnswer,
  refusalOf,
  scrubHeaders,
  type DoorAnswer,
} from '../http/door-answers.js';
import { problemDocumentOf, problemOf } from '../http/errors.js';
import type { ListVisit } from './screen.js';

/** The doors that can be tried from the console; the pages are simply opened. */
export const tries = ['one-click', 'pixel', 'notify', 'notify-several', 'download', 'scrub'] as const;
export type Try = (typeof tries)[number];

export interface Tried {
  readonly what: Try;
  readonly address: Address;
  readonly answer: DoorAnswer;
  /** What the database says of it afterwards; null where the door recorded nothing. */
  readonly optOut: TestOptOut | null;
}

/** Lines of a download that are shown, and slices of the list that are looked at for them. */
const firstLines = 5;
const mostSlices = 50;

/**
 * Does what a list's door does when a mailer comes to it, by the rights of the session in place of key and whitelist,
 * and gives the answer that the mailer would get. Opt-outs are tests (core/test-opt-outs.ts).
 *
 * @throws Invalid for the field `email`.
 * @throws TooMany
 */
export async function tryDoor(visit: ListVisit, what: Try): Promise<Tried> {
  const { deps, list, actor, form, ip } = visit;
  const address = testAddress(form);
  await countTry(deps.db, 'test', actor, ip);
  await noteChange(deps.db, {
    ...{ accountId: list.accountId, listId: list.id, actor, action: 'list.tried', details: { what } },
    subject: what === 'download' ? null : md5Of(address.normalised),
  });
  try {
    const { answer, optOut = null } = await doors[what](visit, address);
    return { what, address, answer, optOut };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const { status, headers, document } = problemDocumentOf(problemOf(deps, error));
    return {
      what,
      address,
      answer: { status, headers, body: `${JSON.stringify(document)}\n` },
      optOut: null,
    };
  }
}

/** @throws Invalid */
export function testAddress(form: URLSearchParams | null): Address {
  const result = parseAddress(form?.get('email') ?? '', { typed: true });
  if (result.ok) return result.address;
  const problem = result.problem === 'missing' ? 'missing' : 'malformed';
  throw new Invalid('email', problem, 'email is not an e-mail address');
}

/** The tag that is chosen on the page; one that the list does not know is all of its mail, as at the doors. */
export function chosenTag({ list, form, query }: ListVisit): string {
  const text = form?.get('tag') ?? query.get('tag') ?? '';
  return list.tags.has(text) ? text : EVERYTHING;
}

/** The signed link of an address, for the chosen tag, whose first key is made here where the list has none yet. */
export async function signedLinkOf(visit: ListVisit, { normalised }: Address): Promise<string> {
  const { deps, list } = visit;
  const key = await newestLinkKey(deps.db, deps.secret, list);
  return `${deps.baseUrl}/o/${mintToken(key, normalised, chosenTag(visit))}`;
}

type Door = (visit: ListVisit, address: Address) => Promise<{ answer: DoorAnswer; optOut?: TestOptOut }>;

const doors: Record<Try, Door> = {
  /** By a signed link, as it stands in the header: what comes out of it is recorded. */
  'one-click': async (visit, address) => {
    const opened = await openSigned(visit, address);
    return { optOut: await record(visit, opened), answer: oneClickAnswer };
  },
  pixel: async (visit, address) => {
    const { list } = visit;
    const isSigned = list.signedLinksOnly;
    checkSigned({ list, isSigned });
    checkPixel(list);
    const opened = isSigned ? await openSigned(visit, address) : address;
    return { optOut: await record(visit, opened), answer: pixelAnswer };
  },
  notify: async (visit, address) => ({
    optOut: await record(visit, address),
    answer: notifiedAnswer(1, []),
  }),
  /** With an element that is no address, to see what is said of it. */
  'notify-several': async (visit, address) => ({
    optOut: await record(visit, address),
    answer: notifiedAnswer(1, [refusalOf(2, notAnAddress, 'no-at')]),
  }),
  download: async (visit) => ({ answer: await beginningOf(visit) }),
  scrub: async (visit, address) => ({ answer: await scrubbed(visit, address) }),
};

export const notAnAddress = 'not an address';

async function record(visit: ListVisit, address: Address): Promise<TestOptOut> {
  const { deps, list, actor, user } = visit;
  const options = {
    tag: chosenTag(visit),
    actor,
    retryMs: deps.config.databaseTimeoutMs,
    mailerId: user.mailerId,
  };
  return recordTest(deps.db, deps.recorder, list, address, options);
}

/** What a signed link of the address opens to. */
async function openSigned(visit: ListVisit, address: Address): Promise<Address> {
  const link = await signedLinkOf(visit, address);
  const opened = await visit.deps.openLink(link.slice(link.lastIndexOf('/') + 1));
  const parsed = parseAddress(opened?.address ?? '', { typed: true });
  const isTagged = opened?.tag === chosenTag(visit);
  if (opened?.publicId !== visit.list.publicId || !isTagged || !parsed.ok)
    throw new NotFound('There is no such list.');
  return parsed.address;
}

/** The first lines of the whole list, in the format that the form chooses. */
async function beginningOf(visit: ListVisit): Promise<DoorAnswer> {
  const { deps, list, user, form } = visit;
  checkDownloads(list);
  const format = oneOf('format', form, formats);
  const fileType = oneOf('as', form, fileTypes);
  const mailer = await ownMailer(deps.db, user);
  if (mailer !== null) checkFormat(mailer, format);
  const feed = await getFeed(deps.db);
  const listIds = await listsThatCount(deps.db, list.id);
  await refuseWhileRestoring(deps.db, listIds);
  return {
    status: 200,
    headers: {
      ...downloadHeaders(list, { format, fileType, isGzipFile: false }),
      'Signoff-Cursor': cursorText(feed),
    },
    body: await firstLinesOf(visit, listIds, format, fileType),
  };
}

async function firstLinesOf(
  visit: ListVisit,
  listIds: readonly number[],
  format: Format,
  fileType: FileType,
): Promise<string> {
  const lines: string[] = [];
  let slices = 0;
  const options = { tag: countedTag(visit), at: Date.now() };
  for await (const entries of readEntries(visit.deps.db, listIds, options)) {
    lines.push(...entries.flatMap((entry) => textsOf(entry, format)));
    // A format may be one that expresses next to nothing of a list.
    if (lines.length >= firstLines || ++slices >= mostSlices) break;
    await everyoneElse();
  }
  const shown = lines.slice(0, firstLines).map((line) => lineOf(line, fileType, null));
  return headOf(fileType, format, false) + shown.join('');
}

/** The white list of a file that holds the test address alone. */
async function scrubbed(visit: ListVisit, address: Address): Promise<DoorAnswer> {
  const { deps, list } = visit;
  checkDownloads(list);
  const found: Scrubbed = { items: 0, suppressed: 0, refused: 0, refusedLines: [] };
  const file = oneChunk(Buffer.from(`${address.normalised}\n`));
  let body = '';
  for await (const part of scrub(deps.db, list.id, file, { returns: 'white', tag: countedTag(visit) }, found))
    body += part.toString();
  return { status: 200, headers: scrubHeaders(list, 'white', found), body };
}

/** As reading a list has it: undefined where all that is left counts, whatever its tag. */
function countedTag(visit: ListVisit): string | undefined {
  const tag = chosenTag(visit);
  return tag === EVERYTHING ? undefined : tag;
}

async function* oneChunk(octets: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(octets);
}

function oneOf<T extends string>(name: string, form: URLSearchParams | null, known: readonly T[]): T {
  const value = form?.get(name) ?? known[0];
  const found = known.find((one) => one === value);
  if (found === undefined) throw new Invalid(name, 'unknown', `${name} must be ${known.join(' or ')}`);
  return found;
}

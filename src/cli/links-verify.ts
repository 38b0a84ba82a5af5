import { Option, type Command } from 'commander';
import { readLink, type ReadLink } from '../core/link-read.js';
import { Refused } from '../errors.js';
import { explain, kinds, type Kind, type Outcome } from './links-explained.js';
import { knownSecret } from './links-session.js';
import { tryLink, type Answer } from './links-tried.js';
import { baseUrlOf } from './list-links.js';
import { facts, print, printJson, yesOrNo } from './output.js';
import { reading, withSession } from './session.js';

interface VerifyOptions {
  readonly as?: Kind;
  readonly try?: true;
  readonly record?: true;
  readonly showAddress?: true;
  readonly json?: true;
}

export function addVerifyCommand(links: Command): void {
  links
    .command('verify')
    .summary('tell what a link would do')
    .description(
      'Tells what a link would do, signed or not: for which list, address and tag, and what a scanner, a ' +
        'browser and a mail client would get, as the list is set now. Sends nothing. With --try it opens the link ' +
        'as a scanner and a browser do, in ways that record nothing, and shows what came back; with --as mail-client ' +
        'and --record, as a mail client does, which records the opt-out.',
    )
    .argument('<url>', 'the link')
    .addOption(new Option('--as <who>', 'tell of this one alone').choices(kinds))
    .option('--try', 'open it as well (the link has to begin with BASE_URL); records nothing')
    .option('--record', 'with --try --as mail-client: send its one-click POST, which records the opt-out')
    .option('--show-address', 'print the address in full')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff links verify https://out.example.com/o/AQAAAAEAAV…
  $ signoff links verify "https://out.example.com/l/…?email=ann@example.com" --as browser
  $ signoff links verify https://out.example.com/o/AQAAAAEAAV… --try
  $ signoff links verify https://out.example.com/o/AQAAAAEAAV… --try --as mail-client --record`,
    )
    .action((text: string, options: VerifyOptions, command: Command) => {
      if (options.record && (!options.try || options.as !== 'mail-client')) {
        command.error('error: --record goes with --try --as mail-client');
      }
      return withSession(async (session) => {
        const baseUrl = baseUrlOf(session.config);
        const secret = await knownSecret(session);
        const link = await reading(session, (db) => readLink(db, secret, text));
        if (options.try) checkTryable(link, baseUrl, options);
        const outcomes = explain(link).filter(({ as }) => options.as === undefined || as === options.as);
        const tried = options.try
          ? await tryLink(link.url, options.as ?? null, options.record ?? false)
          : null;
        const curl = curlOf(link);
        if (options.json) return printJson(jsonOf(link, outcomes, tried, curl, options));
        print(factsOf(link, baseUrl, options));
        for (const { as, request, gets } of outcomes) print(`\nA ${as} (${request})\n  ${gets}`);
        if (tried !== null) print(`\n${options.record ? recordedText(link, tried) : triedText(tried)}`);
        if (!options.record && (options.as === undefined || options.as === 'mail-client')) {
          print(`\nTo do as a mail client does, which records the opt-out:\n  ${curl}`);
        }
      });
    });
}

/** Nothing is sent to strangers, and nothing that records without being told to. */
function checkTryable({ url, door }: ReadLink, baseUrl: string, { as, record }: VerifyOptions): void {
  if (url.origin !== baseUrl) {
    throw new Refused(
      'foreign-origin',
      `It was not tried: it begins with ${url.origin}, and BASE_URL is ${baseUrl}.`,
    );
  }
  if (door !== null) {
    throw new Refused(
      'records',
      `It was not tried: to open …/${door} is to record. Try the link without it.`,
    );
  }
  if (as === 'mail-client' && !record) {
    throw new Refused(
      'records',
      'It was not tried: what a mail client sends would record an opt-out. Add --record to do so.',
    );
  }
}

function curlOf({ url }: ReadLink): string {
  return `curl -d List-Unsubscribe=One-Click '${url.href.replaceAll("'", '%27')}'`;
}

/** Enough to tell two people apart, and too little to write to one. */
export function masked(address: string): string {
  const at = address.lastIndexOf('@');
  return `${[...address][0] ?? ''}…${address.slice(at)}`;
}

function addressOf({ address }: ReadLink, { showAddress }: VerifyOptions): string | null {
  if (!address.ok) return null;
  return showAddress ? address.normalised : masked(address.normalised);
}

function factsOf(link: ReadLink, baseUrl: string, options: VerifyOptions): string {
  const { list, url, isSigned, keyNumber, newestKey, tag, address } = link;
  const key = keyNumber === newestKey ? `${keyNumber}, the newest` : `${keyNumber}, of ${newestKey}`;
  const state = list.archivedAt === null ? list.state : 'archived';
  return facts([
    ['Link', isSigned ? 'signed, and ours' : 'not signed: anybody can make one for any address'],
    ...(url.origin === baseUrl
      ? []
      : [['Begins with', `${url.origin}, where BASE_URL is ${baseUrl}`] as const]),
    ['List', `${list.name} (${list.publicId})`],
    ['Address', addressOf(link, options) ?? `(none: ${address.ok ? '' : address.reason})`],
    ['Tag', tag.isKnown ? (tag.text ?? '(all mail)') : `${tag.text} (not known to the list: all mail)`],
    ...(isSigned ? [['Key', key] as const] : []),
    ['State', state === 'open' ? 'open' : `${state} (the opt-out goes on working)`],
    ['Direct link', list.directLink],
    ['Pixel', list.pixel ? 'on' : 'off'],
    ['Signed links only', yesOrNo(list.signedLinksOnly)],
    ['Redirect', list.redirect?.text ?? '(none: the thank-you page)'],
  ]);
}

function triedText(answers: readonly Answer[]): string {
  const lines = answers.map(({ as, method, got }) => [`  ${method} as a ${as}`, got] as const);
  return `Tried now, each with Sec-Purpose: prefetch, so that nothing was recorded\n${facts(lines)}`;
}

/** A one-click that is answered with 200 is recorded, and with anything else it is not. */
function recordedText({ list, tag }: ReadLink, answers: readonly Answer[]): string {
  const [answer] = answers;
  const got = `Sent now, a POST as a mail-client: ${answer?.got}`;
  if (answer?.status === null) return `${got}\nWhether the opt-out was recorded is unknown.`;
  if (answer?.status !== 200) return `${got}\nNothing was recorded.`;
  const ofTag = tag.isKnown && tag.text !== null ? ` --tag '${tag.text.replaceAll("'", "'\\''")}'` : '';
  return `${got}\nThe opt-out was recorded. To take it back:\n  signoff opt-out remove ${list.publicId} ADDRESS${ofTag}`;
}

function jsonOf(
  link: ReadLink,
  outcomes: readonly Outcome[],
  tried: readonly Answer[] | null,
  curl: string,
  options: VerifyOptions,
): Record<string, unknown> {
  const { list, isSigned, keyNumber, newestKey, tag } = link;
  return {
    list: list.publicId,
    name: list.name,
    signed: isSigned,
    key: keyNumber,
    newest_key: newestKey,
    address: addressOf(link, options),
    tag: tag.isKnown ? (tag.text ?? '*') : '*',
    settings: {
      state: list.state,
      archived: list.archivedAt !== null,
      direct_link: list.directLink,
      pixel: list.pixel,
      signed_links_only: list.signedLinksOnly,
      redirect: list.redirect?.text ?? null,
    },
    outcomes,
    one_click_curl: curl,
    tried,
  };
}

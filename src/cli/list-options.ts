import { readFileSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Confirmations, ListSettings } from '../core/list-settings.js';

/** A list's settings as options; what is not given stays as it is. */
export interface ListOptions {
  readonly internalName?: string;
  readonly name?: string;
  readonly state?: string;
  readonly directLink?: string;
  readonly pixel?: 'on' | 'off';
  readonly signedLinksOnly?: 'yes' | 'no';
  readonly cap?: number | 'off';
  readonly thankYou?: Readonly<Record<string, string>>;
  readonly redirect?: string;
  readonly ipWhitelist?: string;
  readonly confirmWide?: true;
  readonly confirmPrivate?: true;
  readonly downloadsFromAnyAddress?: 'yes' | 'no';
  readonly operatorName?: string;
  readonly postalAddress?: string;
  readonly contact?: string;
  readonly privacyUrl?: string;
  readonly language?: string;
  readonly tag?: readonly string[];
}

/** All settings but the name, which one command demands and the other does not. */
export function addListOptions(command: Command): Command {
  command
    .option('--internal-name <name>', 'the name for your own people (at first the same as --name)')
    .addOption(
      new Option('--state <state>', 'closed: no downloads; the opt-out page goes on working').choices([
        'open',
        'closed',
      ]),
    )
    .addOption(
      new Option(
        '--direct-link <way>',
        'what a link with an address does: ask for one click, or opt out as it is opened (mail scanners open links, too)',
      ).choices(['confirm', 'instant']),
    )
    .addOption(new Option('--pixel <switch>', 'whether the pixel records opt-outs').choices(['on', 'off']))
    .addOption(
      new Option(
        '--signed-links-only <y/n>',
        'yes: direct links, one-click and the pixel work by signed links alone (signoff links --help)',
      ).choices(['yes', 'no']),
    )
    .option(
      '--cap <number>',
      'how many entries the list holds, one a tag: beyond, the oldest leave as new ones come, and can be mailed again; off: as many as come',
      wholeNumberOrOff,
    )
    .option(
      '--thank-you <LANG=TEXT>',
      'Markdown for the thank-you page in one language: LANG=TEXT, LANG=@FILE, or LANG= for the built-in text; repeatable',
      thankYouText,
    )
    .option(
      '--redirect <url>',
      'where recipients go after an opt-out; may hold {email}, {list} and {status}; empty: the thank-you page',
    );
  return addWhitelistOptions(
    command,
    'networks that may notify by server and download, such as "203.0.113.7, 198.51.100.0/24"',
  )
    .addOption(
      new Option(
        '--downloads-from-any-address <y/n>',
        'yes: the access key alone lets a mailer download',
      ).choices(['yes', 'no']),
    )
    .option('--operator-name <name>', 'who runs the list, for the foot of its pages')
    .option('--postal-address <text>', 'the postal address there; \\n ends a line', (text: string) =>
      text.replaceAll('\\n', '\n'),
    )
    .option('--contact <text>', 'an address or telephone number there')
    .option('--privacy-url <url>', 'the privacy notice there')
    .option('--language <code>', 'the language of recipients whose own we do not have, such as en')
    .option(
      '--tag <tag>',
      'makes a tag known: a part of the mail that can be left by itself; repeatable',
      collected,
    );
}

/** Also for mailers, who may have networks of their own. */
export function addWhitelistOptions(command: Command, explanation: string): Command {
  return command
    .option('--ip-whitelist <networks>', explanation)
    .option('--confirm-wide', 'the whitelist may hold networks wider than /16 (IPv6: /32)')
    .option('--confirm-private', 'the whitelist may hold private addresses');
}

export function settingsOf(options: ListOptions): Partial<ListSettings> {
  const { internalName, name, state, directLink, pixel, thankYou, redirect, ipWhitelist } = options;
  const {
    signedLinksOnly,
    cap,
    downloadsFromAnyAddress,
    operatorName,
    postalAddress,
    contact,
    privacyUrl,
    language,
  } = options;
  const settings = {
    internalName,
    name,
    state,
    directLink,
    pixel: pixel === undefined ? undefined : pixel === 'on',
    signedLinksOnly: signedLinksOnly === undefined ? undefined : signedLinksOnly === 'yes',
    cap: cap === 'off' ? null : cap,
    thankYou,
    redirectTemplate: redirect,
    ipWhitelist,
    downloadsFromAnyAddress:
      downloadsFromAnyAddress === undefined ? undefined : downloadsFromAnyAddress === 'yes',
    operatorName,
    postalAddress,
    contact,
    privacyUrl,
    defaultLanguage: language,
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

export function confirmationsOf(options: { confirmWide?: true; confirmPrivate?: true }): Confirmations {
  return { confirmWide: options.confirmWide === true, confirmPrivate: options.confirmPrivate === true };
}

function wholeNumberOrOff(value: string): number | 'off' {
  if (value === 'off') return value;
  if (/^\d{1,12}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('It is a whole number, or off.');
}

function collected(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

function thankYouText(
  value: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const [, language, text] = /^([A-Za-z0-9-]{1,12})=([^]*)$/.exec(value) ?? [];
  if (language === undefined || text === undefined) {
    throw new InvalidArgumentError('It is LANG=TEXT or LANG=@FILE, such as en=@thank-you.md.');
  }
  return { ...before, [language]: text.startsWith('@') ? contentOf(text.slice(1)) : text };
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new InvalidArgumentError(`The file cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}

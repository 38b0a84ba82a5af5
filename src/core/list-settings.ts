import { Invalid } from '../errors.js';
import { largestCap, smallestCap } from './cap.js';
import { parseIpWhitelist } from './ip-whitelist.js';
import { isLanguage } from './languages.js';
import { parseRedirectTemplate } from './redirect-template.js';
import { checkText, checkWebUrl } from './text.js';
import { validateThankYou } from './thank-you.js';

/** What an owner sets on a list, as typed. */
export interface ListSettings {
  /** For the owner's own people. */
  internalName: string;
  /** What recipients know the list by. */
  name: string;
  /** `closed`: no downloads; the opt-out page goes on working. */
  state: string;
  directLink: string;
  pixel: boolean;
  /** Markdown by language code; an empty text takes the built-in one again. */
  thankYou: Readonly<Record<string, string>>;
  /** Where recipients go after an opt-out; empty: our thank-you page. */
  redirectTemplate: string;
  ipWhitelist: string;
  downloadsFromAnyAddress: boolean;
  operatorName: string;
  postalAddress: string;
  contact: string;
  privacyUrl: string;
  defaultLanguage: string;
  /** Direct links, one-click and pixel have to be signed. */
  signedLinksOnly: boolean;
  /** How many entries it holds, one a tag: beyond, the oldest leave. Null: as many as come. */
  cap: number | null;
}

/** What a whitelist may hold beyond the usual, said in so many words. */
export interface Confirmations {
  readonly confirmWide?: boolean;
  readonly confirmPrivate?: boolean;
}

const columnOf: Record<keyof ListSettings, string> = {
  internalName: 'internal_name',
  name: 'name',
  state: 'state',
  directLink: 'direct_link',
  pixel: 'pixel',
  thankYou: 'thank_you',
  redirectTemplate: 'redirect_template',
  ipWhitelist: 'ip_whitelist',
  downloadsFromAnyAddress: 'downloads_from_any_address',
  operatorName: 'operator_name',
  postalAddress: 'postal_address',
  contact: 'contact',
  privacyUrl: 'privacy_url',
  defaultLanguage: 'default_language',
  signedLinksOnly: 'signed_links_only',
  cap: 'cap',
};

/**
 * Checks settings, and turns them into the columns of `lists`. Settings that are not given are left out.
 *
 * @param standing the thank-you texts that the list has: given ones are laid over them.
 * @throws Invalid naming the setting, and what is wrong with it.
 */
export function columnsOf(
  settings: Partial<ListSettings>,
  confirmations: Confirmations = {},
  standing: Readonly<Record<string, string>> = {},
): Record<string, unknown> {
  const columns: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(settings) as [keyof ListSettings, unknown][]) {
    if (value !== undefined) columns[columnOf[key]] = checked(key, value, confirmations, standing);
  }
  return columns;
}

function checked(
  key: keyof ListSettings,
  value: unknown,
  confirmations: Confirmations,
  standing: Readonly<Record<string, string>>,
): unknown {
  const text = value as string;
  switch (key) {
    case 'internalName':
    case 'name':
      return checkText(key, text, { max: 200 });
    case 'operatorName':
      return checkText(key, text, { max: 200, optional: true });
    case 'postalAddress':
      return checkText(key, text, { max: 500, optional: true, lines: true });
    case 'contact':
      return checkText(key, text, { max: 500, optional: true });
    case 'privacyUrl':
      return checkWebUrl(key, text);
    case 'state':
      return oneOf(key, text, ['open', 'closed']);
    case 'directLink':
      return oneOf(key, text, ['confirm', 'instant']);
    case 'pixel':
    case 'signedLinksOnly':
    case 'downloadsFromAnyAddress':
      return value === true ? 1 : 0;
    case 'cap':
      return checkedCap(value as number | null);
    case 'defaultLanguage':
      if (!isLanguage(text))
        throw new Invalid(key, 'unknown', `There is no language ${JSON.stringify(text)}.`);
      return text;
    case 'redirectTemplate':
      return checkedRedirect(text);
    case 'ipWhitelist':
      return reprintedWhitelist(key, text, confirmations);
    case 'thankYou':
      return checkedThankYou(value as Record<string, string>, standing);
  }
}

function oneOf(field: string, value: string, allowed: readonly string[]): string {
  if (allowed.includes(value)) return value;
  throw new Invalid(field, 'unknown', `${field} must be ${allowed.join(' or ')}`);
}

function checkedCap(cap: number | null): number | null {
  if (cap === null || (Number.isInteger(cap) && cap >= smallestCap && cap <= largestCap)) return cap;
  const [from, to] = [smallestCap, largestCap].map((one) => one.toLocaleString('en-US'));
  throw new Invalid('cap', 'out-of-range', `cap must be a whole number from ${from} to ${to}, or off`);
}

function checkedRedirect(text: string): string | null {
  if (text.trim() === '') return null;
  const result = parseRedirectTemplate(text.trim());
  if (!result.ok) throw new Invalid('redirectTemplate', result.problem, result.message);
  return result.template.text;
}

/**
 * A whitelist as it was understood: canonical entries, one a line.
 *
 * @throws Invalid naming every entry that does not pass.
 */
export function reprintedWhitelist(field: string, text: string, confirmations: Confirmations): string {
  const result = parseIpWhitelist(text, confirmations);
  if (result.ok) return result.networks.map((network) => network.text).join('\n');
  const faults = result.problems.map(({ entry, position, problem, hint }) => {
    const what = position === 0 ? 'the whitelist' : `entry ${position}, ${JSON.stringify(entry)},`;
    return `${what} ${faultTexts[problem]}${hint === '' || hint === entry ? '' : ` Perhaps ${hint} was meant.`}`;
  });
  throw new Invalid(field, result.problems[0]?.problem ?? 'malformed', faults.join('\n'));
}

const faultTexts = {
  'not-an-address': 'is no IPv4 or IPv6 address or network.',
  'bad-prefix': 'has no usable prefix length.',
  'host-bits': 'is an address inside a network rather than a network.',
  'too-wide': 'would let in a large part of the internet: confirm that this is meant (--confirm-wide).',
  private: 'is not a public address: confirm that this is meant (--confirm-private).',
  'too-many': 'has more than 1,000 entries.',
  'too-long': 'is longer than 64 KB.',
} as const;

function checkedThankYou(texts: Record<string, string>, standing: Readonly<Record<string, string>>): string {
  const merged: Record<string, string> = { ...standing };
  for (const [language, text] of Object.entries(texts)) {
    if (!isLanguage(language)) {
      throw new Invalid('thankYou', 'unknown', `There is no language ${JSON.stringify(language)}.`);
    }
    if (text.trim() === '') {
      delete merged[language];
      continue;
    }
    const problem = validateThankYou(text);
    if (problem !== null) {
      throw new Invalid('thankYou', problem, `The thank-you text for ${language} does not pass: ${problem}.`);
    }
    merged[language] = text;
  }
  return JSON.stringify(merged);
}

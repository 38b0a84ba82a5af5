import { setImmediate as nextTurn } from 'node:timers/promises';
import { languages } from '../core/languages.js';
import { columnsOf, type Confirmations, type ListSettings } from '../core/list-settings.js';
import type { List } from '../core/lists.js';
import { Invalid } from '../errors.js';
import { formErrorOf } from './problems.js';
import type { AnyVisit } from './screen.js';

/** The settings of a list as its form has them. */
export function settingsOf(list: List): ListSettings {
  return {
    name: list.name,
    internalName: list.internalName,
    defaultLanguage: list.defaultLanguage,
    operatorName: list.operatorName,
    postalAddress: list.postalAddress,
    contact: list.contact,
    privacyUrl: list.privacyUrl,
    // The command line stores line ends as its files have them.
    thankYou: Object.fromEntries(
      Object.entries(list.thankYou).map(([code, text]) => [code, plain(text, false)]),
    ),
    redirectTemplate: list.redirect?.text ?? '',
    directLink: list.directLink,
    signedLinksOnly: list.signedLinksOnly,
    pixel: list.pixel,
    state: list.state,
    ipWhitelist: list.ipWhitelist.map(({ text }) => text).join('\n'),
    downloadsFromAnyAddress: list.downloadsFromAnyAddress,
    cap: list.cap,
  };
}

/** What was sent of them, as typed. A text that was not sent stays as it is; a box that was not, is not ticked. */
export function typedSettings(form: URLSearchParams, standing: ListSettings): ListSettings {
  const text = (key: keyof ListSettings) => plain(form.get(key) ?? (standing[key] as string));
  return {
    name: text('name'),
    internalName: text('internalName'),
    defaultLanguage: text('defaultLanguage'),
    operatorName: text('operatorName'),
    postalAddress: text('postalAddress'),
    contact: text('contact'),
    privacyUrl: text('privacyUrl'),
    thankYou: typedThankYou(form, standing),
    redirectTemplate: text('redirectTemplate'),
    directLink: text('directLink'),
    signedLinksOnly: form.has('signedLinksOnly'),
    pixel: form.has('pixel'),
    state: text('state'),
    ipWhitelist: text('ipWhitelist'),
    downloadsFromAnyAddress: form.has('downloadsFromAnyAddress'),
    cap: typedCap(form.get('cap'), standing.cap),
  };
}

/** Those that are other than they stand. Of the thank-you texts, those of the languages that are. */
export function changesOf(typed: ListSettings, standing: ListSettings): Partial<ListSettings> {
  const { thankYou, ...others } = typed;
  const changed = Object.entries(others).filter(
    ([key, value]) => value !== standing[key as keyof ListSettings],
  );
  const texts = Object.entries(thankYou).filter(([code, text]) => text !== (standing.thankYou[code] ?? ''));
  return {
    ...(Object.fromEntries(changed) as Partial<ListSettings>),
    ...(texts.length === 0 ? {} : { thankYou: Object.fromEntries(texts) }),
  };
}

/** What is wrong with settings, by the fields of the form. */
export async function faultsOf(
  visit: AnyVisit,
  changes: Partial<ListSettings>,
  confirmations: Confirmations,
): Promise<Map<string, string>> {
  const faults = new Map<string, string>();
  const { thankYou = {}, ...others } = changes;
  for (const [key, value] of Object.entries(others)) check(key, { [key]: value });
  for (const [code, text] of Object.entries(thankYou)) {
    // Each takes some milliseconds at worst: others are served in between.
    await nextTurn();
    check(`thankYou.${code}`, { thankYou: { [code]: text } });
  }
  return faults;

  function check(field: string, settings: Partial<ListSettings>): void {
    try {
      columnsOf(settings, confirmations);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      faults.set(field, formErrorOf(visit, error).message);
    }
  }
}

function typedThankYou(form: URLSearchParams, { thankYou }: ListSettings): Record<string, string> {
  return Object.fromEntries(
    languages.map(({ code }) => [code, plain(form.get(`thankYou.${code}`) ?? thankYou[code] ?? '', false)]),
  );
}

/** `5,000,000` is what people type. What is no number is none, and does not pass. */
function typedCap(text: string | null, standing: number | null): number | null {
  if (text === null) return standing;
  const digits = text.normalize('NFKC').replace(/[\s,._']/g, '');
  if (digits === '') return null;
  return /^\d{1,12}$/.test(digits) ? Number(digits) : Number.NaN;
}

/** As the core keeps it: forms send their line ends as CRLF. */
function plain(text: string, isTrimmed = true): string {
  const lines = text.replace(/\r\n?/g, '\n');
  return isTrimmed ? lines.trim().normalize('NFC') : lines;
}

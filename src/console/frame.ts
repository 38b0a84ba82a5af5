import type { Account } from '../core/accounts.js';
import type { List } from '../core/lists.js';
import { consoleLanguages, type Role } from '../core/users.js';
import { icon, linkOf, script, stylesheet } from './assets.js';
import type { AnyVisit, FormError } from './screen.js';
import { hasConsoleText } from './texts.js';

/** An entry of the navigation: where it leads, its text, and for whom it is there. */
interface Entry {
  readonly key: string;
  readonly path: string;
  readonly may: readonly Role[];
  /** Pages that stand elsewhere, and are a part of it. */
  readonly also?: readonly string[];
}

const owners: readonly Role[] = ['admin', 'owner'];
const all: readonly Role[] = ['admin', 'owner', 'mailer'];

/** Of the installation, beside the pages that belong to no account. */
const installationEntries: readonly Entry[] = [
  { key: 'accounts', path: '/accounts', may: ['admin'] },
  { key: 'admins', path: '/admins', may: ['admin'] },
  { key: 'history', path: '/history', may: ['admin'] },
];

/** Of an account, beside every page of it. */
const accountEntries: readonly Entry[] = [
  { key: 'lists', path: '/lists', may: all },
  { key: 'mailers', path: '/mailers', may: all },
  { key: 'abuse', path: '/abuse', may: owners },
  { key: 'removals', path: '/removals', may: owners },
  { key: 'people', path: '/people', may: owners },
  { key: 'credentials', path: '/credentials', may: owners },
  { key: 'users', path: '/users', may: owners },
  { key: 'settings', path: '/settings', may: owners },
  { key: 'history', path: '/history', may: owners },
];

/** Of a list, on top of every page of it. */
const listEntries: readonly Entry[] = [
  { key: 'overview', path: '', may: all },
  { key: 'opt-outs', path: '/opt-outs', may: all },
  { key: 'service', path: '/service', may: all, also: ['/links', '/scrub'] },
  { key: 'imports', path: '/imports', may: owners },
  { key: 'downloads', path: '/downloads', may: all },
  { key: 'alerts', path: '/alerts', may: owners },
  { key: 'edit', path: '/edit', may: owners },
];

/** Of done.json: what tells that nothing was done. */
const undone = ['opt-outs-gone', 'no-opt-out-ticked', 'test-stays', 'session-over'];

/** What every page of the console has around its own content. Always a fresh object. */
export function frameOf(
  visit: AnyVisit & { readonly account?: Account; readonly list?: List },
  path: string,
  formToken: string | null,
  error: FormError | null,
): Record<string, unknown> {
  const { t, user, language, formats, query, form, account, list, now } = visit;
  const accountBase = account === undefined ? null : `/console/accounts/${account.id}`;
  const listBase = list === undefined ? null : `/console/lists/${list.publicId}`;
  const done = query.get('done') ?? '';
  const entriesOf = (entries: readonly Entry[], base: string | null) =>
    base === null || user === null
      ? []
      : entries
          .filter(({ may }) => may.includes(user.role))
          .map((entry) => ({
            // A mailer's user has but the one.
            text: t(`nav.${user.role === 'mailer' && entry.key === 'mailers' ? 'access' : entry.key}`),
            href: `${base}${entry.path}`,
            isCurrent: [entry.path, ...(entry.also ?? [])].some((part) =>
              isUnder(path, `${base}${part}`, part === '' || list !== undefined),
            ),
          }));
  return {
    t,
    formats,
    now,
    lang: language,
    languages: consoleLanguages.map((code) => ({ code, name: t(`nav.language.${code}`) })),
    stylesheetHref: linkOf(stylesheet),
    scriptHref: linkOf(script),
    iconHref: linkOf(icon),
    path,
    user,
    account: account ?? null,
    accountBase,
    list: list ?? null,
    listBase,
    nav: (accountBase === null
      ? entriesOf(installationEntries, '/console')
      : entriesOf(accountEntries, accountBase)
    ).map((entry) =>
      // Whoever is on a list's page is among the lists.
      list !== undefined && entry.href === `${accountBase}/lists` ? { ...entry, isCurrent: true } : entry,
    ),
    navName: t(`nav.${accountBase === null ? 'installation' : 'account'}`),
    tabs: entriesOf(listEntries, listBase),
    csrf: formToken,
    done: hasConsoleText(`done.${done}`) ? t(`done.${done}`) : null,
    isUndone: undone.includes(done),
    error,
    /** What a field holds: as it was sent, where the form comes back with an error; else as it is. */
    value: (name: string, otherwise: string | number | null = '') =>
      form?.get(name) ?? (otherwise === null ? '' : String(otherwise)),
    /** The same of a box. */
    isTicked: (name: string, otherwise: boolean) => (form === null ? otherwise : form.has(name)),
    errorOf: (name: string) => (error?.field === name ? error.message : null),
  };
}

function isUnder(path: string, href: string, exactly: boolean): boolean {
  return path === href || (!exactly && path.startsWith(`${href}/`)) || (exactly && isListPart(path, href));
}

/** `/console/lists/x/opt-outs/new` is under `/console/lists/x/opt-outs`, but not under `/console/lists/x`. */
function isListPart(path: string, href: string): boolean {
  return path.startsWith(`${href}/`) && href.split('/').length > 4;
}

import { editAccount, getAccountSettings, zipCiphers } from '../core/account-settings.js';
import { listTitlesOf } from '../core/list-titles.js';
import { Invalid } from '../errors.js';
import { changing } from './changing.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/settings.ejs');
const zipPage = view('console/settings-zip.ejs');
const clearPage = view('console/settings-zip-clear.ejs');

/** What is set for all lists of an account. */
export const settings: Screen<AccountVisit> = {
  async show({ deps, t, account }) {
    const standing = await getAccountSettings(deps.db, account.id);
    const { globalListId } = account;
    const titles = await listTitlesOf(deps.db, account.id, globalListId === null ? [] : [globalListId]);
    return page(t('settings.title'), {
      settings: standing,
      zones: timeZones(),
      globalList: globalListId === null ? null : (titles.get(globalListId) ?? null),
    });
  },
  async act({ deps, form, account, actor }) {
    const zone = form?.get('timeZone')?.trim() ?? '';
    const standing = await getAccountSettings(deps.db, account.id);
    const name = form?.get('name')?.trim() ?? '';
    const timeZone = zone === '' ? null : zone;
    // What stays as it is has no place in the history.
    const edits = {
      ...(name === account.name ? {} : { name }),
      ...(timeZone === standing.timeZone ? {} : { timeZone }),
    };
    await changing(deps, (db) => editAccount(db, deps.secret, account, edits, { actor }));
    return { redirect: baseOf(account.id), done: 'saved' };
  },
};

/** How ZIP files are encrypted: the password is never shown. */
export const zipSettings: Screen<AccountVisit> = {
  async show({ deps, t, account }) {
    return zipPage(t('settings.zipTitle'), {
      settings: await getAccountSettings(deps.db, account.id),
      ciphers: zipCiphers.map((cipher) => [cipher, t(`settings.cipher.${cipher}`)]),
      settingsBase: baseOf(account.id),
    });
  },
  async act(visit) {
    const { deps, form, account, actor } = visit;
    const standing = await getAccountSettings(deps.db, account.id);
    const zipPassword = form?.get('zipPassword') ?? '';
    const zipCipher = form?.get('zipCipher') ?? '';
    if (zipPassword === '' && !standing.hasZipPassword) {
      throw new Invalid('zipPassword', 'missing', 'zipPassword must not be empty');
    }
    const isNewlyWeak = zipCipher === 'zipcrypto' && standing.zipCipher !== 'zipcrypto';
    if (isNewlyWeak && form?.has('confirmZipCrypto') !== true) {
      throw new Invalid('confirmZipCrypto', 'missing', 'confirmZipCrypto must be ticked');
    }
    await checkReEnteredPassword(visit);
    const edits = {
      ...(zipCipher === standing.zipCipher ? {} : { zipCipher }),
      ...(zipPassword === '' ? {} : { zipPassword }),
    };
    await changing(deps, (db) => editAccount(db, deps.secret, account, edits, { actor }));
    return { redirect: baseOf(account.id), done: 'saved' };
  },
};

/** ZIP files go out without a password again. */
export const clearedZipPassword: Screen<AccountVisit> = {
  async show({ deps, t, account }) {
    return clearPage(t('settings.clearTitle'), {
      settings: await getAccountSettings(deps.db, account.id),
      settingsBase: baseOf(account.id),
    });
  },
  async act(visit) {
    const { deps, account, actor } = visit;
    await checkReEnteredPassword(visit);
    await changing(deps, (db) => editAccount(db, deps.secret, account, { zipPassword: null }, { actor }));
    return { redirect: baseOf(account.id), done: 'zip-cleared' };
  },
};

/** To be chosen from; those that Intl lists are all but UTC. */
function timeZones(): string[] {
  return ['UTC', ...Intl.supportedValuesOf('timeZone').filter((zone) => zone !== 'UTC')];
}

function baseOf(accountId: number): string {
  return `/console/accounts/${accountId}/settings`;
}

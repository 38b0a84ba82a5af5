import { countOverCap } from '../core/cap-moves.js';
import { largestCap, smallestCap } from '../core/cap.js';
import { getCounts } from '../core/feed.js';
import { isLanguage, languages } from '../core/languages.js';
import type { Confirmations, ListSettings } from '../core/list-settings.js';
import { editList, getListById, type List } from '../core/lists.js';
import { Invalid, Refused } from '../errors.js';
import { marksOf, mergeInto } from './edit-conflict.js';
import { tryRedirect } from './edit-redirect.js';
import { changesOf, faultsOf, settingsOf, typedSettings } from './edit-settings.js';
import { confirmationsOf, ownAddressOf, readWhitelist, type ReadWhitelist } from './edit-whitelist.js';
import { previewPages } from './preview.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type FormError, type ListVisit, type PageAnswer, type Screen } from './screen.js';

const page = view('console/edit.ejs');

/** All settings of a list that are set together, and saved by one button. */
export const edit: Screen<ListVisit> = {
  show: (visit, error) => shown(visit, { error }),
  async act(visit) {
    const form = visit.form ?? new URLSearchParams();
    // To look at what was typed, and save nothing.
    if (form.get('do') === 'check') return shown(visit);
    if (form.get('do') === 'own-address') return shown(addOwnAddress(visit, form));

    const { deps, list, actor } = visit;
    const saved = { redirect: `/console/lists/${list.publicId}/edit`, done: 'saved' };
    const { standing, changes, confirmations, faults } = await readForm(visit, list);
    if (Object.keys(changes).length === 0) return saved;
    const ifChangedAt = Number(form.get('changedAt'));
    if (ifChangedAt !== list.changedAt) return shown(visit, { isConflict: true });
    const [[field, message] = []] = faults;
    if (field !== undefined) throw new Invalid(field, 'refused', message ?? '');
    if (isGuarded(changes, standing)) await checkReEnteredPassword(visit);
    try {
      await editList(deps.db, list, changes, { actor, ...confirmations, ifChangedAt });
      return saved;
    } catch (error) {
      // Somebody was faster by a moment.
      if (!(error instanceof Refused) || error.reason !== 'changed-meanwhile') throw error;
      return shown(visit, { isConflict: true });
    }
  },
};

interface ReadForm {
  readonly typed: ListSettings;
  readonly standing: ListSettings;
  /** What was typed, where it is other than what stands. */
  readonly changes: Partial<ListSettings>;
  readonly whitelist: ReadWhitelist;
  readonly confirmations: Confirmations;
  /** By the fields of the form. */
  readonly faults: ReadonlyMap<string, string>;
}

async function readForm(visit: ListVisit, list: List): Promise<ReadForm> {
  const { form, t } = visit;
  const standing = settingsOf(list);
  const typed = form === null ? standing : typedSettings(form, standing);
  const changes = changesOf(typed, standing);
  const whitelist = readWhitelist(visit, typed.ipWhitelist, standing.ipWhitelist);
  const confirmations = confirmationsOf(visit, whitelist);
  const faults = await faultsOf(visit, changes, confirmations);
  // What is wrong with which entry stands below the field.
  if (faults.has('ipWhitelist')) faults.set('ipWhitelist', t('edit.ipWhitelist.refused'));
  if (
    !faults.has('cap') &&
    isTighterCap(changes.cap, standing) &&
    form?.get('confirmCap') !== String(changes.cap)
  ) {
    faults.set('cap', t('edit.cap.unconfirmed'));
  }
  return { typed, standing, changes, whitelist, confirmations, faults };
}

/** By it people leave the list, and nothing brings them back. */
function isTighterCap(cap: number | null | undefined, standing: ListSettings): boolean {
  if (cap === null || cap === undefined) return false;
  return standing.cap === null || cap < standing.cap;
}

/** An unlocked screen is not enough for what lets people leave for good, or opens the downloads to anybody. */
function isGuarded(changes: Partial<ListSettings>, standing: ListSettings): boolean {
  return isTighterCap(changes.cap, standing) || changes.downloadsFromAnyAddress === true;
}

/**
 * The form: with the settings that stand, or with what was typed.
 *
 * @param error it was to be saved, and does not pass.
 * @param isConflict it was to be saved, and somebody else has changed settings meanwhile.
 */
async function shown(
  visit: ListVisit,
  { error = null, isConflict = false }: { error?: FormError | null; isConflict?: boolean } = {},
): Promise<PageAnswer> {
  const { deps, form, t, account } = visit;
  const list = form === null ? visit.list : await getListById(deps.db, visit.list.id);
  const sent = await readForm(visit, list);
  const conflict =
    isConflict && form !== null ? await mergeInto(form, visit, list, sent.changes, sent.standing) : null;
  const read = conflict === null ? sent : await readForm(visit, list);
  const { typed, standing, whitelist } = read;
  const counts = await getCounts(deps.db, list.id);
  const faults = new Map(error === null ? [] : read.faults);
  // Asked for once all else passes.
  if (error?.field === 'password') faults.set('password', error.message);
  const isOpen = ({ code }: { code: string }) =>
    code === typed.defaultLanguage || faults.has(`thankYou.${code}`) || (typed.thankYou[code] ?? '') !== '';
  const data = {
    settings: typed,
    // Who has not seen what stands by now must not save over it.
    changedAt: form === null || isConflict ? list.changedAt : (form.get('changedAt') ?? ''),
    opened: form === null || isConflict ? marksOf(standing) : (form.get('opened') ?? ''),
    conflict,
    faults: [...faults].map(([field, message]) => ({ field, message })),
    errorOf: (name: string) => faults.get(name) ?? null,
    languages,
    shownTexts: languages.filter(isOpen),
    otherTexts: languages.filter((language) => !isOpen(language)),
    previewPages,
    previewLanguage: isLanguage(typed.defaultLanguage) ? typed.defaultLanguage : list.defaultLanguage,
    redirect: tryRedirect(visit, typed.redirectTemplate),
    whitelist,
    own: ownAddressOf(visit, typed.ipWhitelist),
    cap: {
      from: smallestCap,
      to: largestCap,
      isTighter: Number.isInteger(typed.cap) && isTighterCap(typed.cap, standing),
      leaving: Number.isInteger(typed.cap) ? countOverCap(counts, typed.cap) : 0,
      isGlobal: account.globalListId === list.id,
    },
    opensDownloads: typed.downloadsFromAnyAddress && !standing.downloadsFromAnyAddress,
    isUnsaved: form !== null,
  };
  return page(t('edit.title'), data, isConflict ? { status: 409 } : {});
}

/** The address is not the form's to say: it is the one that this request comes from. */
function addOwnAddress(visit: ListVisit, form: URLSearchParams): ListVisit {
  const whitelist = form.get('ipWhitelist') ?? '';
  const own = ownAddressOf(visit, whitelist);
  if (own.state === 'offered') form.set('ipWhitelist', `${whitelist.trimEnd()}\n${own.ip}`.trimStart());
  return visit;
}

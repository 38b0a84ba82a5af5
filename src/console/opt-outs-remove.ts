import { getBulkRemoval } from '../core/bulk-removals.js';
import { foundRemovalUnderWay } from '../core/found-removal-jobs.js';
import { removeFound, removeNamed } from '../core/found-removals.js';
import { findOptOutsNamed } from '../core/opt-out-details.js';
import { countFound, untilTakenUp, type Count } from '../core/opt-out-find.js';
import { takeBackMs } from '../core/restore-removal.js';
import { Invalid, NotFound, Unavailable } from '../errors.js';
import { idOf } from './door.js';
import {
  filterOf,
  firstPage,
  goingThrough,
  keyOfOptOut,
  mostTicked,
  sealedState,
  searchIn,
  searchToken,
  stateIn,
  tickedIn,
  type SearchForm,
} from './opt-out-search.js';
import { rowShown } from './opt-outs.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type Answer, type FormError, type ListVisit, type Screen } from './screen.js';

const chosenPage = view('console/opt-outs-remove.ejs');
const foundPage = view('console/opt-outs-remove-found.ejs');
const removalPage = view('console/opt-outs-removal.ejs');

/** How long somebody waits for a count, before it is gone on with. */
const countMs = 4000;

/** What has been counted of a search, at a time: what is recorded from then on is not meant. */
interface Counted {
  readonly form: SearchForm;
  readonly askedAt: number;
  readonly count: Count;
}

/**
 * Removes the opt-outs that were ticked, or all that a search finds: first a page that says how many, then, with the
 * password, the removal.
 */
export const removeOptOuts: Screen<ListVisit> = {
  show: (visit, error) => confirmPage(visit, error),

  async act(visit) {
    const { deps, list, form, formats, actor, now } = visit;
    if (form?.get('confirmed') !== 'yes') return confirmPage(visit, null);
    await checkReEnteredPassword(visit);
    const retryMs = deps.config.databaseTimeoutMs;
    const counted = form.get('counted');
    const base = `/console/lists/${list.publicId}/opt-outs`;
    let removal;
    if (counted === null) {
      const keys = chosenIn(form).map(keyOfOptOut);
      const recordedBefore = Math.min(now, Number(/^\d{1,15}$/.exec(form.get('askedAt') ?? '')?.[0] ?? now));
      removal = await removeNamed(deps.db, list, keys, { actor, recordedBefore, retryMs });
    } else {
      const { form: searched, askedAt, count } = stateIn<Counted>(deps, list, 'count', counted);
      const asked = { actor, recordedBefore: askedAt, retryMs, most: count.count };
      removal = await goingThrough(visit, () =>
        removeFound(deps.db, list, filterOf(searched, formats.zone), asked),
      );
    }
    deps.keeper.wake();
    // Somebody else was faster.
    if (removal === null) return { redirect: base, done: 'opt-outs-gone' };
    return { redirect: `${base}/removals/${removal.id}` };
  },
};

async function confirmPage(visit: ListVisit, error: FormError | null): Promise<Answer> {
  const { form, query } = visit;
  const isFound = (form ?? query).has('counted') || query.has('search');
  return isFound ? confirmFound(visit) : confirmChosen(visit, error);
}

async function confirmChosen(visit: ListVisit, error: FormError | null): Promise<Answer> {
  const { deps, t, list, form, now } = visit;
  const ids = chosenIn(form);
  const base = `/console/lists/${list.publicId}/opt-outs`;
  if (ids.length === 0) return { redirect: base, done: 'no-opt-out-ticked' };
  const held = await findOptOutsNamed(deps.db, list.id, ids.map(keyOfOptOut));
  const rows = held.filter((row) => row.removed_at === null).map(rowShown);
  if (rows.length === 0) return { redirect: base, done: 'opt-outs-gone' };
  // Where the password was wrong, the question is still that of the first time.
  const askedAt = error === null ? now : Number(form?.get('askedAt') ?? now);
  return chosenPage(t('opt-outs-remove.title'), { base, rows, askedAt });
}

/** @throws Invalid where they are more than are removed at once. */
function chosenIn(form: URLSearchParams | null): string[] {
  const ids = tickedIn(form);
  if (ids.length <= mostTicked) return ids;
  throw new Invalid('optOut', 'too-many', `at most ${mostTicked} opt-outs can be removed at once`);
}

async function confirmFound(visit: ListVisit): Promise<Answer> {
  const { deps, t, list, formats } = visit;
  const before = await countedSoFar(visit);
  const filter = filterOf(before.form, formats.zone);
  if (filter.state !== 'standing') throw new Invalid('state', 'unknown', 'only what stands can be removed');
  const { form, askedAt } = before;
  const isWhole = before.count.place === null && before.count.share === 1;
  const count = isWhole
    ? before.count
    : await goingThrough(visit, () =>
        countFound(deps.db, list.id, filter, {
          ...{ from: before.count.share === null ? null : before.count, at: askedAt, ms: countMs },
        }),
      );
  const counted = sealedState<Counted>(deps, list, 'count', { form, askedAt, count: withShare(count) });
  const base = `/console/lists/${list.publicId}/opt-outs`;
  return foundPage(t('opt-outs-remove.title'), {
    base,
    count: count.count,
    isWhole: count.place === null,
    share: count.share,
    counted,
    back: `${base}?search=${searchToken(deps, list, firstPage(form))}`,
    goOn: `${base}/remove?counted=${counted}`,
  });
}

/** So that a count that has begun is told from one that has not. */
function withShare(count: Count): Count {
  return { ...count, share: count.place === null ? 1 : (count.share ?? 0) };
}

async function countedSoFar({ deps, list, form, query, now }: ListVisit): Promise<Counted> {
  const counted = (form ?? query).get('counted');
  if (counted !== null) return stateIn<Counted>(deps, list, 'count', counted);
  if (!(await untilTakenUp(deps.db, list.id, 3000))) {
    throw new Unavailable('the newest changes of the list are still to be taken up');
  }
  const { form: searched } = searchIn(deps, list, query.get('search') ?? '');
  return { form: searched, askedAt: now, count: { count: 0, place: null, share: null } };
}

/** What a removal has come to. */
export const removalOfOptOuts: Screen<ListVisit> = {
  async show({ deps, t, list, params, now }) {
    const removal = await getBulkRemoval(deps.db, idOf(params.removal));
    if (removal.listId !== list.id) throw new NotFound('There is no such removal.');
    const underWay = await foundRemovalUnderWay(deps.db, removal.id);
    const isGoingOn = underWay !== null || removal.state === 'removing';
    return removalPage(t('opt-outs-removal.title'), {
      base: `/console/lists/${list.publicId}/opt-outs`,
      removal,
      isGoingOn,
      most: underWay?.most ?? null,
      until: removal.at + takeBackMs,
      canBeTakenBack: removal.state === 'removed' && now < removal.at + takeBackMs && removal.optOuts > 0,
      refreshSeconds: isGoingOn ? 3 : 0,
    });
  },
};

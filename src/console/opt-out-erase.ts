import { entryKeysOf, parseAddress } from '../core/address.js';
import { erasePerson } from '../core/erasure.js';
import { heldByLists } from '../core/people.js';
import { emptyWal } from '../db/remains.js';
import { Invalid } from '../errors.js';
import { keyOfOptOut } from './opt-out-search.js';
import { optOutIn } from './opt-out.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type ListVisit, type Screen } from './screen.js';

const page = view('console/opt-out-erase.ejs');
const erasedPage = view('console/opt-out-erased.ejs');

const mostShown = 100;

/**
 * Erases a person from all lists of the account (core/erasure.ts), as `signoff person erase` does. The address has
 * to be typed: what cannot be undone is not done to somebody else by a slip.
 */
export const erasePersonOf: Screen<ListVisit> = {
  async show(visit) {
    const { deps, t, list, account } = visit;
    const row = await optOutIn(visit);
    const held = [];
    if (row.address !== null) {
      for await (const one of heldByLists(deps.db, account.id, row.address.toString())) {
        held.push({ list: one.list, optOuts: one.rows.length });
        if (held.length === mostShown) break;
      }
    }
    const base = `/console/lists/${list.publicId}/opt-outs`;
    const id = visit.params.optOut ?? '';
    return page(t('opt-out-erase.title'), {
      ...{ back: `${base}/${id}`, backText: t('opt-out.title'), action: `${base}/${id}/erase` },
      ...{ held, person: null, text: row.address?.toString() ?? null },
    });
  },

  async act(visit) {
    const { deps, t, list, account, form, actor, now, params } = visit;
    await optOutIn(visit);
    const parsed = parseAddress(form?.get('address') ?? '', { typed: true });
    const key = keyOfOptOut(params.optOut).address_key;
    if (!parsed.ok || !entryKeysOf(parsed.address.normalised).some((one) => one.equals(key))) {
      throw new Invalid('address', 'different', 'address is not the one that this page is about');
    }
    await checkReEnteredPassword(visit);
    const retryMs = deps.config.databaseTimeoutMs;
    const run = erasePerson(deps.db, account.id, parsed.address.normalised, { actor, at: now, retryMs });
    const erased = [];
    let optOuts = 0;
    for await (const one of run) {
      optOuts += one.optOuts;
      if (erased.length < mostShown) erased.push(one);
    }
    // SQLite's log has the rows as they were. Where it is being read, the keeper empties it soon.
    await emptyWal(deps.db);
    deps.keeper.wake();
    return erasedPage(t('opt-out-erase.title'), {
      base: `/console/lists/${list.publicId}/opt-outs`,
      ...{ backText: t('opt-outs.title'), toStart: t('opt-outs-removal.toSearch'), erased, optOuts },
    });
  },
};

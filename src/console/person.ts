import { parseAddress } from '../core/address.js';
import { erasePerson } from '../core/erasure.js';
import { getGlobalMark } from '../core/global-list.js';
import { kindOf } from '../core/opt-out-details.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { heldJson, readPerson, type PersonHeld } from '../core/person-held.js';
import { asItCounts, removalsUnderWay } from '../core/removals-under-way.js';
import { addressFaults } from '../core/row-faults.js';
import { emptyWal } from '../db/remains.js';
import { Invalid } from '../errors.js';
import { NOT_KEPT } from '../http/respond.js';
import { suppresses } from './opt-out-global.js';
import { idOfOptOut } from './opt-out-search.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/person.ejs');
const erasePage = view('console/opt-out-erase.ejs');
const erasedPage = view('console/opt-out-erased.ejs');

const mostShown = 100;

/** What the account holds of one address, over all of its lists. It is typed into a form, so that no URL has it. */
export const person: Screen<AccountVisit> = {
  show: ({ t }) => Promise.resolve(page(t('person.title'), { held: null })),

  async act(visit) {
    const { deps, t, account } = visit;
    const held = await readPerson(deps.db, account.id, addressIn(visit, 'address'));
    return page(t('person.title'), { held: await heldShown(visit, held) });
  },
};

async function heldShown({ deps: { db }, account, now }: AccountVisit, person: PersonHeld) {
  const { listId: globalId } = await getGlobalMark(db, account.id);
  const lists = person.held.map(({ list }) => list.id);
  const underWay = await removalsUnderWay(db, lists);
  const rows = person.held.flatMap(({ list, rows: ofList }) =>
    ofList.map((one) => {
      const row = asItCounts(one, underWay);
      return {
        list,
        href: `/console/lists/${list.publicId}/opt-outs/${idOfOptOut(row)}`,
        isGlobal: list.id === globalId,
        kind: kindOf(row),
        tag: row.tag.toString() === EVERYTHING ? null : row.tag.toString(),
        createdAt: row.created_at,
        source: row.source,
        isRemoved: row.removed_at !== null,
        stands: suppresses(row, now),
      };
    }),
  );
  return {
    address: person.normalised,
    erasedAt: person.erasedAt,
    refusedRows: person.refusedRows,
    noted: person.history.length,
    rows: rows.slice(0, mostShown),
    more: Math.max(0, rows.length - mostShown),
    isSuppressed: rows.some(({ stands }) => stands),
    isOnGlobal: rows.some(({ stands, isGlobal }) => stands && isGlobal),
  };
}

/** The same as a file to hand to the person: what `signoff person show --json` prints. */
export const personFile: Screen<AccountVisit> = {
  async act(visit) {
    const { deps, account, res } = visit;
    const held = await readPerson(deps.db, account.id, addressIn(visit, 'address'));
    const text = `${JSON.stringify(await heldJson(deps.db, held), null, 2)}\n`;
    res.writeHead(200, {
      ...NOT_KEPT,
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Disposition': 'attachment; filename="person.json"',
    });
    res.end(text);
    return null;
  },
};

/** Erases the person from all lists (core/erasure.ts); the address is typed once more, so that it is no slip. */
export const erasedPersonOf: Screen<AccountVisit> = {
  async show(visit) {
    const base = `/console/accounts/${visit.account.id}/people`;
    const normalised = visit.form === null ? null : addressIn(visit, 'person');
    if (normalised === null) return { redirect: base };
    const { held } = await readPerson(visit.deps.db, visit.account.id, normalised);
    return erasePage(visit.t('opt-out-erase.title'), {
      ...{ back: base, backText: visit.t('person.title'), action: `${base}/erase` },
      held: held.slice(0, mostShown).map(({ list, rows }) => ({ list, optOuts: rows.length })),
      ...{ person: normalised, text: normalised },
    });
  },

  async act(visit) {
    const { deps, t, account, form, actor, now } = visit;
    const normalised = addressIn(visit, 'person');
    if (form?.get('confirmed') !== 'yes') return this.show?.(visit, null) ?? null;
    const typed = parseAddress(form.get('address') ?? '', { typed: true });
    if (!typed.ok || typed.address.normalised !== normalised) {
      throw new Invalid('address', 'different', 'address is not the one that this page is about');
    }
    await checkReEnteredPassword(visit);
    const retryMs = deps.config.databaseTimeoutMs;
    const erased = [];
    let optOuts = 0;
    for await (const one of erasePerson(deps.db, account.id, normalised, { actor, at: now, retryMs })) {
      optOuts += one.optOuts;
      if (erased.length < mostShown) erased.push(one);
    }
    // SQLite's log has the rows as they were. Where it is being read, the keeper empties it soon.
    await emptyWal(deps.db);
    deps.keeper.wake();
    const base = `/console/accounts/${account.id}/people`;
    return erasedPage(t('opt-out-erase.title'), {
      ...{ base, backText: t('person.title'), toStart: t('person.another'), erased, optOuts },
    });
  },
};

/** @throws Invalid */
function addressIn({ form }: AccountVisit, field: string): string {
  const parsed = parseAddress(form?.get(field) ?? '', { typed: true });
  if (!parsed.ok) throw new Invalid('address', parsed.problem, addressFaults[parsed.problem]);
  return parsed.address.normalised;
}

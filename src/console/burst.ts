import { tallyWithin } from '../core/burst-revert.js';
import { getBurst, type Burst } from '../core/bursts.js';
import { isPrivateIp } from '../core/ip-whitelist.js';
import { getListById } from '../core/lists.js';
import { NotFound } from '../errors.js';
import { findRevert, startRevert } from './burst-reverts.js';
import { idOf } from './door.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/burst.ejs');

/** How long somebody waits for the count; and how often the page is read again while it is taken back: seconds. */
const countingMs = 3000;
const refreshSeconds = 3;

/** On how many lists the opt-outs are told one by one. */
const listsShown = 20;

/** One burst: what taking it back would come to, and to do so. */
export const oneBurst: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, now } = visit;
    const burst = await burstOf(visit);
    const revert = findRevert(deps, burst);
    const isGoing = revert?.outcome === null;
    const tally = isGoing ? null : await tallyWithin(deps.db, burst, countingMs, now);
    const largest = [...(tally?.lists ?? [])].sort(([, a], [, b]) => b - a);
    const lists = [];
    for (const [id, forged] of largest.slice(0, listsShown)) {
      lists.push({ list: await getListById(deps.db, id), forged });
    }
    return page(t('abuse.burst.title'), {
      burst,
      tally,
      lists,
      moreLists: Math.max(0, largest.length - listsShown),
      revert,
      // It ends once nothing has come for as long as the rule counts.
      goesOn: burst.isOpen && now - burst.lastAt < deps.config.attackWindowMs,
      isProxy: isPrivateIp(burst.network.replace(/\/56$/, '')),
      ...(isGoing ? { refreshSeconds } : {}),
    });
  },
  async act(visit) {
    const burst = await burstOf(visit);
    await checkReEnteredPassword(visit);
    await startRevert(visit.deps, burst, visit.actor);
    return { redirect: `/console/accounts/${visit.account.id}/abuse/bursts/${burst.id}` };
  },
};

/** @throws NotFound as well for another account's. */
async function burstOf({ deps, account, params }: AccountVisit): Promise<Burst> {
  const burst = await getBurst(deps.db, idOf(params.burst));
  if (burst.accountId !== account.id) throw new NotFound('This account has no such burst.');
  return burst;
}

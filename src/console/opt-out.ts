import { detailsOf, findOptOut, type NotedOfOptOut, type OptOutDetails } from '../core/opt-out-details.js';
import { EVERYTHING, type OptOutRecord } from '../core/opt-outs.js';
import { receiptText, reasons } from '../core/receipts.js';
import { takeBackMs } from '../core/restore-removal.js';
import { NotFound } from '../errors.js';
import { actorsShown } from './actors.js';
import { emptySearch, filterOf, idOfOptOut, keyOfOptOut } from './opt-out-search.js';
import { noteSearch, seesAddresses } from './opt-outs.js';
import { view, type ListVisit, type Screen } from './screen.js';
import { hasConsoleText } from './texts.js';

const page = view('console/opt-out.ejs');
const notAllowedPage = view('console/opt-outs-not-allowed.ejs');

/** One opt-out, with all that is known of it. Mailers see what was left, and when. */
export const optOut: Screen<ListVisit> = {
  async show(visit) {
    const { deps, t, list, user } = visit;
    if (!(await seesAddresses(visit))) return notAllowedPage(t('opt-outs.title'));
    const row = await optOutIn(visit);
    if (user.role === 'mailer') {
      // What a search shows it, and no more.
      if (!standsAt(row, visit.now)) throw new NotFound('There is no such opt-out.');
      await noteSearch(visit, filterOf(emptySearch, visit.formats.zone), 1);
    }
    const details = await detailsOf(deps.db, list, row);
    const isOwner = user.role !== 'mailer';
    const actorOf = await actorsShown(visit, actorsIn(details));
    const { removedBy } = details;
    return page(t('opt-out.title'), {
      base: `/console/lists/${list.publicId}/opt-outs`,
      id: idOfOptOut(row),
      optOut: row,
      kind: details.kind,
      text: row.address?.toString() ?? null,
      tag: tagOf(row),
      stands: standsAt(row, visit.now),
      mailer: isOwner ? details.mailer : null,
      credential: isOwner ? details.credential : null,
      reason: reasonIn(row, t),
      receipt: receiptIn(row),
      isOwner,
      removedBy: isOwner ? removedBy : null,
      removedByName: removedBy === null ? null : nameOfEnd(removedBy, (actor) => actorOf(actor).name),
      canBeTakenBack:
        removedBy?.what === 'removal' &&
        removedBy.removal.state === 'removed' &&
        visit.now < removedBy.removal.at + takeBackMs,
      history: isOwner
        ? details.history.map((one) => ({ ...one, by: actorOf(one.actor), what: actionText(one, t) }))
        : [],
      others: isOwner
        ? details.others.map((other) => ({
            ...other,
            id: idOfOptOut(other.optOut),
            tag: tagOf(other.optOut),
          }))
        : [],
    });
  },
};

function standsAt({ removed_at, expires_at }: OptOutRecord, now: number): boolean {
  return removed_at === null && (expires_at === null || expires_at > now);
}

/** @throws NotFound where the path names none of the list. */
export async function optOutIn({ deps, list, params }: ListVisit): Promise<OptOutRecord> {
  const row = await findOptOut(deps.db, list.id, keyOfOptOut(params.optOut));
  if (row === null) throw new NotFound('There is no such opt-out.');
  return row;
}

function actorsIn({ history, removedBy }: OptOutDetails): string[] {
  const actors = history.map(({ actor }) => actor);
  return removedBy?.what === 'removal' ? [...actors, removedBy.removal.actor] : actors;
}

function nameOfEnd(
  removedBy: NonNullable<OptOutDetails['removedBy']>,
  nameOf: (actor: string) => string,
): string | null {
  if (removedBy.what === 'removal') return nameOf(removedBy.removal.actor);
  return removedBy.what === 'noted' ? nameOf(removedBy.noted.actor) : null;
}

function tagOf({ tag }: OptOutRecord): string | null {
  return tag.toString() === EVERYTHING ? null : tag.toString();
}

/** One of the page's four answers, or whatever somebody has typed or imported. */
function reasonIn({ reason }: OptOutRecord, t: ListVisit['t']): string | null {
  const text = reason?.toString() ?? null;
  return reasons.some((one) => one === text) ? t(`opt-out.reasons.${text}`) : text;
}

/** What is no number of ours, an import may have brought: shown as it stands. */
function receiptIn({ receipt }: OptOutRecord): string | null {
  if (receipt === null) return null;
  return receipt.length === 8 ? receiptText(receipt) : receipt.toString('hex');
}

function actionText({ action }: NotedOfOptOut, t: ListVisit['t']): string {
  const key = `opt-out.actions.${action.replace(/[^a-z]/g, '-')}`;
  return hasConsoleText(key) ? t(key) : action;
}

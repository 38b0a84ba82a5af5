import { listsThatCount } from '../../core/global-list.js';
import type { OptOutRecord } from '../../core/opt-outs.js';
import { removeAddresses } from '../../core/removals.js';
import { findOptOuts } from '../../core/suppressed.js';
import { retrying } from '../../db/connect.js';
import { queryOf } from '../../http/request.js';
import {
  absent,
  done,
  invalid,
  invalidFormat,
  notFound,
  recordOf,
  tagAbsent,
  type Answer,
} from './answers.js';
import { readFields } from './bodies.js';
import { actorOf, addressIn, type Call } from './call.js';

/** One address, whether the list holds it or the global one; and also where only its hash is known. */
export async function get(call: Call): Promise<Answer> {
  const { deps, list, now } = call;
  const { normalised } = addressIn(call);
  const optOuts: OptOutRecord[] = [];
  for (const listId of await listsThatCount(deps.db, list.id)) {
    const rows = await findOptOuts(deps.db, listId, normalised);
    optOuts.push(...rows.filter((row) => stands(row, now)));
  }
  if (optOuts.length === 0) throw notFound(absent);
  return done(recordOf(normalised, optOuts));
}

/** Takes an address off the list, or one tag of it. What the global list holds stays. */
export async function remove(call: Call): Promise<Answer> {
  const { deps, list, now } = call;
  const { normalised: address } = addressIn(call);
  const tag = await tagOf(call);
  const { db, config } = deps;
  const options = { tag, actor: actorOf(call), at: now };
  const removed = await retrying(db, config.databaseTimeoutMs, () =>
    removeAddresses(db, list, [address], options),
  );
  if (removed.size > 0) return done({ address, message: 'Unsubscribe event has been removed' });
  if (tag === undefined) throw notFound(absent);
  const rows = await findOptOuts(db, list.id, address);
  throw notFound(rows.some((row) => stands(row, now)) ? tagAbsent : absent);
}

/**
 * The tag that a removal names, in the query or in the body. Whatever form it comes in, and where it is empty as
 * well (a script's variable that was never set): to overlook it would remove more than was meant.
 */
async function tagOf({ req }: Call): Promise<string | undefined> {
  const query = queryOf(req);
  const fields = await readFields(req);
  const given = [query, fields].flatMap((from) => [...from.getAll('tag'), ...from.getAll('tags')]);
  const [tag, ...others] = new Set(given.map((text) => text.trim().normalize('NFC')));
  if (tag === '' || others.includes('')) throw invalidFormat('tag', '');
  if (others.length > 0) throw invalid('Invalid parameter: tag names several tags');
  return tag;
}

function stands({ removed_at, expires_at }: OptOutRecord, now: number): boolean {
  return removed_at === null && (expires_at === null || expires_at > now);
}

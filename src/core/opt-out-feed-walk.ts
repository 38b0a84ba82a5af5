import type { Knex } from 'knex';
import { engineOf } from '../db/connect.js';
import { getFeed, numberBefore } from './feed.js';
import {
  fewRows,
  foundColumns,
  mostIndexed,
  mostRows,
  wholeRow,
  type Asked,
  type FoundRow,
  type Walk,
} from './opt-out-walks.js';
import { LIVE } from './opt-outs.js';

/**
 * By the feed, the newest first, from the number that it had come to when the search began: what gets one later
 * is not met again further down.
 */
export const feedWalk: Walk = {
  async *slices(asked, place) {
    const { db, listId, filter } = asked;
    const top = Number(place?.[1] ?? (await getFeed(db)).lastNumber);
    let below = Number(place?.[0] ?? top + 1);
    const bottom = await bottomOf(asked);
    const { byIndex, name } = engineOf(db);
    const within = () =>
      db(db.raw(`opt_outs ${byIndex('opt_outs_feed')}`))
        .where({ list_id: listId })
        .where('feed_number', '<', below);
    for (let limit = fewRows; ;) {
      const slice = within()
        .where('feed_number', '>', bottom)
        .orderBy('feed_number', 'desc')
        .limit(limit)
        .select('feed_number');
      const told: { looked: number | string; edge: number | null } | undefined = await db
        .from(slice.as('of_list'))
        .first(db.raw('COUNT(*) AS looked, MIN(feed_number) AS edge'));
      const looked = Number(told?.looked ?? 0);
      if (told?.edge == null) {
        yield { rows: [], edge: [below, top], isLast: true, looked: 0, cost: 0 };
        return;
      }
      const rows: FoundRow[] = await within()
        .where('feed_number', '>=', told.edge)
        .modify(narrow, asked)
        .orderBy('feed_number', 'desc')
        .select(...foundColumns);
      below = told.edge;
      const isLast = looked < limit;
      yield { rows, edge: [below, top], isLast, looked, cost: looked + rows.length * wholeRow };
      if (isLast) return;
      // Of those that the database lets through, all is read.
      const isDense = rows.length * 4 > looked || filter.address !== null;
      limit = Math.min(isDense ? mostRows[name] : mostIndexed[name], limit * 4);
    }
  },
  behind: ({ feed_number }, [, top]) => [feed_number ?? 0, top ?? 0],
  async share(asked, { behind: [below, top] }) {
    const { db, listId } = asked;
    const bottom = await bottomOf(asked);
    const first: { feed_number: number } | undefined = await db(
      db.raw(`opt_outs ${engineOf(db).byIndex('opt_outs_feed')}`),
    )
      .where({ list_id: listId })
      .where('feed_number', '>', bottom)
      .orderBy('feed_number')
      .first('feed_number');
    const whole = Number(top) + 1 - (first?.feed_number ?? 0);
    return Math.min(0.99, Math.max(0, whole <= 0 ? 0 : (Number(top) + 1 - Number(below)) / whole));
  },
};

/** Nobody leaves after we learn of it: what has a lower number left earlier. */
async function bottomOf({ db, filter: { from } }: Asked): Promise<number> {
  return from === null ? 0 : numberBefore(db, from);
}

/** What the database can leave out by itself; the rest is left out of what it gives. */
function narrow(query: Knex.QueryBuilder, { filter, at, isWhole }: Asked): void {
  const { from, to, tag, source, credentialId, state } = filter;
  if (from !== null) void query.where('created_at', '>=', from);
  if (to !== null) void query.where('created_at', '<', to);
  if (tag !== null) void query.where({ tag: Buffer.from(tag) });
  if (source !== null) void query.where({ source });
  if (credentialId !== null) void query.where({ credential_id: credentialId });
  if (state === 'standing') void query.whereRaw(LIVE, [at]);
  // What a removal is still to take counts as removed, and stands there yet.
  if (state === 'removed' && isWhole) void query.whereRaw(`NOT (${LIVE})`, [at]);
}

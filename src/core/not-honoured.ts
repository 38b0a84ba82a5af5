import { setImmediate as everyoneElse } from 'node:timers/promises';
import { engineOf, type Db } from '../db/connect.js';
import { behind } from './audit-slices.js';
import { tenBusinessDaysAfter } from './business-days.js';
import { LIVE } from './opt-outs.js';
import { currentPass, keepPass, listStart, type Pass } from './passes.js';

/**
 * Opt-outs that were not honoured: somebody left, a mailer fetched it, and more than ten business days after that
 * the same person left once more, by a door of recipients. Nobody does who gets no mail any more, nearly: a link in
 * an old mail works for ever, so this is a sign to follow and no proof, and where several mailers had fetched it by
 * then, it is a sign against each of them.
 *
 * What leaves once more gets no new place in the feed, so this goes through all opt-outs once a day, by their key.
 */
export interface NotHonoured {
  readonly listId: number;
  readonly mailerId: number;
  /** Never the address, which may be erased at any time. */
  readonly addressKey: Buffer;
  readonly tag: string;
  /** When the mailer had fetched it, and when the recipient last left again. */
  readonly fetchedAt: number;
  readonly leftAgainAt: number;
  readonly foundAt: number;
}

interface NotHonouredRow {
  readonly list_id: number;
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly mailer_id: number;
  readonly fetched_at: number;
  readonly left_again_at: number;
  readonly found_at: number;
}

interface LookedRow {
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly stands_from: number;
  readonly left_again_at: number | null;
  readonly suppresses: number;
}

const name = 'not-honoured';
const dayMs = 24 * 3_600_000;
/** Of a list: more are not looked at. */
const mostMailers = 200;
/** Look-ups in the access log a call: each takes a fraction of a millisecond. */
const lookUpsAtOnce = 200;

/**
 * Goes on with the pass through all opt-outs, which begins anew each day.
 *
 * @param rowsAtOnce rows a call: some milliseconds on both engines.
 * @returns whether the pass goes on.
 */
export async function findNotHonoured(
  db: Db,
  at: number,
  rowsAtOnce = engineOf(db).name === 'sqlite' ? 300 : 1000,
): Promise<boolean> {
  const pass = await currentPass(db, name, at, dayMs);
  if (pass === null) return false;
  const mailers = await mailersOf(db, pass.list_id);
  const rows = await rowsBehind(db, pass, rowsAtOnce, at);
  const asked = rows.filter((row) => row.left_again_at !== null && row.suppresses === 1);
  const some = asked.slice(0, Math.max(1, Math.floor(lookUpsAtOnce / Math.max(1, mailers.length))));
  await note(db, pass.list_id, await findAmong(db, pass.list_id, some, mailers, at));
  const last = some.length < asked.length ? some.at(-1) : rows.at(-1);
  const isCut = last !== undefined && (some.length < asked.length || rows.length === rowsAtOnce);
  const next = isCut
    ? { ...pass, address_key: last.address_key, tag: last.tag }
    : await inNextFetched(db, pass, at);
  await keepPass(db, next);
  return next.ended_at === null;
}

/** What no mailer has fetched is passed over. */
async function inNextFetched(db: Db, pass: Pass, at: number): Promise<Pass> {
  const next = await db<{ list_id: number }>('fetches')
    .where('list_id', '>', pass.list_id)
    .orderBy('list_id')
    .first('list_id');
  return next === undefined ? { ...pass, ended_at: at } : { ...pass, ...listStart, list_id: next.list_id };
}

async function mailersOf(db: Db, listId: number): Promise<number[]> {
  return (await db('fetches')
    .where({ list_id: listId })
    .orderBy('mailer_id')
    .limit(mostMailers)
    .pluck('mailer_id')) as number[];
}

async function rowsBehind(db: Db, pass: Pass, limit: number, at: number): Promise<LookedRow[]> {
  return db(db.raw(`opt_outs AS o ${engineOf(db).byIndex(null)}`))
    .where('o.list_id', pass.list_id)
    .modify(behind, 'o', pass)
    .orderBy(['o.address_key', 'o.tag'])
    .limit(limit)
    .select('address_key', 'tag', 'stands_from', 'left_again_at')
    .select(db.raw(`CASE WHEN ${LIVE} THEN 1 ELSE 0 END AS suppresses`, [at])) as Promise<LookedRow[]>;
}

async function findAmong(
  db: Db,
  listId: number,
  rows: readonly LookedRow[],
  mailers: readonly number[],
  at: number,
): Promise<NotHonouredRow[]> {
  const found: NotHonouredRow[] = [];
  for (const { address_key, tag, stands_from, left_again_at } of rows) {
    for (const mailer_id of mailers) {
      const fetched_at = await fetchedSince(db, listId, mailer_id, stands_from);
      if (fetched_at === null || left_again_at === null) continue;
      if (left_again_at < tenBusinessDaysAfter(fetched_at, 'UTC')) continue;
      found.push({ list_id: listId, address_key, tag, mailer_id, fetched_at, left_again_at, found_at: at });
    }
    // SQLite answers without ever leaving this turn of the event loop.
    await everyoneElse();
  }
  return found;
}

/** What was found before, and is as it was, stays as it is. */
async function note(db: Db, listId: number, found: readonly NotHonouredRow[]): Promise<void> {
  if (found.length === 0) return;
  const keys = found.map(({ address_key }) => address_key);
  const standing = await db<NotHonouredRow>('not_honoured')
    .where({ list_id: listId })
    .whereIn('address_key', keys);
  const known = new Map(standing.map((row) => [nameOf(row), row.left_again_at]));
  const news = found.filter((row) => (known.get(nameOf(row)) ?? -1) < row.left_again_at);
  if (news.length === 0) return;
  const { incoming } = engineOf(db);
  const merged = ['fetched_at', 'left_again_at', 'found_at'];
  await db('not_honoured')
    .insert(news)
    .onConflict(['list_id', 'address_key', 'tag', 'mailer_id'])
    .merge(Object.fromEntries(merged.map((column) => [column, db.raw(incoming(column))])));
}

function nameOf({ address_key, tag, mailer_id }: NotHonouredRow): string {
  return `${address_key.toString('hex')} ${tag.toString('hex')} ${mailer_id}`;
}

/** When a mailer first had the feed up to this number, as far as the access log goes back. */
async function fetchedSince(
  db: Db,
  listId: number,
  mailerId: number,
  number: number,
): Promise<number | null> {
  const rows: { finished_at: number | null }[] = await db(
    db.raw(`downloads ${engineOf(db).byIndex('downloads_reached')}`),
  )
    .where({ list_id: listId, mailer_id: mailerId })
    .where('reached', '>=', number)
    .orderBy('reached')
    .orderBy('id')
    .limit(1)
    .select('finished_at');
  return rows[0]?.finished_at ?? null;
}

/**
 * Those of a list, the last one found first.
 *
 * @param options.mailerId of this mailer alone.
 * @param options.foundSince found then or later.
 */
export async function listNotHonoured(
  db: Db,
  listId: number,
  { mailerId, foundSince = 0, limit }: { mailerId?: number | undefined; foundSince?: number; limit: number },
): Promise<NotHonoured[]> {
  const rows: unknown = await db(db.raw(`not_honoured ${engineOf(db).byIndex('not_honoured_list')}`))
    .where({ list_id: listId })
    .where('found_at', '>=', foundSince)
    .modify((query) => {
      if (mailerId !== undefined) void query.where({ mailer_id: mailerId });
    })
    .orderBy('found_at', 'desc')
    .limit(limit);
  return (rows as NotHonouredRow[]).map((row) => ({
    listId: row.list_id,
    mailerId: row.mailer_id,
    addressKey: row.address_key,
    tag: row.tag.toString(),
    fetchedAt: row.fetched_at,
    leftAgainAt: row.left_again_at,
    foundAt: row.found_at,
  }));
}

/** What goes with a person who is erased. */
export async function forgetNotHonouredOf(trx: Db, listId: number, keys: readonly Buffer[]): Promise<void> {
  await trx('not_honoured').where({ list_id: listId }).whereIn('address_key', keys).delete();
}

const rowsAtOnce = 500;

/**
 * Forgets what is older than history is kept.
 *
 * @returns whether there may be more to do at once.
 */
export async function forgetNotHonoured(db: Db, now: number, historyMs: number | null): Promise<boolean> {
  if (historyMs === null) return false;
  const times = (await db('not_honoured')
    .where('found_at', '<', now - historyMs)
    .orderBy('found_at')
    .limit(rowsAtOnce)
    .pluck('found_at')) as number[];
  const last = times.at(-1);
  if (last === undefined) return false;
  await db('not_honoured').where('found_at', '<=', last).delete();
  return times.length >= rowsAtOnce;
}

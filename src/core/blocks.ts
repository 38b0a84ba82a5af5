import { engineOf, rowsOf, type Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import { noteChange } from './history.js';

/** A client that is kept out of an account's machine doors for a while. */
export interface Block {
  readonly accountId: number;
  /** As `clientNetworkOf` prints it. */
  readonly network: string;
  readonly startedAt: number;
  /** Of a lifted one: until when the nodes have to know of it. */
  readonly endsAt: number;
  /** What was seen of the client up to then counts no more; null while the block stands. */
  readonly liftedAt: number | null;
}

interface BlockRow {
  account_id: number;
  network: string;
  started_at: number;
  ends_at: number;
  lifted_at: number | null;
}

const sliceRows = 1000;
/** Beyond these, each node knows of those alone that it has blocked itself. */
const mostSlices = 10;

/** All blocks that have not ended, lifted ones among them: those that end first, up to 10,000. */
export async function readBlocks(db: Db, now: number): Promise<Block[]> {
  const blocks = new Map<string, Block>();
  // Where a part of all blocks stands, MySQL would rather go through all of them, and sort.
  const byEnd = db.raw(`blocks ${engineOf(db).byIndex('blocks_ends_at')}`);
  let from = now + 1;
  for (let slice = 0; slice < mostSlices; slice++) {
    const found: unknown = await db(byEnd).where('ends_at', '>=', from).orderBy('ends_at').limit(sliceRows);
    const rows = found as BlockRow[];
    for (const row of rows) blocks.set(`${row.account_id} ${row.network}`, blockOf(row));
    const last = rows.at(-1)?.ends_at ?? from;
    // Several can end at the same time: that time is read again, unless it fills a slice alone.
    from = last === from ? last + 1 : last;
    if (rows.length < sliceRows) break;
  }
  return [...blocks.values()];
}

export interface NewBlock extends Block {
  /** When the first of the recipients came that it was decided on. */
  readonly countedFrom: number;
}

/**
 * Writes blocks that a node has decided on; of two nodes that decide the same, the later end counts. A
 * block that somebody has lifted meanwhile stays so, where the node counted what came before.
 */
export async function writeBlocks(db: Db, blocks: readonly NewBlock[]): Promise<void> {
  const sorted = [...blocks].sort(
    (a, b) => a.accountId - b.accountId || (a.network < b.network ? -1 : a.network > b.network ? 1 : 0),
  );
  await db.transaction(async (trx) => {
    for (const { accountId, network, startedAt, endsAt, countedFrom } of sorted) {
      const key = { account_id: accountId, network };
      const updated = await trx<BlockRow>('blocks')
        .where(key)
        .where((or) => {
          void or.where((stands) => void stands.whereNull('lifted_at').where('ends_at', '<', endsAt));
          void or.orWhere('lifted_at', '<', countedFrom);
        })
        .update({ started_at: startedAt, ends_at: endsAt, lifted_at: null });
      if (updated > 0) continue;
      const row = { ...key, started_at: startedAt, ends_at: endsAt, lifted_at: null };
      // Where a row stands, it is the later one, or lifted: it stays as it is.
      await trx('blocks').insert(row).onConflict(['account_id', 'network']).merge({ network });
    }
  });
}

/** Those that have not ended, of one account or of all, the newest first; at most 1,000. */
export async function listBlocks(db: Db, accountId: number | null, now = Date.now()): Promise<Block[]> {
  const rows: unknown = await db('blocks')
    .where('ends_at', '>', now)
    .whereNull('lifted_at')
    .modify((query) => {
      if (accountId !== null) void query.where({ account_id: accountId });
    })
    .orderBy('ends_at', 'desc')
    .limit(1000);
  return (rows as BlockRow[]).map(blockOf);
}

/**
 * Ends a block on all nodes within two seconds. The rule counts anew from there.
 *
 * @param windowMs for how long what was seen before could still count.
 * @throws NotFound where the account has not blocked this network.
 */
export async function liftBlock(
  db: Db,
  accountId: number,
  network: string,
  { actor, windowMs, now = Date.now() }: { actor: string; windowMs: number; now?: number },
): Promise<void> {
  const lifted = await db<BlockRow>('blocks')
    .where({ account_id: accountId, network })
    .where('ends_at', '>', now)
    .whereNull('lifted_at')
    .update({ lifted_at: now, ends_at: now + windowMs });
  if (lifted === 0)
    throw new NotFound(`Account ${accountId} has not blocked ${network} (signoff blocks list).`);
  // Not whose: IP addresses are not kept for as long as the history is.
  await noteChange(db, { accountId, actor, action: 'block.lifted' });
}

/** @returns how many rows went; call again while it is `limit` or more. */
export async function forgetBlocks(db: Db, before: number, limit = 500): Promise<number> {
  const times = (await db('blocks')
    .where('ends_at', '<', before)
    .orderBy('ends_at')
    .limit(limit)
    .pluck('ends_at')) as number[];
  const last = times.at(-1);
  return last === undefined ? 0 : db('blocks').where('ends_at', '<=', last).delete();
}

function blockOf({ account_id, network, started_at, ends_at, lifted_at }: BlockRow): Block {
  return { accountId: account_id, network, startedAt: started_at, endsAt: ends_at, liftedAt: lifted_at };
}

/** How many stand, of all accounts; at most 10,000 are counted. */
export async function countBlocks(db: Db, now = Date.now()): Promise<number> {
  const result: unknown = await db.raw(
    `SELECT COUNT(*) AS standing
     FROM (SELECT ends_at FROM blocks WHERE ends_at > ? AND lifted_at IS NULL LIMIT ?) AS those`,
    [now, sliceRows * mostSlices],
  );
  return rowsOf<{ standing: number }>(db, result)[0]?.standing ?? 0;
}

import { clientNetworkOf } from '../db/client-network.js';
import { engineOf, type Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import type { ClientDoor } from './arrivals.js';
import type { Source } from './opt-outs.js';

/** Many opt-outs that one client brought through one door in a short time. */
export interface Burst extends ClientDoor {
  readonly id: number;
  /** When the first and the last of them came: UTC milliseconds. */
  readonly startedAt: number;
  readonly lastAt: number;
  /** How many different recipients it brought, at least. */
  readonly recipients: number;
  readonly isOpen: boolean;
  /** When it was last taken back, and how many opt-outs were by then; null where it never was. */
  readonly revertedAt: number | null;
  readonly reverted: number | null;
}

interface BurstRow {
  id: number;
  account_id: number;
  network: string;
  source: Source;
  started_at: number;
  last_at: number;
  recipients: number;
  is_open: number | null;
  reverted_at: number | null;
  reverted: number | null;
}

/** What a node knows of a burst that goes on. */
export interface BurstPart extends ClientDoor {
  readonly from: number;
  readonly to: number;
  readonly recipients: number;
}

/**
 * Notes bursts, or that they go on. Whatever nodes note of one comes to one row, in whichever order: one
 * burst a client and door is open, and takes in what touches it; after a gap of more than the window, a new
 * one begins.
 */
export async function noteBursts(db: Db, parts: readonly BurstPart[], windowMs: number): Promise<void> {
  const sorted = [...parts].sort((a, b) => (keyText(a) < keyText(b) ? -1 : 1));
  await db.transaction(async (trx) => {
    for (const part of sorted) await noteBurst(trx, part, windowMs);
  });
}

async function noteBurst(trx: Db, part: BurstPart, windowMs: number): Promise<void> {
  const key = { account_id: part.accountId, network: part.network, source: part.source };
  const open = { ...key, is_open: 1 };
  const { byIndex, incoming, smaller, larger } = engineOf(trx);
  const openOnes = trx.raw(`bursts ${byIndex('bursts_open')}`);
  await trx(openOnes)
    .where(open)
    .where('last_at', '<', part.from - windowMs)
    .update({ is_open: null });
  const updated = await trx(openOnes)
    .where(open)
    .update({
      started_at: trx.raw(smaller('started_at', '?'), [part.from]),
      last_at: trx.raw(larger('last_at', '?'), [part.to]),
      recipients: trx.raw(larger('recipients', '?'), [part.recipients]),
    });
  if (updated > 0) return;
  const row = { ...open, started_at: part.from, last_at: part.to, recipients: part.recipients };
  // Another node may have been first since. An upsert alone would use up an id each time, on MySQL.
  await trx('bursts')
    .insert(row)
    .onConflict(['account_id', 'network', 'source', 'is_open'])
    .merge({
      started_at: trx.raw(smaller('bursts.started_at', incoming('started_at'))),
      last_at: trx.raw(larger('bursts.last_at', incoming('last_at'))),
      recipients: trx.raw(larger('bursts.recipients', incoming('recipients'))),
    });
}

/** What came in the last second may not have been told when the node that saw it died. */
export const slackMs = 2000;

/** Whether the client of a burst recorded an opt-out by its door, from its first to its last arrival. */
export function isOfBurst(
  row: { source: string; recorded_at: number; ip: string | null },
  burst: Pick<Burst, 'source' | 'startedAt' | 'lastAt' | 'network'>,
): boolean {
  return (
    row.source === burst.source &&
    row.recorded_at >= burst.startedAt &&
    row.recorded_at <= burst.lastAt + slackMs &&
    row.ip !== null &&
    clientNetworkOf(row.ip) === burst.network
  );
}

/** Those of one account or of all, the newest first; at most 200. */
export async function listBursts(db: Db, accountId: number | null): Promise<Burst[]> {
  const index = accountId === null ? 'bursts_last_at' : 'bursts_account';
  const rows: unknown = await db(db.raw(`bursts ${engineOf(db).byIndex(index)}`))
    .modify((query) => {
      if (accountId !== null) void query.where({ account_id: accountId });
    })
    .orderBy('last_at', 'desc')
    .limit(200);
  return (rows as BurstRow[]).map(burstOf);
}

/** @throws NotFound */
export async function getBurst(db: Db, id: number): Promise<Burst> {
  const row = await db<BurstRow>('bursts').where({ id }).first();
  if (row === undefined) throw new NotFound(`There is no burst ${id} (signoff bursts list).`);
  return burstOf(row);
}

/** @returns how many rows went; call again while it is `limit` or more. */
export async function forgetBursts(db: Db, before: number, limit = 500): Promise<number> {
  const times = (await db('bursts')
    .where('last_at', '<', before)
    .orderBy('last_at')
    .limit(limit)
    .pluck('last_at')) as number[];
  const last = times.at(-1);
  return last === undefined ? 0 : db('bursts').where('last_at', '<=', last).delete();
}

function keyText({ accountId, network, source }: ClientDoor): string {
  return `${String(accountId).padStart(10, '0')} ${network} ${source}`;
}

function burstOf(row: BurstRow): Burst {
  return {
    id: row.id,
    accountId: row.account_id,
    network: row.network,
    source: row.source,
    startedAt: row.started_at,
    lastAt: row.last_at,
    recipients: row.recipients,
    isOpen: row.is_open !== null,
    revertedAt: row.reverted_at,
    reverted: row.reverted,
  };
}

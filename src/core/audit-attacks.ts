import type { Knex } from 'knex';
import { clientNetworkOf } from '../db/client-network.js';
import type { Db } from '../db/connect.js';
import { recipientOctets } from './arrivals.js';
import type { Breach } from './audit.js';
import { sliceRows } from './audit-slices.js';
import { parseIp } from './ip-whitelist.js';
import { sources } from './opt-outs.js';

/** What the attack rule keeps: bursts that can be taken back, blocks that end, recipients that can be read. */
export async function* auditAttacks(db: Db): AsyncGenerator<Breach> {
  yield* auditBursts(db);
  yield* auditBlocks(db);
  yield* auditArrivals(db);
}

interface BurstRow {
  id: number;
  network: string;
  source: string;
  started_at: number;
  last_at: number;
  recipients: number;
  is_open: number | null;
  reverted_at: number | null;
  reverted: number | null;
}

async function* auditBursts(db: Db): AsyncGenerator<Breach> {
  for (let after = 0; ;) {
    const rows = await db<BurstRow>('bursts').where('id', '>', after).orderBy('id').limit(sliceRows);
    for (const row of rows) {
      const faults = [
        ...(isNetwork(row.network) ? [] : ['network is no client’s']),
        ...((sources as readonly string[]).includes(row.source) ? [] : ['source is none of the known ones']),
        ...(row.started_at <= row.last_at ? [] : ['started_at is after last_at']),
        ...(row.recipients > 0 ? [] : ['it has no recipients']),
        ...(row.is_open === null || row.is_open === 1 ? [] : ['is_open is neither 1 nor null']),
        ...((row.reverted_at === null) === (row.reverted === null) ? [] : ['it is half taken back']),
      ];
      for (const fault of faults) {
        yield { code: 'burst', table: 'bursts', description: `burst ${row.id}: ${fault}` };
      }
    }
    after = rows.at(-1)?.id ?? 0;
    if (rows.length < sliceRows) return;
  }
}

interface BlockRow {
  account_id: number;
  network: string;
  started_at: number;
  ends_at: number;
}

async function* auditBlocks(db: Db): AsyncGenerator<Breach> {
  for (let last: BlockRow | undefined; ;) {
    const found: unknown = await db('blocks')
      .modify(behind, ['account_id', 'network'], last)
      .orderBy(['account_id', 'network'])
      .limit(sliceRows);
    const rows = found as BlockRow[];
    for (const row of rows) {
      const faults = [
        ...(isNetwork(row.network) ? [] : ['network is no client’s']),
        ...(row.started_at < row.ends_at ? [] : ['it ends before it has begun']),
      ];
      for (const fault of faults) {
        yield { code: 'block', table: 'blocks', description: `account ${row.account_id}: ${fault}` };
      }
    }
    last = rows.at(-1);
    if (rows.length < sliceRows) return;
  }
}

interface ArrivalsRow {
  account_id: number;
  network: string;
  source: string;
  node: string;
  recipients: Buffer;
}

async function* auditArrivals(db: Db): AsyncGenerator<Breach> {
  for (let last: ArrivalsRow | undefined; ;) {
    const key = ['account_id', 'network', 'source', 'node'] as const;
    // Each row may hold 14 KB.
    const found: unknown = await db('arrivals')
      .modify(behind, key, last)
      .orderBy([...key])
      .limit(100);
    const rows = found as ArrivalsRow[];
    for (const { account_id, node, recipients } of rows) {
      if (Buffer.isBuffer(recipients) && recipients.length % recipientOctets === 0) continue;
      const description = `account ${account_id}: recipients that ${node} has seen cannot be read`;
      yield { code: 'arrivals', table: 'arrivals', description };
    }
    last = rows.at(-1);
    if (rows.length < 100) return;
  }
}

/** Leaves out what stands up to a row, by the columns of the key. */
function behind(query: Knex.QueryBuilder, key: readonly string[], last: object | undefined): void {
  if (last === undefined) return;
  const values = last as Record<string, string | number>;
  void query.where((any) => {
    key.forEach((column, i) => {
      void any.orWhere((all) => {
        for (const same of key.slice(0, i)) void all.where(same, values[same] ?? '');
        void all.where(column, '>', values[column] ?? '');
      });
    });
  });
}

function isNetwork(text: string): boolean {
  const ip = parseIp(text.replace(/\/56$/, ''));
  return ip !== null && clientNetworkOf(ip) === text;
}

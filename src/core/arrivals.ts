import type { Db } from '../db/connect.js';
import type { Source } from './opt-outs.js';

/**
 * Of the recipients that one client brings through one door: the beginnings of their hashes, each with the
 * time at which it came first (UTC milliseconds). Oldest first.
 */
export type Recipients = Map<string, number>;

/** Who brings them, and through which door. */
export interface ClientDoor {
  readonly accountId: number;
  /** As `clientNetworkOf` prints it. */
  readonly network: string;
  readonly source: Source;
}

export interface Arrivals extends ClientDoor {
  readonly recipients: Recipients;
}

interface ArrivalsRow {
  account_id: number;
  network: string;
  source: Source;
  node: string;
  recipients: Buffer;
  changed_at: number;
}

const hashOctets = 8;
const timeOctets = 6;
/** One recipient, as a row holds it. */
export const recipientOctets = hashOctets + timeOctets;

/** How long rows are kept: longer than any window that can be set. */
const arrivalsKeptMs = 25 * 60 * 60_000;

/** Rows that one look at the other nodes takes in: more nodes than that have not seen one client lately. */
const mostOthers = 500;

/** @param addressKey the MD5 of the normalised address. */
export function hashOf(addressKey: Buffer): string {
  return addressKey.toString('latin1', 0, hashOctets);
}

function encodeRecipients(recipients: Recipients): Buffer {
  const octets = Buffer.alloc(recipients.size * recipientOctets);
  let place = 0;
  for (const [hash, at] of recipients) {
    octets.write(hash, place, 'latin1');
    octets.writeUIntBE(at, place + hashOctets, timeOctets);
    place += recipientOctets;
  }
  return octets;
}

/** What is cut off at the end is passed over. */
function decodeRecipients(octets: Buffer): Recipients {
  const recipients: Recipients = new Map();
  for (let place = 0; place + recipientOctets <= octets.length; place += recipientOctets) {
    const at = octets.readUIntBE(place + hashOctets, timeOctets);
    recipients.set(octets.toString('latin1', place, place + hashOctets), at);
  }
  return recipients;
}

/** Puts what this node has seen in the place of what it wrote before, in one statement. */
export async function writeArrivals(
  db: Db,
  node: string,
  arrivals: readonly Arrivals[],
  at: number,
): Promise<void> {
  if (arrivals.length === 0) return;
  const rows = arrivals.map(({ accountId, network, source, recipients }): ArrivalsRow => ({
    account_id: accountId,
    network,
    source,
    node,
    recipients: encodeRecipients(recipients),
    changed_at: at,
  }));
  rows.sort(compareRows);
  await db('arrivals')
    .insert(rows)
    .onConflict(['account_id', 'network', 'source', 'node'])
    .merge(['recipients', 'changed_at']);
}

/** What the other nodes have written of these clients since a time. */
export async function arrivalsElsewhere(
  db: Db,
  node: string,
  clients: readonly { accountId: number; network: string }[],
  since: number,
): Promise<Arrivals[]> {
  if (clients.length === 0) return [];
  const rows = await db<ArrivalsRow>('arrivals')
    .whereIn(
      ['account_id', 'network'],
      clients.map(({ accountId, network }) => [accountId, network]),
    )
    .whereNot('node', node)
    .where('changed_at', '>', since)
    .limit(mostOthers)
    .select('account_id', 'network', 'source', 'recipients');
  return rows.map(({ account_id, network, source, recipients }) => ({
    accountId: account_id,
    network,
    source,
    recipients: decodeRecipients(recipients),
  }));
}

/** @returns how many rows went; call again while it is `limit` or more. */
export async function forgetArrivals(db: Db, now: number, limit = 500): Promise<number> {
  const times = (await db('arrivals')
    .where('changed_at', '<', now - arrivalsKeptMs)
    .orderBy('changed_at')
    .limit(limit)
    .pluck('changed_at')) as number[];
  const last = times.at(-1);
  return last === undefined ? 0 : db('arrivals').where('changed_at', '<=', last).delete();
}

type Key = Pick<ArrivalsRow, 'account_id' | 'network' | 'source'>;

/** By the primary key: statements that lock rows in one order do not deadlock each other. */
function compareRows(a: Key, b: Key): number {
  if (a.account_id !== b.account_id) return a.account_id - b.account_id;
  const [one, other] = a.network === b.network ? [a.source, b.source] : [a.network, b.network];
  return one < other ? -1 : one > other ? 1 : 0;
}

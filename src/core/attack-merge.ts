import type { Db } from '../db/connect.js';
import { arrivalsElsewhere, writeArrivals, type Arrivals, type Recipients } from './arrivals.js';
import { noteBursts, type BurstPart } from './bursts.js';
import { machineDoors, type Source } from './opt-outs.js';
import { extend, keyOf, machineCount, type SeenClient } from './seen-clients.js';

export interface Merging {
  readonly node: string;
  /** Recipients of a client from which on it is worth a look. */
  readonly few: number;
  readonly limit: number;
  readonly windowMs: number;
  readonly at: number;
  /** By client: what came up to then does not count. */
  readonly lifts: ReadonlyMap<string, number>;
}

/** A client that has brought too much to the machine doors of all nodes together. */
export interface Attacker {
  readonly client: SeenClient;
  /** When the first of the recipients came that this was decided on. */
  readonly from: number;
}

/** What is read and written of so many in one statement takes few milliseconds. */
const clientsAStatement = 10;

/**
 * Writes what this node has seen of clients, and only then reads what the others have: of two nodes that do so
 * at once, one at least sees all. What all of them saw together is held against the limit.
 */
export async function mergeSeen(
  db: Db,
  clients: readonly SeenClient[],
  merging: Merging,
): Promise<Attacker[]> {
  const { node, few, limit, windowMs, at, lifts } = merging;
  const attackers: Attacker[] = [];
  for (let i = 0; i < clients.length; i += clientsAStatement) {
    const slice = clients.slice(i, i + clientsAStatement);
    const own = slice.flatMap(({ accountId, network, bySource }) =>
      [...bySource].map(([source, recipients]): Arrivals => ({ accountId, network, source, recipients })),
    );
    await writeArrivals(db, node, own, at);
    const elsewhere = new Map<string, Arrivals[]>();
    for (const arrivals of await arrivalsElsewhere(db, node, slice, at - windowMs)) {
      const key = keyOf(arrivals);
      elsewhere.set(key, [...(elsewhere.get(key) ?? []), arrivals]);
    }
    for (const client of slice) {
      const key = keyOf(client);
      const after = Math.max(at - windowMs, lifts.get(key) ?? 0);
      const together = unionOf(client, elsewhere.get(key) ?? [], after);
      const { count, from } = machineCount(together, after, limit);
      if (count > limit) attackers.push({ client, from });
      flag(client, together, { isAttacker: count > limit, few, limit, windowMs });
    }
  }
  await tellBursts(db, clients, windowMs);
  return attackers;
}

/** By door: each recipient with the first time after which it counts. */
function unionOf(
  { bySource }: SeenClient,
  elsewhere: readonly Arrivals[],
  after: number,
): Map<Source, Recipients> {
  const together = new Map<Source, Recipients>();
  const all = [...[...bySource].map(([source, recipients]) => ({ source, recipients })), ...elsewhere];
  for (const { source, recipients } of all) {
    const union = together.get(source) ?? new Map<string, number>();
    together.set(source, union);
    for (const [hash, at] of recipients) {
      if (at > after) union.set(hash, Math.min(at, union.get(hash) ?? Infinity));
    }
  }
  return together;
}

/**
 * A door through which more came than the limit has a burst. So has each machine door with a part in what was
 * too much for all of them together: what was recorded before the block has to be found.
 */
function flag(
  client: SeenClient,
  together: ReadonlyMap<Source, Recipients>,
  { isAttacker, few, limit, windowMs }: { isAttacker: boolean; few: number; limit: number; windowMs: number },
): void {
  for (const [source, recipients] of together) {
    const isMachine = (machineDoors as readonly Source[]).includes(source);
    if (recipients.size <= (isAttacker && isMachine ? few - 1 : limit)) continue;
    const times = [...recipients.values()];
    const from = Math.min(...times);
    extend(client, source, { from, to: Math.max(...times), recipients: recipients.size }, windowMs);
  }
}

async function tellBursts(db: Db, clients: readonly SeenClient[], windowMs: number): Promise<void> {
  const told: { client: SeenClient; part: BurstPart }[] = clients.flatMap((client) => {
    const { accountId, network, extents } = client;
    return [...extents].map(([source, extent]) => ({
      client,
      part: { accountId, network, source, ...extent },
    }));
  });
  for (let i = 0; i < told.length; i += clientsAStatement) {
    const slice = told.slice(i, i + clientsAStatement);
    const before = slice.map(({ client, part }) => client.extents.get(part.source));
    await noteBursts(
      db,
      slice.map(({ part }) => part),
      windowMs,
    );
    slice.forEach(({ client, part: { source } }, n) => {
      // What came while it was being written is told the next time.
      if (client.extents.get(source) === before[n]) client.extents.delete(source);
    });
  }
}

import type { Logger } from 'pino';
import { clientNetworkOf } from '../db/client-network.js';
import { retrying, type Db } from '../db/connect.js';
import { hashOf } from './arrivals.js';
import { mergeSeen } from './attack-merge.js';
import { readBlocks, writeBlocks, type NewBlock } from './blocks.js';
import { machineDoors, type Source } from './opt-outs.js';
import { createSeenClients, keyOf, machineCount, sizeOf, type SeenClient } from './seen-clients.js';

/** An opt-out that somebody else than the recipient may have made, on its way to be recorded. */
export interface Arrival {
  readonly accountId: number;
  /** Canonical, as `parseIp` prints it. */
  readonly ip: string;
  readonly source: Source;
  /** The MD5 of the normalised address. */
  readonly addressKey: Buffer;
  /** When it is recorded: UTC milliseconds. */
  readonly at: number;
  /** It was forwarded by this address, and nobody said whose proxies are to be believed. */
  readonly isForwarded: boolean;
}

export interface AttackRule {
  /**
   * Counts an opt-out, and tells whether its client may record it by a machine door. Of other doors it only
   * counts. Nothing is waited for.
   *
   * @returns null where it may be recorded; otherwise the time at which the block ends.
   */
  admit(arrival: Arrival): number | null;
  /** Clients that are remembered, and blocks that are known. */
  load(): { networks: number; blocks: number };
  /** What happens each second: tells the database what was seen, and takes in what the other nodes saw. */
  merge(): Promise<void>;
  /** Merges for the last time. */
  stop(): Promise<void>;
}

export interface AttackRuleOptions {
  /** How many different recipients one client may bring to an account's machine doors inside the window. */
  readonly recipients: number;
  readonly windowMs: number;
  readonly blockMs: number;
  /** Names this process; unique in the installation. */
  readonly node: string;
  readonly log?: Pick<Logger, 'warn'>;
  readonly now?: () => number;
  /** Null: only when it is told to. */
  readonly mergeEveryMs?: number | null;
}

const mergeMs = 1000;
const readBlocksMs = 2000;
/** Clients that one merge writes: the others wait for the next one. */
const mostMerged = 100;
/** Clients that may wait for it; the next arrival of another one puts it there. */
const mostChanged = 10_000;
const mostBlocksWritten = 50;
const mostBlocks = 10_000;
const logEveryMs = 60_000;
const retryMs = 1000;

/**
 * How long after the last forwarded request an address counts as a proxy: its requests without a forwarding
 * header are other people's just as well.
 */
const proxyMs = 60 * 60_000;

interface KnownBlock extends NewBlock {
  /** The database knows of it. */
  readonly isWritten: boolean;
}

/**
 * The attack rule: a client (an IPv4 address, an IPv6 /56) that brings more than `recipients` different
 * recipients to an account's machine doors inside the window is blocked there for `blockMs`, on every node;
 * through whichever door so many come, a burst is flagged, which the owner can take back.
 *
 * Decided in memory. Where the database is away each node counts for itself, and the doors go on.
 */
export function createAttackRule(db: Db, options: AttackRuleOptions): AttackRule {
  const { recipients: limit, windowMs, blockMs, node, log, now = Date.now } = options;
  const { mergeEveryMs = mergeMs } = options;
  const seen = createSeenClients({ limit, windowMs });
  // Clients with a handful of recipients stay in memory: there are many of these, and they attack nobody.
  const few = Math.max(2, Math.floor(limit / 8));
  /** The others, where something came that the database has not been told. */
  const changed = new Set<string>();
  let blocks = new Map<string, KnownBlock>();
  /** What was seen up to then counts no more. */
  const lifts = new Map<string, number>();
  let blocksReadAt = -Infinity;
  let loggedAt = -Infinity;
  let isFailing = false;
  let merging: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;

  function admit({ accountId, ip, source, addressKey, at, isForwarded }: Arrival): number | null {
    const network = clientNetworkOf(ip);
    const key = keyOf({ accountId, network });
    const isMachine = (machineDoors as readonly Source[]).includes(source);
    const standing = blocks.get(key);
    if (isMachine && standing !== undefined && standing.endsAt > at && !isForwarded && !isProxy(key, at)) {
      return standing.endsAt;
    }
    const client = seen.meet(accountId, network, at);
    if (isForwarded) client.forwardedAt = at;
    seen.note(client, source, hashOf(addressKey), at);
    if (sizeOf(client) >= few && changed.size < mostChanged) changed.add(key);
    if (!isMachine || client.isPrivate || isProxy(key, at)) return null;
    const { count, from } = machineCount(client.bySource, at - windowMs, limit);
    return count > limit ? block(client, from, at) : null;
  }

  function isProxy(key: string, at: number): boolean {
    return at - (seen.find(key)?.forwardedAt ?? -Infinity) < proxyMs;
  }

  /** @returns when the block ends. */
  function block({ accountId, network }: SeenClient, countedFrom: number, at: number): number {
    const endsAt = at + blockMs;
    blocks.set(keyOf({ accountId, network }), {
      ...{ accountId, network, startedAt: at, endsAt, liftedAt: null, countedFrom },
      isWritten: false,
    });
    for (const oldest of blocks.keys()) {
      if (blocks.size <= mostBlocks) break;
      blocks.delete(oldest);
    }
    return endsAt;
  }

  async function merge(): Promise<void> {
    const at = now();
    const clients = takeChanged();
    try {
      const attackers = await retrying(db, retryMs, () =>
        mergeSeen(db, clients, { node, few, limit, windowMs, at, lifts }),
      );
      for (const { client, from } of attackers) {
        const key = keyOf(client);
        const isBlocked = (blocks.get(key)?.endsAt ?? 0) > at;
        if (!isBlocked && !client.isPrivate && !isProxy(key, at)) block(client, from, at);
      }
      await tellBlocks();
      if (at - blocksReadAt >= readBlocksMs) {
        takeIn(await readBlocks(db, at), at);
        blocksReadAt = at;
      }
      seen.dropOld(at);
      isFailing = false;
    } catch (error) {
      isFailing = true;
      for (const client of clients) changed.add(keyOf(client));
      if (now() - loggedAt < logEveryMs) return;
      loggedAt = now();
      log?.warn({ err: error }, 'the attack rule could not reach the database: this node counts for itself');
    }
  }

  function takeChanged(): SeenClient[] {
    const clients: SeenClient[] = [];
    for (const key of changed) {
      if (clients.length === mostMerged) break;
      changed.delete(key);
      const client = seen.find(key);
      if (client !== undefined) clients.push(client);
    }
    return clients;
  }

  async function tellBlocks(): Promise<void> {
    const unwritten = [...blocks].filter(([, one]) => !one.isWritten).slice(0, mostBlocksWritten);
    if (unwritten.length === 0) return;
    await retrying(db, retryMs, () =>
      writeBlocks(
        db,
        unwritten.map(([, one]) => one),
      ),
    );
    for (const [key, one] of unwritten) {
      if (blocks.get(key) === one) blocks.set(key, { ...one, isWritten: true });
    }
  }

  /** What all nodes have blocked, in the place of what was known of it. */
  function takeIn(read: Awaited<ReturnType<typeof readBlocks>>, at: number): void {
    const known = new Map([...blocks].filter(([, one]) => !one.isWritten && one.endsAt > at));
    for (const one of read) {
      const key = keyOf(one);
      if (one.liftedAt === null) {
        if (!known.has(key)) known.set(key, { ...one, countedFrom: one.startedAt, isWritten: true });
      } else if ((lifts.get(key) ?? 0) < one.liftedAt) {
        lifts.set(key, one.liftedAt);
        if ((known.get(key)?.countedFrom ?? Infinity) <= one.liftedAt) known.delete(key);
        const client = seen.find(key);
        if (client !== undefined) seen.forget(client, one.liftedAt);
      }
    }
    blocks = known;
    for (const [key, liftedAt] of lifts) if (liftedAt <= at - windowMs) lifts.delete(key);
  }

  function schedule(ms: number): void {
    timer = setTimeout(() => {
      merging = merge().then(() => {
        merging = null;
        schedule(mergeEveryMs ?? mergeMs);
      });
    }, ms);
  }

  // At once, since the other nodes' blocks count from the first request on.
  if (mergeEveryMs !== null) schedule(0);
  return {
    admit,
    load: () => ({ networks: seen.size(), blocks: blocks.size }),
    merge,
    async stop() {
      const underWay = merging;
      clearTimeout(timer);
      await underWay;
      clearTimeout(timer);
      if (!isFailing) await merge();
    },
  };
}

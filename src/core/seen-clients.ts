import type { Recipients } from './arrivals.js';
import { isPrivateIp } from './ip-whitelist.js';
import { machineDoors, type Source } from './opt-outs.js';

/** From the first to the last arrival of what goes beyond the limit. */
export interface Extent {
  readonly from: number;
  readonly to: number;
  readonly recipients: number;
}

/** What one node has seen of a client at an account's doors. */
export interface SeenClient {
  readonly accountId: number;
  readonly network: string;
  /** It says nothing about who asks: everybody behind a proxy has its address. */
  readonly isPrivate: boolean;
  readonly bySource: Map<Source, Recipients>;
  /** Bursts, or that they go on, as far as the database does not know. */
  readonly extents: Map<Source, Extent>;
  /** When it last forwarded somebody's request, though TRUST_PROXY names nobody. */
  forwardedAt: number;
}

export interface SeenClients {
  /** The client, a new one where nothing is known of it. */
  meet(accountId: number, network: string, at: number): SeenClient;
  find(key: string): SeenClient | undefined;
  /** Notes a recipient, unless the client has brought them within the window already. */
  note(client: SeenClient, source: Source, hash: string, at: number): void;
  /** Drops what was seen of a client up to a time. */
  forget(client: SeenClient, upTo: number): void;
  /** Drops clients of whom nothing has come within the window; in two windows' time, all of these. */
  dropOld(now: number): void;
  size(): number;
}

/** Some 80 MB at most, all of it together. */
const mostClients = 50_000;
const mostEntries = 500_000;

export function keyOf({ accountId, network }: { accountId: number; network: string }): string {
  return `${accountId} ${network}`;
}

/**
 * What a node has seen of clients, in memory: of each and of each door the newest recipients, one more than
 * the limit, which is enough to know that it was passed. Where it gets too much, the clients that have been
 * quiet for longest go.
 */
export function createSeenClients({ limit, windowMs }: { limit: number; windowMs: number }): SeenClients {
  // Two generations: who comes is of the young one, and when that is full it takes the place of the old one,
  // which goes as a whole. To look for the oldest of so many each time would cost more than all the rest.
  let young = new Map<string, SeenClient>();
  let old = new Map<string, SeenClient>();
  let youngEntries = 0;
  let youngSince = -Infinity;

  function find(key: string): SeenClient | undefined {
    return young.get(key) ?? old.get(key);
  }

  function meet(accountId: number, network: string, at: number): SeenClient {
    const key = keyOf({ accountId, network });
    const known = young.get(key);
    if (known !== undefined) return known;
    if (young.size >= mostClients / 2 || youngEntries >= mostEntries / 2) turnOver(at);
    const client = old.get(key) ?? newClient(accountId, network);
    old.delete(key);
    young.set(key, client);
    youngEntries += sizeOf(client);
    return client;
  }

  function turnOver(at: number): void {
    old = young;
    young = new Map();
    youngEntries = 0;
    youngSince = at;
  }

  function note(client: SeenClient, source: Source, hash: string, at: number): void {
    const recipients = client.bySource.get(source) ?? new Map<string, number>();
    client.bySource.set(source, recipients);
    const before = recipients.size;
    dropUpTo(recipients, at - windowMs);
    // The first time counts, since a repeat changes nothing.
    if (!recipients.has(hash)) recipients.set(hash, at);
    if (recipients.size > limit) {
      const [oldest = at] = recipients.values();
      extend(client, source, { from: oldest, to: at, recipients: recipients.size }, windowMs);
      for (const first of recipients.keys()) {
        if (recipients.size <= limit + 1) break;
        recipients.delete(first);
      }
    }
    youngEntries += recipients.size - before;
  }

  function forget({ bySource }: SeenClient, upTo: number): void {
    for (const recipients of bySource.values()) dropUpTo(recipients, upTo);
  }

  return {
    meet,
    find,
    note,
    forget,
    dropOld: (now) => {
      // Of the old ones nothing has come since, and of the young ones nothing yet.
      if (now - youngSince > windowMs) turnOver(now);
    },
    size: () => young.size + old.size,
  };
}

/** Adds to what the database has to be told; a part that the window does not join to this one is left behind. */
export function extend(
  { extents }: SeenClient,
  source: Source,
  { from, to, recipients }: Extent,
  windowMs: number,
): void {
  const standing = extents.get(source);
  const isSame = standing !== undefined && from <= standing.to + windowMs;
  extents.set(source, {
    from: isSame ? Math.min(from, standing.from) : from,
    to: isSame ? Math.max(to, standing.to) : to,
    recipients: isSame ? Math.max(recipients, standing.recipients) : recipients,
  });
}

/** How much of a client is remembered. */
export function sizeOf({ bySource }: SeenClient): number {
  let size = 0;
  for (const recipients of bySource.values()) size += recipients.size;
  return size;
}

/**
 * How many different recipients came through the machine doors after a time, and when the first of them did.
 * Counted only as far as it matters: up to the limit, `count` may be too high.
 */
export function machineCount(
  bySource: ReadonlyMap<Source, Recipients>,
  after: number,
  limit: number,
): { count: number; from: number } {
  let most = 0;
  for (const source of machineDoors) most += bySource.get(source)?.size ?? 0;
  if (most <= limit) return { count: most, from: 0 };
  const different = new Set<string>();
  let from = Infinity;
  for (const source of machineDoors) {
    for (const [hash, at] of bySource.get(source) ?? []) {
      if (at <= after) continue;
      different.add(hash);
      from = Math.min(from, at);
    }
  }
  return { count: different.size, from };
}

function newClient(accountId: number, network: string): SeenClient {
  return {
    accountId,
    network,
    isPrivate: isPrivateIp(network.replace(/\/56$/, '')),
    bySource: new Map(),
    extents: new Map(),
    forwardedAt: -Infinity,
  };
}

function dropUpTo(recipients: Recipients, time: number): void {
  for (const [hash, at] of recipients) {
    if (at > time) break;
    recipients.delete(hash);
  }
}

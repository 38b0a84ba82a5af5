import { setTimeout as wait } from 'node:timers/promises';
import type { Db } from '../../src/db/connect.js';
import type { Engine } from '../proof.js';
import type { Installation } from './installation.js';

/** What a reader of a list's changes has been told. */
export interface Followed {
  /** How each address stands by what came last. */
  readonly state: ReadonlyMap<string, boolean>;
  /** How often it was told of something, and how often a cursor went back. */
  readonly steps: number;
  readonly backwards: number;
}

/** How often a reader asks in vain once all is over. */
const mostInVain = 500;

/** Reads on from its cursor until all is over; `null` from `read` means that the service is away just now. */
async function follow(
  read: (cursor: string | null) => Promise<Page | null>,
  isOver: () => boolean,
): Promise<Followed> {
  const state = new Map<string, boolean>();
  let [steps, backwards, last, inVain] = [0, 0, -1, 0];
  let cursor: string | null = null;
  for (;;) {
    const wasOver = isOver();
    const page = await read(cursor);
    if (page !== null) {
      for (const { email, isSuppressed } of page.changes) state.set(email, isSuppressed);
      if (page.changes.length > 0) steps++;
      if (page.number < last) backwards++;
      last = page.number;
      cursor = page.cursor;
      if (wasOver && !page.hasMore) return { state, steps, backwards };
      if (page.hasMore) continue;
    } else if (wasOver && ++inVain === mostInVain) {
      throw new Error('the service answers no reader any more');
    }
    await wait(20);
  }
}

interface Page {
  readonly changes: readonly { readonly email: string; readonly isSuppressed: boolean }[];
  readonly cursor: string;
  /** A place in the feed; later ones are higher. */
  readonly number: number;
  readonly hasMore: boolean;
}

/** By the download's deltas, from the feed's beginning. */
export function followDelta(
  of: Installation,
  origin: () => string,
  epoch: string,
  isOver: () => boolean,
): Promise<Followed> {
  return follow(async (cursor) => {
    const at = cursor ?? `${epoch}.0`;
    const url = `${origin()}${of.link}/download?format=plain&key=${of.accessKey}&cursor=${at}`;
    const answer = await ask(url);
    const next = answer?.headers.get('Signoff-Cursor');
    if (answer === null || next == null) return null;
    const changes = answer.text
      .split('\n')
      .slice(0, -1)
      .map((line) => ({ email: line.slice(1), isSuppressed: line.startsWith('+') }));
    return { changes, cursor: next, number: Number(next.slice(next.lastIndexOf('.') + 1)), hasMore: false };
  }, isOver);
}

/** By our API's feed, from the list's beginning; its cursors tell nothing of their place. */
export function followFeed(of: Installation, origin: () => string, isOver: () => boolean): Promise<Followed> {
  return follow(async (cursor) => {
    const query = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const url = `${origin()}/api/v1/lists/${of.list.publicId}/feed?limit=1000${query}`;
    const answer = await ask(url, { Authorization: `Bearer ${of.apiKey}` });
    if (answer === null) return null;
    const { changes, next_cursor, has_more } = JSON.parse(answer.text) as {
      changes: { change: 'add' | 'remove'; item: string }[];
      next_cursor: string;
      has_more: boolean;
    };
    const told = changes.map(({ change, item }) => ({ email: item, isSuppressed: change === 'add' }));
    return { changes: told, cursor: next_cursor, number: 0, hasMore: has_more };
  }, isOver);
}

/** Another way to follow a list: what lies above the highest place seen so far. */
export interface Naive {
  readonly what: string;
  readonly read: (above: number) => Promise<{ place: number; key: Buffer }[]>;
}

/** What a feed would be that goes by the order of recording. To be made before anything is recorded. */
export async function naivesOf(db: Db, engine: Engine): Promise<Naive[]> {
  const byTime: Naive = {
    what: 'a feed by the time of recording',
    read: async (above) => {
      const rows = await db<{ recorded_at: number; address_key: Buffer }>('opt_outs')
        .where('recorded_at', '>', above)
        .orderBy('recorded_at')
        .select('recorded_at', 'address_key');
      return rows.map((row) => ({ place: row.recorded_at, key: row.address_key }));
    },
  };
  // Its writers stand in line: ids are given in the order of commits.
  if (engine === 'sqlite') return [byTime];
  await db.raw('CREATE TABLE naive (id BIGINT AUTO_INCREMENT PRIMARY KEY, address_key BINARY(16))');
  await db.raw(
    'CREATE TRIGGER naively AFTER INSERT ON opt_outs FOR EACH ROW INSERT INTO naive (address_key) VALUES (NEW.address_key)',
  );
  const byId: Naive = {
    what: 'a feed of ids greater than the last',
    read: async (above) => {
      const rows = await db<{ id: number; address_key: Buffer }>('naive')
        .where('id', '>', above)
        .orderBy('id');
      return rows.map((row) => ({ place: row.id, key: row.address_key }));
    },
  };
  return [byTime, byId];
}

/** @returns the keys, in hexadecimal, that it has come by. */
export async function followNaively({ read }: Naive, isOver: () => boolean): Promise<Set<string>> {
  const seen = new Set<string>();
  let above = 0;
  let wasOver: boolean;
  do {
    wasOver = isOver();
    for (const { place, key } of await read(above)) {
      seen.add(key.toString('hex'));
      above = place;
    }
    await wait(5);
  } while (!wasOver);
  return seen;
}

async function ask(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ text: string; headers: Headers } | null> {
  try {
    const answer = await fetch(url, { headers });
    const text = await answer.text();
    if (answer.status === 503) return null;
    if (answer.status !== 200) throw new Refused(`${url} answered ${answer.status}: ${text.slice(0, 300)}`);
    return { text, headers: answer.headers };
  } catch (error) {
    if (error instanceof Refused) throw error;
    return null; // the service is being started again
  }
}

class Refused extends Error {}

import assert from 'node:assert/strict';
import type { Client } from './client.js';

export interface FeedPage {
  readonly part: 'list' | 'changes';
  readonly changes: readonly { readonly change: 'add' | 'remove'; readonly item: string }[];
  readonly next_cursor: string;
  readonly has_more: boolean;
  readonly not_expressed: number;
}

/** A program that keeps a copy of a list by its feed. */
export interface Follower {
  readonly items: ReadonlySet<string>;
  /** How often it had to begin anew. */
  readonly begun: number;
  /** Takes a page more, of so many entries. @returns whether there is more at once. */
  step(limit: number): Promise<boolean>;
  /** Until there is no more for now. */
  catchUp(limit?: number): Promise<void>;
}

export function followerOf(
  call: Client,
  listId: string,
  asked: Readonly<Record<string, string>> = {},
): Follower {
  let items = new Set<string>();
  let cursor: string | null = null;
  let begun = 1;

  async function step(limit: number): Promise<boolean> {
    const query = new URLSearchParams({
      ...asked,
      limit: String(limit),
      ...(cursor === null ? {} : { cursor }),
    });
    const answer = await call('get', `/lists/${listId}/feed?${query.toString()}`);
    if (answer.status === 410) {
      items = new Set();
      cursor = null;
      begun++;
      return true;
    }
    assert.equal(answer.status, 200, answer.text);
    const page = answer.body as FeedPage;
    for (const { change, item } of page.changes) {
      if (change === 'add') items.add(item);
      else items.delete(item);
    }
    cursor = page.next_cursor;
    return page.has_more;
  }

  return {
    get items() {
      return items;
    },
    get begun() {
      return begun;
    },
    step,
    async catchUp(limit = 1000) {
      while (await step(limit));
    },
  };
}

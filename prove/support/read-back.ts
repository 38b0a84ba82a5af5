import { audit } from '../../src/core/audit.js';
import { getFeed } from '../../src/core/feed.js';
import { rowsOfList } from '../../test/support/core.js';
import type { Installation } from './installation.js';

/** The addresses of a list, wherever it is handed out; each as often as it comes there. */
export type ReadBack = Readonly<Record<'database' | 'download' | 'delta' | 'feed' | 'Mailgun', string[]>>;

/** Reads all that a list has back, once everything is numbered. */
export async function readBack(of: Installation, serviceUrl: string): Promise<ReadBack> {
  await of.untilNumbered();
  const { rows, epoch } = await of.withDb(async (db) => ({
    rows: await rowsOfList(db, of.list.id),
    epoch: (await getFeed(db)).epoch,
  }));
  const download = async (query: string) => {
    const url = `${serviceUrl}${of.link}/download?format=plain&key=${of.accessKey}${query}`;
    return (await textOf(url)).split('\n').slice(0, -1);
  };
  const standing = rows.filter((row) => row.removed_at === null);
  return {
    database: standing.map((row) => String(row.address)),
    download: await download(''),
    delta: (await download(`&cursor=${epoch}.0`)).map((line) => line.replace('+', '')),
    feed: await readFeed(of, serviceUrl),
    Mailgun: await readMailgun(of, serviceUrl),
  };
}

/** How much of `acked` is missing from any of them, and how much of all is there twice. */
export function compare(acked: Iterable<string>, found: ReadBack): { lost: number; doubled: number } {
  const sets = Object.values(found).map((emails) => new Set(emails));
  let lost = 0;
  for (const email of acked) if (sets.some((there) => !there.has(email))) lost++;
  const doubled = Object.values(found).map((emails, i) => emails.length - (sets[i]?.size ?? 0));
  return { lost, doubled: Math.max(...doubled) };
}

/** What `signoff audit` finds. */
export function countBreaches(of: Installation): Promise<number> {
  return of.withDb(async (db) => {
    let breaches = 0;
    for await (const _ of audit(db)) breaches++;
    return breaches;
  });
}

/** As a program that keeps a copy: the list, and then what changes. */
async function readFeed(of: Installation, serviceUrl: string): Promise<string[]> {
  const items: string[] = [];
  let query = '';
  for (;;) {
    const url = `${serviceUrl}/api/v1/lists/${of.list.publicId}/feed?limit=10000${query}`;
    const { changes, next_cursor, has_more } = JSON.parse(
      await textOf(url, { Authorization: `Bearer ${of.apiKey}` }),
    ) as { changes: { item: string }[]; next_cursor: string; has_more: boolean };
    items.push(...changes.map(({ item }) => item));
    if (!has_more) return items;
    query = `&cursor=${encodeURIComponent(next_cursor)}`;
  }
}

async function readMailgun({ mailgun }: Installation, serviceUrl: string): Promise<string[]> {
  const items: string[] = [];
  let path = `/v3/${mailgun.domain}/unsubscribes?limit=1000`;
  for (;;) {
    const page = JSON.parse(
      await textOf(serviceUrl + path, {
        Authorization: `Basic ${Buffer.from(`api:${mailgun.key}`).toString('base64')}`,
      }),
    ) as { items: { address: string }[]; paging: { next: string } };
    if (page.items.length === 0) return items;
    items.push(...page.items.map(({ address }) => address));
    const next = new URL(page.paging.next);
    path = next.pathname + next.search;
  }
}

async function textOf(url: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await fetch(url, { headers });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 300)}`);
  return text;
}

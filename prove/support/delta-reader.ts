import { setTimeout as sleep } from 'node:timers/promises';

export interface DeltaReader {
  /** What its copy of the list holds. */
  readonly copy: Set<string>;
  /** Deltas that it took, those that broke off or were refused, and cursors that were answered 410. */
  readonly counts: { deltas: number; failed: number; gone: number };
  /** The number of its cursor; never goes back while the feed is one. */
  readonly number: () => number;
  /** Takes deltas until there is nothing new in two of them. */
  readonly finish: () => Promise<void>;
}

const everyMs = 200;

/**
 * A mailer that keeps its own copy of a list by deltas: each begins at the cursor that the last whole one gave.
 *
 * @param origin of the service node that it asks next.
 * @param path of the list's download in plain, with the key.
 * @param cursor where it begins, with an empty copy.
 */
export function startDeltaReader(origin: () => string, path: string, cursor: string): DeltaReader {
  const copy = new Set<string>();
  const counts = { deltas: 0, failed: 0, gone: 0 };
  let isStopping = false;
  const numberOf = (text: string) => Number(text.split('.').at(-1));

  async function take(): Promise<boolean> {
    try {
      const answer = await fetch(`${origin()}${path}&cursor=${cursor}`, {
        signal: AbortSignal.timeout(30_000),
      });
      const text = await answer.text();
      if (answer.status === 410) counts.gone++;
      if (answer.status !== 200) throw new Error(`answered ${answer.status}`);
      const next = answer.headers.get('signoff-cursor') ?? '';
      if (numberOf(next) < numberOf(cursor)) throw new Error('the cursor went back');
      for (const line of text.split('\n').slice(0, -1)) {
        if (line.startsWith('+')) copy.add(line.slice(1));
        else copy.delete(line.slice(1));
      }
      cursor = next;
      counts.deltas++;
      return text !== '';
    } catch {
      counts.failed++;
      return false;
    }
  }

  const reading = (async () => {
    while (!isStopping) {
      await take();
      await sleep(everyMs);
    }
  })();
  return {
    copy,
    counts,
    number: () => numberOf(cursor),
    async finish() {
      isStopping = true;
      await reading;
      for (let empty = 0, failed = counts.failed; empty < 2;) {
        empty = (await take()) ? 0 : empty + 1;
        if (counts.failed > failed) throw new Error('a delta cannot be taken while all nodes are up');
      }
    },
  };
}

/** What a progress line is written to: standard error. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface Progress {
  /** @param share of all that there is to do, from 0 to 1; null where nobody knows. */
  show(count: number, share: number | null): void;
  /** Takes the line away, before something else is written. */
  clear(): void;
}

const eachMs = 200;
const barWidth = 24;

/**
 * A line that is written over and over; nothing at all where nobody looks.
 *
 * @param noun what is counted, in the plural.
 */
export function createProgress(terminal: Terminal, now: () => number = Date.now, noun = 'lines'): Progress {
  if (terminal.isTTY !== true) return { show: () => undefined, clear: () => undefined };
  const start = now();
  let shownAt = start;
  let isShown = false;
  return {
    show(count, share) {
      const at = now();
      if (at - shownAt < eachMs) return;
      shownAt = at;
      isShown = true;
      const rate = Math.round((count / (at - start)) * 1000);
      const counts = `${count.toLocaleString('en-US')} ${noun}, ${rate.toLocaleString('en-US')} a second`;
      const text = share === null ? counts : `${bar(share)} ${counts}`;
      // Some terminals do not know how wide they are, and say 0.
      terminal.write(`\r\x1b[K${text.slice(0, (terminal.columns || 80) - 1)}`);
    },
    clear() {
      if (isShown) terminal.write('\r\x1b[K');
      isShown = false;
    },
  };
}

function bar(share: number): string {
  const done = Math.min(1, Math.max(0, share));
  const full = Math.round(done * barWidth);
  return `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}] ${String(Math.floor(done * 100)).padStart(3)}%`;
}

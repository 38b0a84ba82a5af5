import type { PrivateDatabase } from '../test/support/mariadb.js';

export interface Setting {
  /** Whether it runs at all, and nothing about speed: little data, one round. */
  readonly isSmoke: boolean;
  /** How often each pair is measured; baseline and ours take turns within each round. */
  readonly rounds: number;
  /** Milliseconds that one window of load takes. */
  readonly windowMs: number;
  /** As many rows, or a thousandth of them (100 at least) in a smoke run. */
  readonly rows: (count: number) => number;
  /** On the disk that is measured; gone after the run. */
  readonly folder: string;
  /** The server of this run, started when it is first asked for; null where none is installed. */
  readonly mariadb: () => Promise<PrivateDatabase | null>;
  /** Tells the person at the terminal how far it is. */
  readonly say: (text: string) => void;
}

/** What one comparison came to: a row of docs/performance.md. */
export interface Figure {
  readonly what: string;
  readonly against: string;
  /** In words, as in "0.40 of it, p99 25 ms at most". */
  readonly toReach: string;
  /** One of each round, in `unit`; of the two of one round their ratio is taken. */
  readonly ours: readonly number[];
  readonly baseline: readonly number[];
  readonly unit: string;
  /** The least (or most) that the median of the ratios may be. */
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Limits beside the ratio: "p99 ms", "peak MB". */
  readonly limits?: readonly Limit[];
}

export interface Limit {
  readonly what: string;
  /** One of each round. */
  readonly seen: readonly number[];
  readonly atMost: number;
}

export interface Bench {
  /** One word, for the command line. */
  readonly name: string;
  readonly says: string;
  readonly run: (setting: Setting) => Promise<Figure[]>;
}

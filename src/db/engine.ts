import type { Knex } from 'knex';

/** At which MySQL cuts a joined value off without a word: octets. SQLite does not. */
export const joinedOctets = 4 * 1024 * 1024;

export interface ConnectOptions {
  /** How long one query, and the wait for a free connection, may take: milliseconds. */
  readonly timeoutMs: number;
  readonly poolSize: number;
}

export type SqlValue = string | number | Buffer | null;

/** What is inserted by `insertRows`. */
export interface Insertion {
  /** As in `opt_outs (list_id, tag)`. */
  readonly into: string;
  /** How many values a row has. */
  readonly columns: number;
  /** What becomes of a row that is there already: an `onRepeat` clause without values of its own. */
  readonly merge: string;
}

/** The few true differences between the two engines' SQL and errors. */
export interface Engine {
  readonly name: 'mysql' | 'sqlite';
  /** A join that is carried out in the order in which it is written. */
  readonly straightJoin: string;
  /** Stands behind a table's name and alias: read by this index (null: the primary key), whatever the statistics say. */
  readonly byIndex: (name: string | null) => string;
  readonly nullSafeEqual: string;
  /** The value that an upsert brings for a column. */
  readonly incoming: (column: string) => string;
  readonly onRepeat: string;
  readonly smaller: (a: string, b: string) => string;
  readonly larger: (a: string, b: string) => string;
  /** One value of those of many rows, as octets; of values that are null it takes no notice. `joinedOctets` at most. */
  readonly joined: (sql: string, separator: string) => string;
  /** The client's network (client-network.ts) of an `ip`, in a form that can be compared. */
  readonly clientNetwork: (column: string) => string;
  /**
   * Inserts rows, all of them or none. What Knex would make of their values takes longer than all else that is done
   * with a row here.
   *
   * @returns true where surely none of them stood before; SQLite, and MySQL of a single row, never tell.
   */
  readonly insertRows: (
    db: Knex,
    insertion: Insertion,
    rows: readonly (readonly SqlValue[])[],
  ) => Promise<boolean>;
  /** The database is away, full or too slow: whether the statement was carried out is unknown. */
  readonly isUnavailable: (error: unknown) => boolean;
  /** The statement was rolled back for a passing reason, and may be repeated at once. */
  readonly isRetryable: (error: unknown) => boolean;
}

/** What goes wrong reaches the caller as an error, and its log; Knex need not print it as well. */
export const silent = { warn() {}, error() {}, debug() {}, deprecate() {} };

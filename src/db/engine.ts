/** At which MySQL cuts a joined value off without a word: octets. SQLite does not. */
export const joinedOctets = 4 * 1024 * 1024;

export interface ConnectOptions {
  /** How long one query, and the wait for a free connection, may take: milliseconds. */
  readonly timeoutMs: number;
  readonly poolSize: number;
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
  /** What a raw statement that inserts several rows came to: true where surely none of them stood before. */
  readonly areAllNew: (result: unknown) => boolean;
  /** The database is away, full or too slow: whether the statement was carried out is unknown. */
  readonly isUnavailable: (error: unknown) => boolean;
  /** The statement was rolled back for a passing reason, and may be repeated at once. */
  readonly isRetryable: (error: unknown) => boolean;
}

/** What goes wrong reaches the caller as an error, and its log; Knex need not print it as well. */
export const silent = { warn() {}, error() {}, debug() {}, deprecate() {} };

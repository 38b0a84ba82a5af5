import type { Entry } from './entries.js';
import type { Layout } from './layouts.js';

/** What the bench asks of one layout on one engine. */
export interface Store {
  layout: Layout;
  /** Bulk loading between the measured windows: numbered as it goes, and not flushed at each commit. */
  fill(entries: Entry[]): Promise<void>;
  setFilling(isOn: boolean): Promise<void>;
  /** Records the batches with every commit flushed and the numbering running beside it. */
  record(batches: Entry[][]): Promise<Recorded>;
  size(): Promise<Size>;
  /** Runs the look-ups one after the other, and answers how many rows they found. */
  lookUp(kind: LookUp, entries: Entry[]): Promise<number>;
  /** Reads the MD5s of the big list's live rows, for at most `limit` milliseconds; answers their number. */
  scan(order: ScanOrder, limit: number): Promise<number>;
  close(): Promise<void>;
}

export interface Recorded {
  milliseconds: number;
  /** Rows that had no feed number yet when the last batch was committed, and how long they took to get it. */
  pending: number;
  drainMilliseconds: number;
  /** Statements repeated after a deadlock or a lock wait timeout: of the recorder, and of the numbering.
   * SQLite has one writer, and none of this. */
  recorderRetries?: number;
  numberingRetries?: number;
}

export interface Size {
  rows: number;
  bytes: number;
  fileBytes: number;
  /** The highest surrogate given out, where there is one. */
  lastId: number | null;
}

export type LookUp = 'address' | 'addresses' | 'md5' | 'md5s' | 'prefix' | 'domain';
export type ScanOrder = 'key' | 'id';

export const NUMBERING_ROWS = 2000;
/** How long the keeper waits between two rounds over the lists, in milliseconds. */
export const NUMBERING_PAUSE = 100;

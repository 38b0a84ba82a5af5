import { md5Of, parseAddress, sha256Of } from './address.js';
import { sources } from './opt-outs.js';

/** At this time, every row recorded until shortly before had at most this number. */
export interface FeedMark {
  readonly at: number;
  readonly number: number;
}

/** A row of `opt_outs`, as far as the audit reads it. */
export interface AuditedRow {
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly address: Buffer | null;
  readonly has_given: number;
  readonly sha256: Buffer | null;
  readonly created_at: number;
  readonly recorded_at: number;
  readonly last_at: number;
  readonly repeats: number;
  readonly source: string;
  readonly expires_at: number | null;
  readonly mailer_id: number | null;
  readonly removed_at: number | null;
  readonly removal_id: number | null;
  readonly feed_number: number | null;
  readonly counted: number;
  readonly vouched: number;
  readonly figured: number;
  readonly stands_from: number;
  readonly left_again_at: number | null;
}

export interface RowFault {
  readonly code: string;
  readonly what: string;
}

/** How far apart the clocks of nodes may be; what feed.ts reckons with as well. */
const clockSkewMs = 10 * 60_000;

/**
 * What one row shows by itself. It was read whole and committed, so nothing of it has to be read again.
 *
 * @param at the time of the audit.
 */
export function faultsOf(row: AuditedRow, marks: readonly FeedMark[], at: number): RowFault[] {
  const octets = octetFaults(row);
  // Nothing can be told by octets that are not what they should be.
  if (octets.length > 0) return octets;
  return [...addressFaults(row), ...timeFaults(row, at), ...flagFaults(row), ...feedFaults(row, marks)];
}

/** What an entry counts as, told anew from what feed.ts says: 0 suppresses nobody. */
export function kindOf({ removed_at, address, sha256, address_key }: AuditedRow): number {
  if (removed_at !== null) return 0;
  if (address !== null) return 1;
  if (sha256 === null) return 2;
  return sha256.subarray(0, 16).equals(address_key) ? 3 : 4;
}

/** SQLite holds no column to its type or length, and a text is equal to no binary. */
function octetFaults({ address_key, tag, address, sha256 }: AuditedRow): RowFault[] {
  const faults: RowFault[] = [];
  const check = (column: string, value: Buffer | null, min: number, max: number) => {
    if (value === null || (Buffer.isBuffer(value) && value.length >= min && value.length <= max)) return;
    faults.push({
      code: 'octets',
      what: `${column} is not ${min === max ? min : `${min} to ${max}`} octets`,
    });
  };
  check('address_key', address_key, 16, 16);
  check('tag', tag, 1, 128);
  check('address', address, 1, 254);
  check('sha256', sha256, 32, 32);
  return faults;
}

function addressFaults({ address_key, address, has_given, sha256 }: AuditedRow): RowFault[] {
  if (address === null) {
    return has_given === 0 ? [] : [{ code: 'hash-only', what: 'given is kept where the address is not' }];
  }
  const faults: RowFault[] = [];
  const text = address.toString();
  const parsed = parseAddress(text);
  if (!parsed.ok || parsed.address.normalised !== text) {
    faults.push({ code: 'address-form', what: 'address is not a normalised one' });
  }
  if (!md5Of(text).equals(address_key)) {
    faults.push({ code: 'address-key', what: 'address_key is not the MD5 of the address' });
  }
  if (sha256 !== null && !sha256Of(text).equals(sha256)) {
    faults.push({ code: 'address-key', what: 'sha256 is not that of the address' });
  }
  return faults;
}

/**
 * Merging keeps all of these: created_at only moves back, recorded_at stays and last_at only moves on
 * while a row suppresses, and a revival sets all three anew.
 */
function timeFaults(row: AuditedRow, at: number): RowFault[] {
  const faults: RowFault[] = [];
  const { created_at, recorded_at, last_at, removed_at, expires_at, repeats, source } = row;
  const fault = (what: string) => faults.push({ code: 'time', what });
  if (created_at > recorded_at) fault('created_at is after recorded_at');
  if (recorded_at > last_at) fault('recorded_at is after last_at');
  if ((row.left_again_at ?? 0) > last_at) fault('left_again_at is after last_at');
  if (last_at > at + clockSkewMs) fault('last_at is to come');
  if (removed_at !== null && removed_at > at + clockSkewMs) fault('removed_at is to come');
  const times = { created_at, recorded_at, last_at, removed_at, expires_at };
  for (const [name, time] of Object.entries(times)) {
    if (time !== null && !(Number.isSafeInteger(time) && time >= 0)) fault(`${name} is no time`);
  }
  if (!(Number.isSafeInteger(repeats) && repeats >= 0)) {
    faults.push({ code: 'repeats', what: 'repeats is below 0' });
  }
  if (!(sources as readonly string[]).includes(source)) {
    faults.push({ code: 'source', what: 'source is none of the known ones' });
  }
  return faults;
}

function flagFaults({ vouched, figured }: AuditedRow): RowFault[] {
  return [
    ...(vouched === 0 || vouched === 1 ? [] : [{ code: 'vouched', what: 'vouched is neither 0 nor 1' }]),
    ...([0, 1, 2].includes(figured) ? [] : [{ code: 'figures', what: 'figured is none of 0, 1 and 2' }]),
  ];
}

function feedFaults(row: AuditedRow, marks: readonly FeedMark[]): RowFault[] {
  const { feed_number, counted, recorded_at } = row;
  if (feed_number === null) return [];
  const faults: RowFault[] = [];
  if (feed_number <= 0) faults.push({ code: 'feed-number', what: `feed_number is ${feed_number}` });
  const kind = kindOf(row);
  if (counted !== kind) {
    faults.push({ code: 'counted', what: `counted is ${counted}, and the row is of kind ${kind}` });
  }
  const mark = firstMarkFrom(marks, feed_number);
  if (mark !== undefined && recorded_at > mark.at + clockSkewMs) {
    const what = `recorded long after the mark of ${mark.at}, which says that its number was given by then`;
    faults.push({ code: 'feed-mark', what });
  }
  return faults;
}

/** The earliest mark that a number lies under. */
function firstMarkFrom(marks: readonly FeedMark[], number: number): FeedMark | undefined {
  let low = 0;
  let high = marks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((marks[middle]?.number ?? Infinity) >= number) high = middle;
    else low = middle + 1;
  }
  return marks[low];
}

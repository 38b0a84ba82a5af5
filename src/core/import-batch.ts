import { retrying, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { md5Of } from './address.js';
import { findErased, hashesOfForms, type Hashes } from './erased-people.js';
import { countKnown } from './import-known.js';
import type { LayoutOptions } from './import-layout.js';
import type { ImportRow, Refusal, RowProblem } from './import-rows.js';
import type { List } from './lists.js';
import type { HashedOptOut, OptOut } from './opt-outs.js';
import { shortened } from './text.js';

export interface ImportOptions extends LayoutOptions {
  /** Of rows whose own column says none; `*` is all of the mail. */
  readonly tag: string;
  /** Makes tags known to the list that it does not know; otherwise their rows leave all of its mail. */
  readonly addsTags: boolean;
  /** Rows that begin before this line were dealt with before; 1 takes all of them. */
  readonly fromLine: number;
  /** For how long a batch is tried again while the database is away: milliseconds. */
  readonly patienceMs: number;
  readonly actor: string;
  /** Each opt-out remembers it. */
  readonly credentialId?: number | null;
  /** What a gzip file may unpack to: octets; unless it is said, as much as it does. */
  readonly mostUnpacked?: number;
  /** How many opt-outs are written in one statement; 1,000 unless it is said. */
  readonly batchRows?: number;
  /** When the import was begun, UTC milliseconds: counts the rows that the list held before; null or none does not. */
  readonly begunAt?: number | null;
}

/** What was taken in spite of something. */
export interface ImportWarning {
  readonly line: number;
  readonly problem: 'date' | 'future' | 'expires' | 'tag';
  readonly text: string;
}

/** All up to a line has been dealt with: its rows are committed, or told as refused. */
export interface ImportStep {
  readonly line: number;
  /** How many of the file's octets had been read by then, as it came. */
  readonly octets: number;
  readonly taken: number;
  /** How many of those that were taken the list held before the import was begun; 0 where nobody counts them. */
  readonly known: number;
  readonly refusals: readonly Refusal[];
  readonly warnings: readonly ImportWarning[];
}

export type Record = (optOuts: readonly (OptOut | HashedOptOut)[], onNew: () => void) => Promise<void>;

/** What the recorder writes in one statement: some ten milliseconds of SQLite's one lock. */
export const batchRows = 1000;

/** Clocks may differ; a time that is further ahead is a mistake. */
const clockSkewMs = 24 * 3_600_000;

/** Rows on their way to the database, and what else there is to tell up to their last line. */
export interface Batch {
  line: number;
  octets: number;
  readonly rows: { row: ImportRow; tags: readonly string[] }[];
  readonly refusals: Refusal[];
  readonly warnings: ImportWarning[];
}

/** Records a batch, or only looks what of it would be recorded. */
export async function store(
  db: Db,
  list: List,
  batch: Batch,
  options: ImportOptions,
  record: Record | null,
): Promise<ImportStep> {
  const { line, octets, refusals, warnings } = batch;
  const { begunAt = null, patienceMs } = options;
  // The clock of whoever began it may be ahead: what is recorded from here on was not there before.
  const now = Math.max(Date.now(), begunAt ?? 0);
  const due = batch.rows.filter(({ row }) => {
    if (isOver(row, now)) refusals.push(refusalOf(row, 'expired'));
    return !isOver(row, now);
  });
  let taken = due.length;
  let known = 0;
  if (record !== null) {
    const refused = await patiently(patienceMs, async () => {
      const all = await optOutsOf(db, list, due, now, options);
      const { refused: places, areNew } = await recordAll(all, record, options.batchRows);
      known = 0; // of an attempt before this one
      // To look for known ones takes half as long as to record them.
      if (begunAt === null || areNew) return places;
      const recorded = all.filter(({ place }) => !places.has(place));
      known = await retrying(db, patienceMs, () => countKnown(db, list.id, recorded, begunAt));
      return places;
    });
    const notTaken = due.filter((_, place) => refused.has(place));
    refusals.push(...notTaken.map(({ row }) => refusalOf(row, 'not-taken')));
    taken -= notTaken.length;
  }
  for (const { row } of due) warnings.push(...warningsOf(row, now));
  const inOrder = <T extends { line: number }>(list: T[]) => list.sort((a, b) => a.line - b.line);
  return { line, octets, taken, known, refusals: inOrder(refusals), warnings: inOrder(warnings) };
}

/** Its opt-out has ended already. */
export function isOver({ expiresAt }: ImportRow, now: number): boolean {
  return typeof expiresAt === 'number' && expiresAt <= now;
}

function refusalOf({ line, raw }: ImportRow, problem: RowProblem): Refusal {
  return { line, raw, problem };
}

/** An opt-out, and the place of its row. */
interface Placed {
  readonly place: number;
  readonly optOut: OptOut | HashedOptOut;
}

/** Of people whom the account has erased, only what an erasure keeps. */
async function optOutsOf(
  db: Db,
  list: List,
  rows: Batch['rows'],
  now: number,
  { patienceMs, credentialId = null }: ImportOptions,
): Promise<Placed[]> {
  const erased = await retrying(db, patienceMs, () => erasedOf(db, list.accountId, rows));
  return rows.flatMap(({ row: { who, createdAt, expiresAt, reason }, tags }, place): Placed[] => {
    const common = {
      listId: list.id,
      source: 'import' as const,
      createdAt: typeof createdAt === 'number' ? Math.min(createdAt, now) : now,
      recordedAt: now,
      expiresAt: typeof expiresAt === 'number' ? expiresAt : null,
      isVouched: true,
    };
    const forms = erased[place];
    const whole = { reason: reason === null ? null : shortened(reason, longestReason), credentialId };
    const named = who.address ? { address: who.address } : { hashes: who.hashes };
    return tags.flatMap((tag): Placed[] => {
      if (forms) return forms.map((hashes) => ({ place, optOut: { ...common, tag, hashes } }));
      return [{ place, optOut: { ...common, ...whole, ...named, tag } }];
    });
  });
}

/**
 * Most accounts have erased nobody: to ask for that is far cheaper than for a thousand keys.
 *
 * @returns by the place of the row, what may be kept of somebody whom the account has erased.
 */
async function erasedOf(
  db: Db,
  accountId: number,
  rows: Batch['rows'],
): Promise<readonly (readonly Hashes[] | undefined)[]> {
  const anybody: unknown = await db('erased_people').where({ account_id: accountId }).first('account_id');
  if (anybody === undefined) return [];
  const keys = rows.map(({ row: { who } }) => (who.address ? md5Of(who.address.normalised) : who.hashes.md5));
  const people = await findErased(
    db,
    accountId,
    keys.flatMap((key) => key ?? []),
  );
  return rows.map(({ row: { who } }, place) => {
    const md5 = keys[place];
    const person = md5 && people.get(md5.toString('hex'));
    if (!md5 || !person) return undefined;
    return who.address ? hashesOfForms(who.address.normalised) : [{ md5, sha256: person.sha256 }];
  });
}

/**
 * What the database refuses is found by halving, and the rest is recorded.
 *
 * @returns the places of those that it refuses, and whether the others are surely all new.
 * @throws what the database does, where it takes nothing at all: then it is not the rows.
 */
async function recordAll(
  all: readonly Placed[],
  record: Record,
  rowsAtOnce = batchRows,
): Promise<{ refused: Set<number>; areNew: boolean }> {
  const refused = new Set<number>();
  let recorded = 0;
  let fresh = 0;
  let failure: unknown;

  async function recordParts(parts: readonly Placed[]): Promise<void> {
    if (parts.length <= rowsAtOnce) {
      try {
        await record(
          parts.map(({ optOut }) => optOut),
          () => (fresh += parts.length),
        );
        recorded += parts.length;
        return;
      } catch (error) {
        if (error instanceof Unavailable) throw error;
        failure = error;
      }
    }
    const [only, ...others] = parts;
    if (only !== undefined && others.length === 0) return void refused.add(only.place);
    await recordParts(parts.slice(0, parts.length >> 1));
    await recordParts(parts.slice(parts.length >> 1));
  }

  await recordParts(all);
  if (recorded === 0 && refused.size > 0) throw failure;
  return { refused, areNew: fresh === recorded };
}

/** A database that is started anew in the middle of a long import does not end it. */
export async function patiently<T>(forMs: number, work: () => Promise<T>): Promise<T> {
  for (let deadline: number | null = null, pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1000)) {
    try {
      return await work();
    } catch (error) {
      deadline ??= Date.now() + forMs;
      if (!(error instanceof Unavailable) || Date.now() + pauseMs > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Nobody's opt-out is lost over its date or its tag: it counts from now, or for all of the mail. */
export function warningsOf({ line, createdAt, expiresAt }: ImportRow, now: number): ImportWarning[] {
  const warnings: ImportWarning[] = [];
  if (createdAt === 'unreadable') warnings.push({ line, problem: 'date', text: '' });
  if (typeof createdAt === 'number' && createdAt > now + clockSkewMs) {
    warnings.push({ line, problem: 'future', text: '' });
  }
  if (expiresAt === 'unreadable') warnings.push({ line, problem: 'expires', text: '' });
  return warnings;
}

const longestReason = 255; // octets

import type { Db } from '../db/connect.js';
import { byConsole, type DownloadRow } from './downloads.js';
import { readHistory } from './history-read.js';
import { walkByTime, type TimePlace } from './walks-by-time.js';

/**
 * Who took a list away, newest first: mailers by their access keys or in the console (the table of downloads), and
 * everybody else, by an API, in the console or on the command line, which the history notes.
 */

/** A download by a mailer. */
export interface MailerDownload {
  readonly kind: 'mailer';
  readonly id: number;
  readonly at: number;
  readonly listId: number;
  readonly mailerId: number;
  /** The last characters of the access key; empty for a user of the mailer, in the console. */
  readonly ending: string;
  readonly isByConsole: boolean;
  /** Empty where it was too old to be kept. */
  readonly ip: string;
  readonly extent: string;
  readonly format: string;
  readonly status: number;
  readonly entries: number | null;
  readonly finishedAt: number | null;
}

/** What anybody else has begun to take away; whether it came to its end, nobody has noted. */
export interface NotedDownload {
  readonly kind: 'noted';
  readonly id: number;
  readonly at: number;
  readonly listId: number;
  readonly actor: string;
  /** Of the history. */
  readonly action: string;
  /** The API; empty where it was none. */
  readonly surface: string;
  readonly format: string;
  readonly entries: number | null;
}

export type Access = MailerDownload | NotedDownload;

/** Of one list, of one mailer, or both. A mailer's has nobody else in it. */
export interface AccessScope {
  readonly accountId: number;
  readonly listId?: number;
  readonly mailerId?: number;
  /** Of everybody but mailers. */
  readonly isNotedOnly?: boolean;
}

/** Behind which entry it goes on. */
export interface AccessPlace extends TimePlace {
  readonly kind: Access['kind'];
}

export interface AccessPage {
  readonly entries: Access[];
  readonly next: AccessPlace | null;
  /** There may be more that fit, further back than was looked. */
  readonly isCut: boolean;
}

interface AccessOptions {
  readonly before?: AccessPlace | null;
  /** At most 500. */
  readonly limit: number;
  readonly mostRows?: number;
}

/**
 * An export is noted when it begins, and again when it has come to its end; a search, where a mailer has looked at
 * addresses; a scrub, where it was none of a mailer's.
 */
const takingAway: ReadonlySet<string> = new Set([
  ...['list.downloaded', 'list.export-started', 'list.searched', 'list.scrubbed'],
]);

type Row = DownloadRow & { readonly access_key_id: number };

const columns = [
  ...['id', 'at', 'list_id', 'mailer_id', 'access_key_id', 'ip'],
  ...['extent', 'format', 'status', 'entries', 'finished_at'],
];

export async function readAccessLog(
  db: Db,
  scope: AccessScope,
  { before = null, limit, mostRows }: AccessOptions,
): Promise<AccessPage> {
  const options = { limit: limit + 1, mostRows };
  const byMailers =
    scope.isNotedOnly === true
      ? { entries: [], cutAt: null }
      : await downloadsIn(db, scope, { ...options, before: placeAmong('mailer', before) });
  const byOthers =
    scope.listId === undefined || scope.mailerId !== undefined
      ? { entries: [], cutAt: null }
      : await notedIn(db, scope.accountId, scope.listId, limit + 1, placeAmong('noted', before), mostRows);

  const all: Access[] = [...byMailers.entries, ...byOthers.entries].sort(newestFirst);
  const cuts: AccessPlace[] = [
    ...(byMailers.cutAt === null ? [] : [{ ...byMailers.cutAt, kind: 'mailer' as const }]),
    ...(byOthers.cutAt === null ? [] : [{ ...byOthers.cutAt, kind: 'noted' as const }]),
  ].sort(newestFirst);
  // Beyond where one of the two was given up, nobody knows what stands between the other's.
  const [cut = null] = cuts;
  const known = cut === null ? all : all.filter((one) => newestFirst(one, cut) <= 0);
  const entries = known.slice(0, limit);
  const last = entries.at(-1);
  if (known.length > limit && last !== undefined) {
    return { entries, next: { at: last.at, id: last.id, kind: last.kind }, isCut: false };
  }
  return { entries, next: cut, isCut: cut !== null };
}

/** When a mailer last asked for one of its lists; null: never. */
export async function lastDownloadAt(db: Db, mailerId: number): Promise<number | null> {
  const row = await db<DownloadRow>('downloads')
    .where({ mailer_id: mailerId })
    .orderBy('at', 'desc')
    .first('at');
  return row?.at ?? null;
}

async function downloadsIn(
  db: Db,
  { listId, mailerId }: AccessScope,
  options: { before: TimePlace | null; limit: number; mostRows: number | undefined },
): Promise<{ entries: MailerDownload[]; cutAt: TimePlace | null }> {
  // There is an index for either; a mailer's has the fewer rows.
  const by =
    mailerId === undefined
      ? { index: 'downloads_list', among: { list_id: listId ?? 0 } }
      : { index: 'downloads_mailer', among: { mailer_id: mailerId } };
  const { rows, cutAt } = await walkByTime<Row>(
    db,
    { table: 'downloads', columns, ...by },
    (row) => listId === undefined || row.list_id === listId,
    options,
  );
  const endings = await endingsOf(
    db,
    rows.map(({ access_key_id }) => access_key_id),
  );
  return { entries: rows.map((row) => downloadOf(row, endings.get(row.access_key_id) ?? '')), cutAt };
}

async function notedIn(
  db: Db,
  accountId: number,
  listId: number,
  limit: number,
  before: TimePlace | null,
  mostRows: number | undefined,
): Promise<{ entries: NotedDownload[]; cutAt: TimePlace | null }> {
  const { entries, next, isCut } = await readHistory(
    db,
    accountId,
    { listId, actions: takingAway },
    { before, limit, ...(mostRows === undefined ? {} : { mostRows }) },
  );
  return {
    entries: entries.map(({ id, at, actor, action, details }) => ({
      ...{ kind: 'noted', id, at, listId, actor, action },
      surface: typeof details.surface === 'string' ? details.surface : '',
      format: typeof details.format === 'string' ? details.format : '',
      entries: typeof details.rows === 'number' ? details.rows : null,
    })),
    cutAt: isCut ? next : null,
  };
}

/** At one and the same millisecond, mailers stand before the others. */
function newestFirst(one: AccessPlace, other: AccessPlace): number {
  if (one.at !== other.at) return other.at - one.at;
  if (one.kind !== other.kind) return one.kind === 'mailer' ? -1 : 1;
  return other.id - one.id;
}

function placeAmong(kind: Access['kind'], before: AccessPlace | null): TimePlace | null {
  if (before === null || before.kind === kind) return before;
  return { at: before.at, id: kind === 'noted' ? Number.MAX_SAFE_INTEGER : 0 };
}

async function endingsOf(db: Db, ids: readonly number[]): Promise<Map<number, string>> {
  const rows = await db<{ id: number; ending: string }>('access_keys')
    .whereIn('id', [...new Set(ids)])
    .select('id', 'ending');
  return new Map(rows.map(({ id, ending }) => [id, ending]));
}

function downloadOf(row: Row, ending: string): MailerDownload {
  const { id, at, ip, extent, format, status, entries } = row;
  return {
    ...{ kind: 'mailer', id, at, ip, extent, format, status, entries, ending },
    listId: row.list_id,
    mailerId: row.mailer_id,
    finishedAt: row.finished_at,
    isByConsole: row.access_key_id === byConsole,
  };
}

import type { Db } from '../db/connect.js';

/** One line of a list's access log. */
export interface Download {
  readonly listId: number;
  readonly mailerId: number;
  /** Or `byConsole`. */
  readonly accessKeyId: number;
  readonly ip: string;
  readonly extent: 'all' | 'since' | 'delta' | 'scrub';
  /** Of a scrub, which list it gives back: `black` or `white`. */
  readonly format: string;
  readonly status: number;
  /** What it returns, where that is known beforehand. */
  readonly entries?: number;
}

/** In place of the id of an access key: a user of the mailer, in the console. */
export const byConsole = 0;

/** Written before the first byte goes out: nothing leaves unlogged. */
export async function logDownload(db: Db, download: Download): Promise<number> {
  const [id] = await db('downloads').insert({
    list_id: download.listId,
    mailer_id: download.mailerId,
    access_key_id: download.accessKeyId,
    at: Date.now(),
    ip: download.ip,
    extent: download.extent,
    format: download.format,
    status: download.status,
    entries: download.entries ?? null,
  });
  return id as number;
}

/** A download that was cut off keeps neither number nor end; a scrub no end. */
export async function logDownloadEnd(db: Db, id: number, entries: number): Promise<void> {
  await db('downloads').where({ id }).update({ entries, finished_at: Date.now() });
}

export interface DownloadRow {
  id: number;
  list_id: number;
  mailer_id: number;
  at: number;
  /** Empty where it was too old to be kept (retention.ts). */
  ip: string;
  extent: string;
  format: string;
  status: number;
  entries: number | null;
  finished_at: number | null;
}

/** Newest first; at most 1,000. */
export async function downloadsOfList(db: Db, listId: number, limit = 100): Promise<DownloadRow[]> {
  const rows = await db<DownloadRow>('downloads')
    .where({ list_id: listId })
    .orderBy('at', 'desc')
    .limit(Math.min(limit, 1000));
  return rows;
}

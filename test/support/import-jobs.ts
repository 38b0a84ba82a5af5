import { openNextImport } from '../../src/core/import-job-run.js';
import { getImportJob, type ImportJob } from '../../src/core/import-jobs.js';
import { refusalsOf, type KeptRefusal } from '../../src/core/import-refusals.js';
import { uploadImport, type UploadImportOptions } from '../../src/core/import-upload.js';
import type { List } from '../../src/core/lists.js';
import { createRecorder } from '../../src/core/recorder.js';
import type { Db } from '../../src/db/connect.js';

/** A text in pieces of so many octets, as a network might bring it. */
export async function* piecesOf(text: string | Buffer, octets = 64 * 1024): AsyncGenerator<Buffer> {
  const whole = Buffer.from(text);
  for (let at = 0; at < whole.length; at += octets) {
    await Promise.resolve();
    yield whole.subarray(at, at + octets);
  }
}

export function uploadText(
  db: Db,
  list: List,
  text: string | Buffer | AsyncIterable<Buffer>,
  options: Partial<UploadImportOptions> = {},
): Promise<ImportJob> {
  const octets = typeof text === 'string' || Buffer.isBuffer(text) ? piecesOf(text) : text;
  const whole = { actor: 'test', credentialId: null, fileName: 'a.csv', patienceMs: 5000, ...options };
  return uploadImport(db, list, whole, octets);
}

/** As the keeper does, but at once: all jobs that wait, or so many steps of them. */
export async function carryOut(db: Db, mostSteps = Infinity): Promise<void> {
  const recorder = createRecorder(db, { queueRows: 20_000, timeoutMs: 5000, onCommit: () => undefined });
  for (let steps = 0; steps < mostSteps;) {
    const run = await openNextImport(db, (optOuts) => recorder.record(optOuts), 2000);
    if (run === null) return;
    try {
      while (++steps < mostSteps && (await run.next()));
    } finally {
      await run.close();
    }
  }
}

/** Uploaded and carried out. */
export async function imported(
  db: Db,
  list: List,
  text: string | Buffer,
  options: Partial<UploadImportOptions> = {},
): Promise<ImportJob> {
  const { id } = await uploadText(db, list, text, options);
  await carryOut(db);
  return getImportJob(db, id);
}

export async function keptRefusals(db: Db, job: ImportJob): Promise<KeptRefusal[]> {
  const all: KeptRefusal[] = [];
  for await (const rows of refusalsOf(db, job)) all.push(...rows);
  return all;
}

/** `column,…` and so many rows `p0@example.com`. */
export function csvOf(rows: number, prefix = 'p'): string {
  return `address\n${Array.from({ length: rows }, (_, i) => `${prefix}${i}@example.com\n`).join('')}`;
}

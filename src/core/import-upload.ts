import { retrying, type Db } from '../db/connect.js';
import { TooMany, Unavailable } from '../errors.js';
import { deleteChunks, inChunks, writeChunk } from './import-chunks.js';
import {
  getImportJob,
  plainImport,
  type ImportJob,
  type ImportJobOptions,
  type ImportJobRow,
} from './import-jobs.js';
import { newPublicId, type List } from './lists.js';
import { shortened } from './text.js';

/** How many imports of an account may wait or run at once, so that nobody fills the disk. */
export const mostUnfinished = 100;

/** And how much their files may come to by then: octets. */
export const mostOctets = 2 * 1024 ** 3;

/** An upload to which nothing has been added for so long was left by a process that was killed: milliseconds. */
export const abandonedMs = 3_600_000;

/** What one file may come to, as it comes: octets. */
export const mostFileOctets = 100 * 1024 ** 2;

/** How long a file waits to be mapped before it is forgotten: milliseconds. */
export const heldMs = 24 * 3_600_000;

/** How the file is read, as `plainImport` unless it is said; its `tag` is one that the list knows, or `*`. */
export interface UploadImportOptions extends Partial<ImportJobOptions> {
  /** Who the history says it was: at most 64 characters of ASCII. */
  readonly actor: string;
  /** Each opt-out remembers it; null for none. */
  readonly credentialId: number | null;
  /** As its client calls it; what is too long of it is cut. */
  readonly fileName: string | null;
  /** It waits until somebody says how it is to be read: see startImportJob. */
  readonly isHeld?: boolean;
  /** For how long a statement is repeated while the database is busy: milliseconds. */
  readonly patienceMs: number;
}

/**
 * Stores a file as it streams, in flat memory; the job that it makes is carried out by the keeper, or held. Once this
 * resolves, the file is safe. Where it breaks off (where `octets` throws), what was stored is removed again.
 *
 * @throws TooMany where the account has 100 imports that are not over, or 2 GB of them.
 * @throws Unavailable
 * @throws whatever `octets` does.
 */
export async function uploadImport(
  db: Db,
  list: List,
  { actor, credentialId, fileName, patienceMs, isHeld = false, ...options }: UploadImportOptions,
  octets: AsyncIterable<Buffer>,
): Promise<ImportJob> {
  const repeated = <T>(work: () => Promise<T>) => retrying(db, patienceMs, work);
  const now = Date.now();
  const row = {
    public_id: newPublicId(),
    account_id: list.accountId,
    list_id: list.id,
    credential_id: credentialId,
    actor,
    file_name: fileName === null ? null : shortened(fileName, 255),
    options: JSON.stringify({ ...plainImport, ...options }),
    state: 'uploading' as const,
    warnings: '{}',
    created_at: now,
    due_at: now + abandonedMs,
  };
  const [id = 0] = await repeated(() => db<ImportJobRow>('import_jobs').insert(row));
  try {
    await repeated(() => refuseTooMany(db, list.accountId, id));
    const stored = await storeChunks(db, id, octets, repeated);
    await repeated(() => release(db, id, stored, isHeld));
  } catch (error) {
    // Where the database is away, the keeper does it later.
    await removeUpload(db, id).catch(() => undefined);
    throw error;
  }
  return repeated(() => getImportJob(db, id));
}

/** Of several that come at once, those that came first count. */
async function refuseTooMany(db: Db, accountId: number, id: number): Promise<void> {
  const unfinished = await db<ImportJobRow>('import_jobs')
    .where({ account_id: accountId })
    .whereIn('state', ['uploading', 'held', 'waiting', 'running'])
    .where('id', '<', id)
    .limit(mostUnfinished)
    .select('octets');
  const octets = unfinished.reduce((sum, row) => sum + row.octets, 0);
  if (unfinished.length < mostUnfinished && octets < mostOctets) return;
  throw new TooMany(
    'too-many-imports',
    `This account has ${unfinished.length} imports that are not done yet: wait until some of them are.`,
  );
}

const heartbeatMs = 60_000;

async function storeChunks(
  db: Db,
  id: number,
  octets: AsyncIterable<Buffer>,
  repeated: (work: () => Promise<void>) => Promise<void>,
): Promise<{ octets: number; chunks: number }> {
  const stored = { octets: 0, chunks: 0 };
  let toldAt = Date.now();
  for await (const chunk of inChunks(octets)) {
    await repeated(() => writeChunk(db, id, stored.chunks, chunk));
    stored.chunks++;
    stored.octets += chunk.length;
    const now = Date.now();
    if (now < toldAt + heartbeatMs) continue;
    toldAt = now;
    await repeated(async () => {
      await db<ImportJobRow>('import_jobs')
        .where({ id, state: 'uploading' })
        .update({ due_at: now + abandonedMs });
    });
  }
  return stored;
}

/** From here on it is carried out, or held, whatever becomes of this process. May be repeated. */
async function release(
  db: Db,
  id: number,
  stored: { octets: number; chunks: number },
  isHeld: boolean,
): Promise<void> {
  const next = isHeld
    ? { state: 'held' as const, due_at: Date.now() + heldMs }
    : { state: 'waiting' as const, due_at: null };
  const released = await db<ImportJobRow>('import_jobs')
    .where({ id, state: 'uploading' })
    .update({ ...stored, ...next });
  if (released === 1) return;
  const standing = await db<ImportJobRow>('import_jobs').where({ id }).first('state');
  if (standing === undefined || standing.state === 'broken') {
    throw new Unavailable('the upload took so long that it was given up');
  }
}

/**
 * Takes back an upload that broke off; nothing, where it was whole. Marked first: what is half deleted must
 * not become a job.
 */
async function removeUpload(db: Db, id: number): Promise<void> {
  await db<ImportJobRow>('import_jobs')
    .where({ id, state: 'uploading' })
    .update({ state: 'broken', due_at: 0 });
  while (await removeBroken(db, id));
}

/**
 * Deletes a slice of an upload that broke off; and of one that was deleted already, and went on all the same.
 *
 * @returns whether there is more of it.
 */
export async function removeBroken(db: Db, id: number): Promise<boolean> {
  const standing = await db<ImportJobRow>('import_jobs').where({ id }).first('state');
  if (standing !== undefined && standing.state !== 'broken') return false;
  if (await deleteChunks(db, id)) return true;
  await db<ImportJobRow>('import_jobs').where({ id, state: 'broken' }).delete();
  return false;
}

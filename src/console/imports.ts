import { endImportJob } from '../core/import-job-changes.js';
import { importJobsOfList, type ImportJob } from '../core/import-jobs.js';
import { previewImport } from '../core/import-preview.js';
import { mostFileOctets, uploadImport } from '../core/import-upload.js';
import { Refused } from '../errors.js';
import { closeUnread, problemOf } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import { readUpload } from '../http/upload.js';
import { changing } from './changing.js';
import { checkUploadToken } from './door.js';
import { view, type ListVisit, type PageAnswer, type Screen } from './screen.js';
import { hasConsoleText } from './texts.js';

const page = view('console/imports.ejs');

const jobsAPage = 20;

/** The imports of a list, newest first, and the form that uploads a file for another one. */
export const imports: Screen<ListVisit> = {
  takesUpload: true,
  show: (visit) => shown(visit, null),
  async act(visit) {
    try {
      const job = await uploaded(visit);
      return { redirect: `/console/lists/${visit.list.publicId}/imports/${job.publicId}` };
    } catch (error) {
      const fault = faultOf(visit, error);
      if (fault === null) throw error;
      const { status } = problemOf(visit.deps, error);
      closeUnread(visit.req, visit.res, status);
      return { ...(await shown(visit, fault)), status: error instanceof HttpError ? status : 422 };
    }
  },
};

async function shown({ deps, t, list, query }: ListVisit, fault: string | null): Promise<PageAnswer> {
  const before = Number(/^\d{1,15}$/.exec(query.get('before') ?? '')?.[0] ?? Number.MAX_SAFE_INTEGER);
  const found = await importJobsOfList(deps.db, list, { before, limit: jobsAPage + 1 });
  const jobs = found.slice(0, jobsAPage);
  return page(t('imports.title'), {
    jobs,
    fault,
    isFirst: before === Number.MAX_SAFE_INTEGER,
    next: found.length > jobsAPage ? (jobs.at(-1)?.id ?? null) : null,
    // 100 MB, as people count them.
    most: (mostFileOctets / 1024 ** 2) * 1e6,
  });
}

/** Held, until its columns are mapped. */
async function uploaded(visit: ListVisit): Promise<ImportJob> {
  const { deps, req, list, actor } = visit;
  const { db, config } = deps;
  const job = await readUpload(req, { limit: mostFileOctets }, (octets, { fields, fileName }) => {
    checkUploadToken(visit, fields);
    const options = {
      actor,
      credentialId: null,
      fileName,
      isHeld: true,
      patienceMs: config.databaseTimeoutMs,
    };
    return uploadImport(db, list, options, octets);
  });
  try {
    await previewImport(db, list, job);
  } catch (error) {
    // Nobody can map what is no text.
    if (error instanceof Refused) await changing(deps, (trx) => endImportJob(trx, job.id, actor));
    throw error;
  }
  return job;
}

/** What is wrong with a file that was uploaded, and what to do; null for what is not the file's doing. */
function faultOf({ t }: ListVisit, error: unknown): string | null {
  const code = error instanceof HttpError ? error.code : error instanceof Refused ? error.reason : '';
  const key = `imports.fault.${code}`;
  return hasConsoleText(key) ? t(key) : null;
}

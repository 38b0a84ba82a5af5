import { findImportJob, type ImportJob } from '../core/import-jobs.js';
import { endImportJob, restartImportJob, startImportJob } from '../core/import-job-changes.js';
import { previewImport } from '../core/import-preview.js';
import { progressOf } from '../core/import-progress.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { NotFound } from '../errors.js';
import { changing } from './changing.js';
import {
  columnsShown,
  mappingIn,
  separatorOf,
  separators,
  wholeOptions,
  type MappingForm,
} from './import-mapping.js';
import { view, type ListVisit, type PageAnswer, type Screen } from './screen.js';
import { hasConsoleText } from './texts.js';

const heldPage = view('console/import-held.ejs');
const goingPage = view('console/import-going.ejs');
const endPage = view('console/import-end.ejs');
const overPage = view('console/import-over.ejs');

/** How often a page of an import that goes on is read again: seconds. */
const refreshSeconds = 3;

/** How many rows of the preview are shown; and how many more of those that would be refused. */
const rowsShown = 20;

/** One import: to be mapped, on its way, or over. */
export const oneImport: Screen<ListVisit> = {
  async show(visit) {
    const job = await importOf(visit);
    if (job.state === 'held') return held(visit, job, formIn(visit));
    return job.state === 'done' || job.state === 'failed' ? over(visit, job) : going(visit, job);
  },
  async act(visit) {
    const { deps, form, list, actor } = visit;
    const job = await importOf(visit);
    const { options, delimiter } = mappingIn(form ?? new URLSearchParams(), list);
    const isStart = form?.get('do') === 'start' && options.mapping !== undefined;
    if (!isStart && job.state === 'held') return held(visit, job, { options, delimiter });
    await changing(deps, (trx) => startImportJob(trx, job.id, wholeOptions(options), actor));
    deps.keeper.wake();
    return { redirect: pathOf(visit, job) };
  },
};

/** Ends an import that is on its way, and forgets one that is held. */
export const importEnd: Screen<ListVisit> = {
  async show(visit) {
    const { t } = visit;
    const job = await importOf(visit);
    if (job.state === 'done' || job.state === 'failed') return { redirect: pathOf(visit, job) };
    return endPage(t(job.state === 'held' ? 'imports.end.forgetTitle' : 'imports.end.title'), { job });
  },
  async act(visit) {
    const job = await importOf(visit);
    await changing(visit.deps, (trx) => endImportJob(trx, job.id, visit.actor));
    if (job.state !== 'held') return { redirect: pathOf(visit, job), done: 'import-ended' };
    return { redirect: `/console/lists/${visit.list.publicId}/imports`, done: 'import-forgotten' };
  },
};

/** Lets an import that was given up go on. */
export const importRestart: Screen<ListVisit> = {
  async act(visit) {
    const job = await importOf(visit);
    await changing(visit.deps, (trx) => restartImportJob(trx, job.id, visit.actor));
    visit.deps.keeper.wake();
    return { redirect: pathOf(visit, job), done: 'import-restarted' };
  },
};

/** @throws NotFound as well for an import of another list. */
export async function importOf({ deps, list, params }: ListVisit): Promise<ImportJob> {
  const job = await findImportJob(deps.db, params.import ?? '');
  if (job?.listId !== list.id) throw new NotFound('This list has no such import.');
  return job;
}

function pathOf({ list }: ListVisit, job: ImportJob): string {
  return `/console/lists/${list.publicId}/imports/${job.publicId}`;
}

/** What was sent; nothing of it, where that is what was wrong. */
function formIn({ form, list }: ListVisit): MappingForm {
  try {
    if (form !== null) return mappingIn(form, list);
  } catch {
    // The page shows what was sent, and what was wrong with it.
  }
  return { options: {}, delimiter: null };
}

async function held(
  visit: ListVisit,
  job: ImportJob,
  { options, delimiter }: MappingForm,
): Promise<PageAnswer> {
  const { deps, t, list } = visit;
  const preview = await previewImport(deps.db, list, job, options, delimiter);
  const refused = preview.rows.filter(({ problem }) => problem !== null);
  const separator = separatorOf(preview.options);
  return heldPage(t('imports.held.title'), {
    job,
    preview,
    separator,
    separators,
    columns: columnsShown(preview),
    // Columns that nobody has seen yet are as they were found, whatever was sent of others.
    isAsSent: visit.form?.get('shownSeparator') === separator,
    tags: [EVERYTHING, ...[...list.tags].sort()],
    rows: preview.rows.slice(0, rowsShown),
    looked: preview.rows.length,
    refused: refused.length,
    taken: preview.rows.length - refused.length,
    moreRefused: refused.filter((row) => preview.rows.indexOf(row) >= rowsShown).slice(0, rowsShown),
  });
}

function going({ t, now }: ListVisit, job: ImportJob): PageAnswer {
  return goingPage(t('imports.going.title'), { job, progress: progressOf(job, now), refreshSeconds });
}

function over({ t, now, formats }: ListVisit, job: ImportJob): PageAnswer {
  const { failure } = job;
  const key = `imports.failure.${failure?.code ?? ''}`;
  const line = formats.number(job.lines);
  return overPage(t(`imports.over.${failure === null ? 'done' : 'failed'}`), {
    job,
    progress: progressOf(job, now),
    failure: failure === null ? null : hasConsoleText(key) ? t(key, { line }) : failure.message,
    warnings: Object.entries(job.warnings).filter(([, rows]) => rows > 0),
  });
}

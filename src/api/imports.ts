import { z } from 'zod';
import { findImportJob, importJobsOfList, importJobStates, type ImportJob } from '../core/import-jobs.js';
import { decoded } from '../core/import-layout.js';
import { refusalsOf, type KeptRefusal } from '../core/import-refusals.js';
import type { List } from '../core/lists.js';
import { reasonOf } from '../core/row-faults.js';
import type { Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import { defineOperation, nothing } from './operation.js';
import { cursorParameter, linkHeader, placeOf, readPage } from './paging.js';
import { listParameter, timeOrNull, timeText, wholeNumber } from './schemas.js';

/** What becomes of the files that were uploaded; import-upload.ts takes them in. */

export const group = 'Imports';

const importParameter = z.string().meta({ description: "The import's id.", example: 'w8nq4tz2kc5rvx7jb3mh' });

const count = (description: string) => z.int().meta({ description });

export const importAnswer = z
  .object({
    id: importParameter,
    state: z.enum(importJobStates).meta({
      description:
        '`uploading`: not all of it has come. `held`: it came by the console, and somebody has yet to say there ' +
        'how it is to be read; it is forgotten after a day. `waiting`: it is safe, and its turn comes. `failed`: all that ' +
        'could be done was done, and `failure` says why that is not all of it.',
    }),
    file_name: z.string().nullable().meta({ description: 'As a form called it.' }),
    octets: count('Of the file as it came.'),
    format: z.string().nullable().meta({ description: 'How it was read; null while that is not known.' }),
    tag: z.string().meta({ description: 'Of rows that name none; `*` is all mail.' }),
    lines: count('How many of its lines have been dealt with.'),
    taken: count('Rows that are recorded.'),
    known: z.int().nullable().meta({
      description:
        'How many of those the list held before the import was begun; null where nobody counted them.',
    }),
    refused: count('Rows that could not be taken.'),
    warnings: z
      .object({
        date: count('The time at which they left cannot be read: it counts as now.'),
        future: count('That time is still to come: it counts as now.'),
        expires: count('The time at which it ends cannot be read: it counts as none.'),
        tag: count('The list does not know the tag: all mail is left.'),
      })
      .meta({ id: 'ImportWarnings', description: 'Rows that were taken in spite of something.' }),
    failure: z.object({ code: z.string(), detail: z.string() }).nullable(),
    credential_id: z.int().nullable().meta({ description: 'The key that brought it.' }),
    created_at: z.iso.datetime(),
    begun_at: z.iso.datetime().nullable(),
    finished_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Import' });

export const exampleImport = {
  id: 'w8nq4tz2kc5rvx7jb3mh',
  state: 'done',
  file_name: null,
  octets: 48213,
  format: 'csv',
  tag: '*',
  lines: 1205,
  taken: 1203,
  known: 17,
  refused: 1,
  warnings: { date: 0, future: 0, expires: 0, tag: 0 },
  failure: null,
  credential_id: 7,
  created_at: '2026-01-31T12:00:00.000Z',
  begun_at: '2026-01-31T12:00:00.500Z',
  finished_at: '2026-01-31T12:00:01.000Z',
};

export const listImports = defineOperation({
  id: 'listImports',
  method: 'get',
  path: '/lists/{list}/imports',
  right: 'read',
  group,
  summary: 'Imports',
  description: 'The files that were uploaded for the list, by this API or another one, newest first.',
  parameters: z.strictObject({ list: listParameter }),
  query: z.strictObject({
    limit: wholeNumber(1, 100).optional().meta({ description: 'Imports a page; 50 unless given.' }),
    cursor: cursorParameter,
  }),
  body: null,
  answers: {
    200: {
      description: 'A page of imports.',
      schema: z.object({ imports: z.array(importAnswer) }),
      example: { imports: [exampleImport] },
      headers: { Link: 'The other pages: rel `first` and `next` (RFC 8288).' },
    },
  },
  example: { query: { limit: '10' } },
  async carryOut({ deps, list, query: { limit, cursor } }) {
    const search = ['imports', list.publicId];
    const place = placeOf(deps, search, cursor);
    const before = place === null ? {} : { before: Number(place.beyond) };
    const find = (most: number) => importJobsOfList(deps.db, list, { ...before, limit: most });
    const page = { ...(await readPage(place, limit ?? 50, find)), hasPrevious: false };
    const headers = linkHeader(deps, search, page, {
      path: `/lists/${list.publicId}/imports`,
      query: { limit },
      placeIn: ({ id }) => String(id),
    });
    return { status: 200, body: { imports: page.items.map(told) }, headers };
  },
});

const one = z.strictObject({ list: listParameter, import: importParameter });

export const getImport = defineOperation({
  id: 'getImport',
  method: 'get',
  path: '/lists/{list}/imports/{import}',
  right: 'read',
  group,
  summary: 'One import',
  description: 'How far it has come. It is over once `finished_at` is there.',
  parameters: one,
  query: nothing,
  body: null,
  answers: { 200: { description: 'The import.', schema: importAnswer, example: exampleImport } },
  example: {},
  async carryOut({ deps, list, parameters }) {
    return { status: 200, body: told(await jobIn(deps.db, list, parameters.import)) };
  },
});

export const listRefusedRows = defineOperation({
  id: 'listRefusedRows',
  method: 'get',
  path: '/lists/{list}/imports/{import}/refused',
  right: 'read',
  group,
  summary: 'Refused rows',
  description:
    'The rows that an import could not take, by line, while it is still at work as well. The first 10,000 of ' +
    'them are kept, and their texts for 30 days.',
  parameters: one,
  query: z.strictObject({
    limit: wholeNumber(1, 1000).optional().meta({ description: 'Rows a page; 100 unless given.' }),
    cursor: cursorParameter,
  }),
  body: null,
  answers: {
    200: {
      description: 'A page of rows.',
      schema: z.object({
        refused: z.array(
          z
            .object({
              line: z.int().meta({ description: 'Its first line in the file, from 1.' }),
              reason: z.string().meta({ description: 'A stable code.' }),
              detail: z.string(),
              text: z.string().nullable().meta({
                description: 'Its beginning; null once it is forgotten, and of somebody who was erased.',
              }),
            })
            .meta({ id: 'RefusedRow' }),
        ),
      }),
      example: {
        refused: [{ line: 17, reason: 'no-at', detail: 'The address has no @.', text: 'ann.example.com' }],
      },
      headers: { Link: 'The other pages: rel `first` and `next` (RFC 8288).' },
    },
  },
  example: {},
  async carryOut({ deps, list, parameters, query: { limit, cursor } }) {
    const job = await jobIn(deps.db, list, parameters.import);
    const search = ['refused rows', job.publicId];
    const place = placeOf(deps, search, cursor);
    const find = (most: number) =>
      refusalsBehind(deps.db, job, place === null ? -1 : Number(place.beyond), most);
    const page = { ...(await readPage(place, limit ?? 100, find)), hasPrevious: false };
    const headers = linkHeader(deps, search, page, {
      path: `/lists/${list.publicId}/imports/${job.publicId}/refused`,
      query: { limit },
      placeIn: ({ line }) => String(line),
    });
    return { status: 200, body: { refused: page.items.map(rowTold) }, headers };
  },
});

/** @throws NotFound as well for an import of another list. */
async function jobIn(db: Db, list: List, id: string): Promise<ImportJob> {
  const job = await findImportJob(db, id);
  if (job?.listId !== list.id) throw new NotFound('This list has no such import.');
  return job;
}

async function refusalsBehind(db: Db, job: ImportJob, line: number, most: number): Promise<KeptRefusal[]> {
  const found: KeptRefusal[] = [];
  for await (const rows of refusalsOf(db, job, line)) {
    found.push(...rows.slice(0, most - found.length));
    if (found.length === most) break;
  }
  return found;
}

export function told(job: ImportJob): unknown {
  const { warnings, failure } = job;
  return {
    id: job.publicId,
    state: job.state,
    file_name: job.fileName,
    octets: job.octets,
    format: job.format,
    tag: job.options.tag,
    lines: job.lines,
    taken: job.taken,
    known: job.known,
    refused: job.refused,
    warnings: {
      date: warnings.date ?? 0,
      future: warnings.future ?? 0,
      expires: warnings.expires ?? 0,
      tag: warnings.tag ?? 0,
    },
    failure: failure === null ? null : { code: failure.code, detail: failure.message },
    credential_id: job.credentialId,
    created_at: timeText(job.createdAt),
    begun_at: timeOrNull(job.begunAt),
    finished_at: timeOrNull(job.finishedAt),
  };
}

function rowTold({ line, problem, text }: KeptRefusal): unknown {
  const reason = reasonOf(problem);
  const detail = `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
  return { line, reason: problem, detail, text: text === null ? null : decoded(text) };
}

import { z } from 'zod';
import { importFormats } from '../core/import-layout.js';
import { mostFileOctets, uploadImport } from '../core/import-upload.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { readUpload } from '../http/upload.js';
import { oncePerKey } from './import-once.js';
import { exampleImport, group, importAnswer, told } from './imports.js';
import { defineOperation } from './operation.js';
import { tag, unknownTag, unknownTags } from './opt-out-shapes.js';
import { invalid } from './problems.js';
import { listParameter } from './schemas.js';

const mostMegabytes = mostFileOctets / 1024 ** 2;

const column = (description: string) => z.string().min(1).max(200).optional().meta({ description });
const yesOrNo = (description: string) => z.enum(['yes', 'no']).optional().meta({ description });

export const postImport = defineOperation({
  id: 'postImport',
  method: 'post',
  path: '/lists/{list}/imports',
  right: 'record',
  group,
  summary: 'Import a file',
  description:
    `A file of addresses, MD5s or SHA-256s, of up to ${mostMegabytes} MB as it comes: text (one a line) or CSV, in ` +
    'UTF-8 or UTF-16, gzipped or not; as the body itself, or the first file of a form. It is answered once ' +
    'the file is safe, and imported then, whatever becomes of the service meanwhile: ask for the import to ' +
    'see how far it is. Rows that cannot be taken do not keep the others back. To import a file again is ' +
    'harmless; with an Idempotency-Key, the same file makes one import, and another file under the same key ' +
    'is refused. An account may have 100 imports that are not over.',
  parameters: z.strictObject({ list: listParameter }),
  query: z.strictObject({
    format: z.enum(importFormats).optional().meta({
      description:
        '`auto`, the default, finds out; `csv`; `text` has an address a line, `md5` and `sha256` a hash a line.',
    }),
    tag: tag
      .optional()
      .meta({ description: 'Of rows that name none, of those the list knows; without it, all mail.' }),
    column: column('The column that says who has left, by its name, or its number from 1.'),
    tag_column: column('That of the tag.'),
    date_column: column('That of the time at which they left.'),
    reason_column: column('That of the reason.'),
    add_tags: yesOrNo(
      '`yes`: the list gets to know the tags that rows name. Otherwise their rows leave all mail.',
    ),
    several_tags: yesOrNo('`yes`: a row may name several tags, separated by commas, semicolons or spaces.'),
  }),
  body: {
    mediaTypes: [
      'text/csv',
      'text/plain',
      'application/gzip',
      'application/octet-stream',
      'multipart/form-data',
    ],
    description: 'The file.',
    exampleFile: 'opt-outs.csv',
  },
  answers: {
    202: {
      description: 'The file is safe, and will be imported.',
      schema: importAnswer,
      example: { ...exampleImport, state: 'waiting', format: null, lines: 0, taken: 0, refused: 0 },
      headers: { Location: 'The import.' },
    },
  },
  example: { query: { format: 'csv' } },
  async carryOut({ deps, credential, list, query, req }) {
    const { db, config, keeper } = deps;
    if ((await unknownTags(db, list, [query.tag])).size > 0)
      throw invalid([{ parameter: 'tag', ...unknownTag }]);
    const once = oncePerKey(deps, credential, req);
    const common = {
      ...{ actor: `credential ${credential.id}`, credentialId: credential.id },
      patienceMs: config.databaseTimeoutMs,
      format: query.format ?? 'auto',
      tag: query.tag ?? EVERYTHING,
      column: query.column ?? null,
      tagColumn: query.tag_column ?? null,
      dateColumn: query.date_column ?? null,
      reasonColumn: query.reason_column ?? null,
      addsTags: query.add_tags === 'yes',
      severalTags: query.several_tags === 'yes',
    };
    return once.answer(async () => {
      const job = await readUpload(req, { limit: mostFileOctets }, (octets, about) => {
        refuseFields(about.fields);
        return uploadImport(db, list, { ...common, fileName: about.fileName }, once.watch(octets));
      });
      keeper.wake();
      const location = `${deps.baseUrl}/api/v1/lists/${list.publicId}/imports/${job.publicId}`;
      return { status: 202, body: told(job), headers: { Location: location } };
    });
  },
});

/** What is said in the wrong place would be passed over without a word. */
function refuseFields(fields: URLSearchParams): void {
  const detail = 'What there is to say of a file stands in the URL, not in the form.';
  const names = [...new Set(fields.keys())];
  if (names.length > 0) throw invalid(names.map((parameter) => ({ parameter, code: 'misplaced', detail })));
}

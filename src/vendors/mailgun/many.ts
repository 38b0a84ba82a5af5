import { removeAll } from '../../core/bulk-removals.js';
import { withHeading } from '../../core/import-heading.js';
import type { LayoutOptions } from '../../core/import-layout.js';
import { uploadImport } from '../../core/import-upload.js';
import { withoutOptions } from '../../core/option-words.js';
import { Refused } from '../../errors.js';
import { queryOf } from '../../http/request.js';
import { readUpload } from '../../http/upload.js';
import { done, invalid, invalidFormat, type Answer } from './answers.js';
import { readFields } from './bodies.js';
import { actorOf, type Call } from './call.js';

/** Empties the list; it can be taken back for 30 days. */
export async function removeEverything(call: Call): Promise<Answer> {
  const { deps, req, credential, list } = call;
  // A program that leaves a variable empty, or names one tag here, means less than everything.
  if (req.url?.split('?')[0]?.endsWith('/') === true) throw invalidFormat('address', '');
  const fields = [...queryOf(req).keys(), ...(await readFields(req)).keys()];
  const narrower = fields.find((name) => ['tag', 'tags', 'address', 'term'].includes(name));
  if (narrower !== undefined)
    throw invalid(`Invalid parameter: ${narrower} (this call removes all addresses)`);
  await removeAll(deps.db, list, { actor: actorOf(call), credentialId: credential.id });
  return done({ message: 'Unsubscribe addresses for this domain have been removed' });
}

const mostOctets = 25 * 1024 * 1024;

const layout: LayoutOptions = {
  ...{ format: 'csv', column: 'address', severalTags: true },
  ...{ tagColumn: null, dateColumn: null, reasonColumn: null },
};

/**
 * Takes a CSV file, to be recorded afterwards, whatever becomes of this process; what came of it is told by
 * `signoff import-job`, which the program at the other end cannot ask: so it hears at once where there is no
 * column of addresses.
 */
export async function importFile(call: Call): Promise<Answer> {
  const { deps, req, credential, list } = call;
  await readUpload(req, { limit: mostOctets }, async (octets, { fileName }) => {
    const file = await withHeading(octets, layout).catch((error: unknown) => {
      throw error instanceof Refused ? invalid(`Invalid csv: ${withoutOptions(error.message)}`) : error;
    });
    const options = {
      ...{ actor: actorOf(call), credentialId: credential.id, fileName },
      ...{ ...layout, addsTags: true, patienceMs: deps.config.databaseTimeoutMs },
    };
    return uploadImport(deps.db, list, options, file);
  });
  deps.keeper.wake();
  return { status: 202, body: { message: 'file uploaded successfully' } };
}

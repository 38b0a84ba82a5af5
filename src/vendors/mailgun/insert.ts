import { parseAddress, type Address } from '../../core/address.js';
import { isNoDate, readDate } from '../../core/import-dates.js';
import { EVERYTHING, type OptOut } from '../../core/opt-outs.js';
import { addTags, checkTag } from '../../core/tags.js';
import { retrying } from '../../db/connect.js';
import { Invalid } from '../../errors.js';
import { done, invalid, invalidFormat, type Answer } from './answers.js';
import { readInsert } from './bodies.js';
import { actorOf, type Call } from './call.js';

const mostRecords = 1000;
/** One for each tag of each record: what a few statements of the recorder take. */
const mostOptOuts = 10_000;
/** What the recorder takes at a time. */
const atOnce = 1000;

interface NewRecord {
  readonly address: Address;
  readonly tags: ReadonlySet<string>;
  /** UTC milliseconds; null: now. */
  readonly createdAt: number | null;
}

/** Adds one record, by form, or up to 1,000 by JSON: all of them, or none where one of them does not pass. */
export async function insert(call: Call): Promise<Answer> {
  const body = await readInsert(call.req);
  if (body instanceof URLSearchParams) {
    const record = recordOfForm(body);
    await recordAll(call, [record]);
    const message = 'Address has been added to the unsubscribes table';
    return done({ address: record.address.normalised, message });
  }
  const records = recordsOfJson(body.json);
  await recordAll(call, records);
  return done({ message: `${records.length} addresses have been added to the unsubscribes table` });
}

function recordOfForm(form: URLSearchParams): NewRecord {
  const [address = '', ...others] = form.getAll('address');
  if (others.length > 0) throw invalidFormat('address', 'given several times');
  const given = (name: string) => form.getAll(name).filter((tag) => tag.trim() !== '');
  const tags = given('tag');
  return {
    // A plus that nobody encoded comes as a space.
    address: addressOf(address, '', { query: true }),
    tags: tagsOf(tags.length > 0 ? tags : given('tags'), ''),
    createdAt: timeOf(form.get('created_at') ?? '', ''),
  };
}

function recordsOfJson(json: unknown): NewRecord[] {
  const values: unknown[] = Array.isArray(json) ? json : [json];
  if (values.length > mostRecords) throw invalid(`Invalid json: more than ${mostRecords} records`);
  return values.map((value, i) => recordOfJson(value, Array.isArray(json) ? ` (record ${i + 1})` : ''));
}

function recordOfJson(value: unknown, where: string): NewRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`Invalid json: a record is an object${where}`);
  }
  const textIn = (name: string) => {
    const found = ownOf(value, name) ?? '';
    if (typeof found !== 'string') throw invalid(`Invalid json: ${name} is a text${where}`);
    return found;
  };
  const tags = tagsIn(value, 'tags', where);
  return {
    address: addressOf(textIn('address'), where),
    tags: tagsOf(tags.length > 0 ? tags : tagsIn(value, 'tag', where), where),
    createdAt: timeOf(textIn('created_at'), where),
  };
}

/** Its own, so that nothing is read from a prototype. */
function ownOf(value: object, name: string): unknown {
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

function tagsIn(value: object, name: string, where: string): string[] {
  const found = ownOf(value, name) ?? [];
  const tags: unknown[] = Array.isArray(found) ? found : [found];
  return tags.map((tag) => {
    if (typeof tag !== 'string') throw invalid(`Invalid json: ${name} is a list of texts${where}`);
    return tag;
  });
}

function addressOf(text: string, where: string, options = {}): Address {
  const result = parseAddress(text, options);
  if (!result.ok) throw invalidFormat('address', text, where);
  return result.address;
}

function tagsOf(given: readonly string[], where: string): Set<string> {
  const tags = given.map((tag) => tag.trim()).filter((tag) => tag !== '');
  // What is left of octets that were not UTF-8.
  if (tags.some((tag) => tag.includes('\uFFFD'))) throw invalidFormat('tags', 'not UTF-8', where);
  try {
    return new Set(
      tags.length === 0 ? [EVERYTHING] : tags.map((tag) => (tag === EVERYTHING ? tag : checkTag(tag))),
    );
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    throw invalid(`Invalid format for parameter tags: ${error.message}${where}`);
  }
}

/**
 * One client sends the year 1, which is Go's zero, where it means no time at all. What lies before 1971 is
 * refused like what cannot be read: nobody left a list then, so it is a mistake of the program's.
 */
function timeOf(text: string, where: string): number | null {
  if (isNoDate(text.trim())) return null;
  const at = readDate(text);
  if (at === null) throw invalidFormat('created_at', text, where);
  return at;
}

/** Makes tags known to the list that it does not know yet, and records; nothing is half done but by a fault. */
async function recordAll(call: Call, records: readonly NewRecord[]): Promise<void> {
  const { deps, credential, list, ip, now } = call;
  const optOuts = new Map<string, OptOut>();
  for (const { address, tags, createdAt } of records) {
    for (const tag of tags) {
      const key = `${address.normalised}\n${tag}`;
      const standing = optOuts.get(key);
      const at = Math.min(createdAt ?? now, now, standing?.createdAt ?? now);
      optOuts.set(key, {
        ...{ listId: list.id, address: standing?.address ?? address, tag, source: 'api' },
        ...{ createdAt: at, recordedAt: now, credentialId: credential.id, ip, isVouched: true },
      });
    }
  }
  if (optOuts.size > mostOptOuts) throw invalid(`Invalid json: more than ${mostOptOuts} tags of addresses`);
  const tags = new Set(records.flatMap((record) => [...record.tags]));
  const unknown = [...tags].filter((tag) => tag !== EVERYTHING && !list.tags.has(tag));
  if (unknown.length > 0) {
    const add = () => deps.db.transaction((trx) => addTags(trx, list.id, unknown, { actor: actorOf(call) }));
    await retrying(deps.db, deps.config.databaseTimeoutMs, add);
  }
  const rows = [...optOuts.values()];
  for (let i = 0; i < rows.length; i += atOnce) await deps.recorder.record(rows.slice(i, i + atOnce));
}

import type { Db } from '../db/connect.js';
import type { AuditedRow } from './audit-row.js';
import { sliceRows } from './audit-slices.js';
import type { Breach } from './audit.js';
import { findErased } from './erased-people.js';

/** How long the keeper may take to come to what an import brought at the very moment of an erasure. */
const patienceMs = 7 * 24 * 3_600_000;

/** No import brings back the address of a person who was erased; what a person does anew at a door stays. */
export async function* auditErased(
  db: Db,
  { listId, accountId, at }: { listId: number; accountId: number | null; at: number },
  rows: readonly AuditedRow[],
): AsyncGenerator<Breach> {
  const imported = rows.filter((row) => row.source === 'import' && row.address !== null);
  if (accountId === null || imported.length === 0) return;
  const keys = [...new Set(imported.map((row) => row.address_key))];
  const erased = await findErased(db, accountId, keys);
  for (const { address_key, recorded_at } of imported) {
    const key = Buffer.from(address_key).toString('hex');
    const person = erased.get(key);
    if (person === undefined || Math.max(person.at, recorded_at) > at - patienceMs) continue;
    const description = `list ${listId}, ${key}: the address was imported, and its person was erased`;
    yield { code: 'erased', table: 'opt_outs', description };
  }
}

interface ErasedRow {
  account_id: number;
  address_key: Buffer;
  sha256: Buffer;
}

/** What is kept of erased people are two hashes of their lengths. */
export async function* auditErasedPeople(db: Db): AsyncGenerator<Breach> {
  const accountIds = (await db('erased_people')
    .distinct('account_id')
    .limit(10_000)
    .pluck('account_id')) as number[];
  for (const accountId of accountIds) {
    for (let after: Buffer = Buffer.alloc(0); ;) {
      const rows = await db<ErasedRow>('erased_people')
        .where({ account_id: accountId })
        .where('address_key', '>', after)
        .orderBy('address_key')
        .limit(sliceRows);
      for (const { address_key, sha256 } of rows) {
        if (address_key.length === 16 && Buffer.isBuffer(sha256) && sha256.length === 32) continue;
        const description = `account ${accountId}, ${address_key.toString('hex')}: the hashes are not of 16 and 32 octets`;
        yield { code: 'octets', table: 'erased_people', description };
      }
      after = rows.at(-1)?.address_key ?? after;
      if (rows.length < sliceRows) break;
    }
  }
}

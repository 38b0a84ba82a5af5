import assert from 'node:assert/strict';
import { audit } from '../../src/core/audit.js';
import { connect } from '../../src/db/connect.js';

/** Larger databases are those of tests of speed and memory, which would be read once more for some seconds. */
const mostRows = 5000;
/** Of the breaches of one database; the rest is counted. */
const mostShown = 5;

/**
 * What `signoff audit` finds in a database that a suite has done with: nothing. So each test is one of the
 * invariants as well, whatever it was written for. A database without opt-outs has hardly any: it is passed over.
 */
export async function auditIsClean(databaseUrl: string): Promise<void> {
  const db = connect(databaseUrl, { timeoutMs: 10_000, poolSize: 1 });
  const told: string[] = [];
  let found = 0;
  try {
    const rows = await db('opt_outs')
      .select('list_id')
      .limit(mostRows + 1);
    if (rows.length === 0 || rows.length > mostRows) return;
    for await (const { code, table, description } of audit(db)) {
      if (++found <= mostShown) told.push(`${code} (${table}): ${description}`);
    }
  } finally {
    await db.destroy();
  }
  assert.deepEqual(told, [], `the audit of the suite's database finds ${found} breaches`);
}

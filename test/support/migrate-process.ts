import process from 'node:process';
import { connect } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';

// Migrates the database of the first argument, as each process does at its start, and tells what it did.
// The second argument is a time, in UTC milliseconds, so that several begin at once; the third one says how
// often it does so at once.
const [url = '', at = '0', count = '1'] = process.argv.slice(2);
const pools = Array.from({ length: Number(count) }, () => connect(url, { timeoutMs: 10_000, poolSize: 3 }));
await new Promise((resolve) => setTimeout(resolve, Number(at) - Date.now()));
try {
  const carriedOut = await Promise.all(pools.map((db) => migrate(db)));
  process.stdout.write(`${JSON.stringify(carriedOut)}\n`);
} finally {
  await Promise.all(pools.map((db) => db.destroy()));
}

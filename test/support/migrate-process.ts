import process from 'node:process';
import { connect } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';

// Migrates the database of the first argument, as each process does at its start, and tells what it did.
// The second argument is a time, in UTC milliseconds: so that several begin at once.
const [url = '', at = '0'] = process.argv.slice(2);
await new Promise((resolve) => setTimeout(resolve, Number(at) - Date.now()));
const db = connect(url, { timeoutMs: 10_000, poolSize: 3 });
try {
  process.stdout.write(`${JSON.stringify(await migrate(db))}\n`);
} finally {
  await db.destroy();
}

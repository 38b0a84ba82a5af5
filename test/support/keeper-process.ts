import process from 'node:process';
import { readConfig } from '../../src/config.js';
import { startKeeper } from '../../src/keeper/keeper.js';
import { connect } from '../../src/db/connect.js';
import { createLog } from '../../src/log.js';

// A keeper in a process of its own, as another node would run it, on the database of the first argument.
// It tells by a line on standard output of each look at what waits for its number, and of each try to have the lease.
const db = connect(process.argv[2] ?? '', { timeoutMs: 5000, poolSize: 3 });
db.on('query', ({ sql }: { sql: string }) => {
  if (/feed_number IS NULL LIMIT|update `leases`/.test(sql)) process.stdout.write('round\n');
});
startKeeper(db, createLog('silent'), `process ${process.pid}`, readConfig({}).retention);

import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { rowOf } from '../../src/core/opt-outs.js';
import { connect, engineOf, retrying } from '../../src/db/connect.js';
import { optOutOf } from './core.js';

// A process whose opt-outs commit long after they were recorded: on SQLite one after the other, on MySQL
// several at once, each with its transaction held open. Arguments: database, list id, a name for its
// addresses. It tells each address on standard output once it is committed, and ends when told to.
const [url = '', listId = '', name = ''] = process.argv.slice(2);
const db = connect(url, { timeoutMs: 10_000, poolSize: 4 });
const isSqlite = engineOf(db).name === 'sqlite';
let isStopping = false;
process.on('SIGTERM', () => (isStopping = true));

async function write(writer: number): Promise<void> {
  for (let n = 0; !isStopping; n++) {
    const email = `${name}-${writer}-${n}@example.com`;
    const row = rowOf(optOutOf(Number(listId), email, { recordedAt: Date.now() }));
    await wait(10 + ((n * 7) % 30));
    await retrying(db, 20_000, () =>
      db.transaction(async (trx) => {
        await writeOptOuts(trx, [row]);
        await wait(isSqlite ? 10 : 10 + ((n * 37) % 150));
      }),
    );
    process.stdout.write(`${email}\n`);
    if (isSqlite) await wait(30);
  }
}

await Promise.all(Array.from({ length: isSqlite ? 1 : 4 }, (_, writer) => write(writer)));
await db.destroy();

import http from 'node:http';
import type { OptOutRecord } from '../src/core/opt-outs.js';
import type { Db } from '../src/db/connect.js';
import { rowsOfList } from '../test/support/core.js';
import { send } from '../test/support/ledger.js';
import type { Finding, Proof, Setting } from './proof.js';
import { patiently } from './support/patiently.js';
import { countBreaches } from './support/read-back.js';
import { openWorld, type World } from './support/world.js';

/** One address, and how often it is sent at the same time. */
interface Sending {
  readonly email: string;
  readonly copies: number;
  /** Of the copies that were acknowledged, when the first one was: UTC milliseconds. */
  firstAckAt: number;
  acked: number;
}

/** Promise 6: what comes several times, at once or again after the service was killed, is one row with its first time. */
export const once: Proof = {
  promise: 6,
  name: 'once',
  says: 'Exactly once',
  engines: ['sqlite', 'mysql'],
  isQuickToo: true,
  async prove(setting) {
    const world = await openWorld(setting.engine, { env: { DATABASE_TIMEOUT_MS: '10000' }, isShared: true });
    try {
      return [...(await sendAgain(world, setting)), await writeNaively(world)];
    } finally {
      await world.close();
    }
  },
};

async function sendAgain(world: World, { size, say }: Setting): Promise<Finding[]> {
  const { of } = world;
  const count = size === 'quick' ? 20 : 400;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 100 });
  const sendings: Sending[] = of.ways.flatMap((_, way) =>
    Array.from({ length: count }, (_, i) => ({
      ...{ email: `o${way}-${i}@example.com`, copies: 1 + (i % 5) },
      ...{ firstAckAt: Number.POSITIVE_INFINITY, acked: 0 },
    })),
  );
  const wayOf = (i: number) => of.ways[Math.floor(i / count)];
  async function sendOne(sending: Sending, i: number): Promise<void> {
    const way = wayOf(i);
    const answer = way && (await send(agent, world.service.url, way, sending.email));
    if (!answer?.isTaken) return;
    sending.acked++;
    sending.firstAckAt = Math.min(sending.firstAckAt, Date.now());
  }
  /** Some hundred at a time, with all of an address's copies among the same ones. */
  async function sendAll(copies: (sending: Sending) => number): Promise<number> {
    let sent = 0;
    for (let from = 0; from < sendings.length; from += 100) {
      const part = sendings.slice(from, from + 100);
      await Promise.all(
        part.flatMap((sending, i) =>
          Array.from({ length: copies(sending) }, () => (sent++, sendOne(sending, from + i))),
        ),
      );
    }
    return sent;
  }
  const ackedInAll = () => sendings.reduce((sum, { acked }) => sum + acked, 0);

  say('one to five times at once');
  const beganAt = Date.now();
  const sentAtOnce = await sendAll(({ copies }) => copies);
  const first = await of.withDb((db) => rowsOfList(db, of.list.id));
  const atOnce = judge(sendings, first, beganAt, new Map());
  const findings: Finding[] = [
    {
      what: 'each address one to five times at once, by each way',
      ...{ sent: sentAtOnce, acknowledged: ackedInAll(), lost: atOnce.lost, doubled: atOnce.doubled },
      figure: `${first.length} rows of ${sendings.length} addresses, ${atOnce.wrongTimes} with another time than their first`,
      holds:
        isRight(atOnce) && ackedInAll() === sentAtOnce && atOnce.repeats === sentAtOnce - sendings.length,
    },
  ];

  say('killed in the middle of sending it all again');
  const times = new Map(first.map((row) => [String(row.address), row.created_at]));
  const before = ackedInAll();
  const sending = sendAll(({ copies }) => copies);
  await patiently('a quarter is through', () => ackedInAll() >= before + sentAtOnce / 4);
  await world.killService();
  const sentMeanwhile = await sending;
  await world.startService();
  const sentAfter = await sendAll(() => 1);
  agent.destroy();
  const breaches = await countBreaches(of);
  const later = await of.withDb((db) => rowsOfList(db, of.list.id));
  const again = judge(sendings, later, beganAt, times);
  findings.push({
    what: 'all of it again, over a SIGKILL of the service and after it',
    ...{ faults: 1, sent: sentMeanwhile + sentAfter, acknowledged: ackedInAll() - before },
    ...{ lost: again.lost, doubled: again.doubled },
    figure: `${later.length} rows, ${again.wrongTimes} with another time than their first, ${breaches} breaches in the audit`,
    holds: breaches === 0 && isRight(again) && ackedInAll() - before < sentMeanwhile + sentAfter,
  });
  return findings;
}

interface Judged {
  readonly lost: number;
  readonly doubled: number;
  readonly wrongTimes: number;
  readonly repeats: number;
}

function isRight({ lost, doubled, wrongTimes }: Judged): boolean {
  return lost + doubled + wrongTimes === 0;
}

/** @param times that the rows had before: none of them may have changed. */
function judge(
  sendings: readonly Sending[],
  rows: readonly OptOutRecord[],
  beganAt: number,
  times: ReadonlyMap<string, number>,
): Judged {
  const byEmail = new Map(rows.map((row) => [String(row.address), row]));
  let [lost, wrongTimes] = [0, 0];
  for (const { email, firstAckAt } of sendings) {
    const row = byEmail.get(email);
    if (row === undefined) lost++;
    else if (row.created_at < beganAt - 1000 || row.created_at > firstAckAt) wrongTimes++;
    else if (times.has(email) && times.get(email) !== row.created_at) wrongTimes++;
  }
  const repeats = rows.reduce((sum, row) => sum + row.repeats, 0);
  return { lost, doubled: rows.length - byEmail.size, wrongTimes, repeats };
}

/** The control: the same copies, written by one who looks whether the address is there, and then inserts it. */
async function writeNaively({ of }: World): Promise<Finding> {
  const emails = Array.from({ length: 100 }, (_, i) => `n${i}@example.com`);
  const doubled = await of.withDb(async (db: Db) => {
    await db.raw('CREATE TABLE naive_once (email VARCHAR(100))');
    const write = async (email: string) => {
      const found: unknown = await db('naive_once').where({ email }).first();
      if (found === undefined) await db('naive_once').insert({ email });
    };
    await Promise.all(emails.flatMap((email) => [write(email), write(email)]));
    const rows: unknown[] = await db('naive_once');
    return rows.length - emails.length;
  });
  return {
    what: 'written by one that looks first and inserts then',
    ...{ sent: 2 * emails.length, doubled, holds: doubled > 0, isControl: true },
  };
}

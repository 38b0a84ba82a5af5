import { retrying, type Db } from '../db/connect.js';
import { md5Of, type Address } from './address.js';
import { noteChange } from './history.js';
import type { List } from './lists.js';
import { EVERYTHING, LIVE, type OptOutRecord } from './opt-outs.js';
import type { Recorder } from './recorder.js';

/**
 * Opt-outs that somebody makes in the console to try a door. They suppress like any other until they are taken back,
 * which touches nothing that anybody else has recorded.
 */
export const testReason = 'test';

export interface TestOptions {
  /** Which part of the mail it leaves, or `EVERYTHING`. */
  readonly tag: string;
  /** As the history has it. */
  readonly actor: string;
  /** For how long a statement is repeated where the database is busy: milliseconds. */
  readonly retryMs: number;
  /** Of the mailer whose user it is, who takes back its own tests alone; null for an owner. */
  readonly mailerId: number | null;
}

export interface TestOptOut {
  /** False where the address had left before: then nothing was written, so that no figure tells of mail to it. */
  readonly isNew: boolean;
  /** The opt-out that stands now. */
  readonly recordedAt: number;
}

/**
 * Records a test opt-out. One that stands of an earlier test is taken back first, so that
 * this one is seen to arrive.
 */
export async function recordTest(
  db: Db,
  recorder: Recorder,
  list: List,
  address: Address,
  options: TestOptions,
): Promise<TestOptOut> {
  await takeBackTest(db, list, address, options);
  const { tag, mailerId } = options;
  const standing = await findStanding(db, list, address, tag);
  if (standing !== undefined) return { isNew: false, recordedAt: standing.recorded_at };
  const now = Date.now();
  const optOut = { listId: list.id, address, tag, createdAt: now, recordedAt: now, mailerId };
  await recorder.record([{ ...optOut, source: 'console', reason: testReason, isVouched: false }]);
  const arrived = await findStanding(db, list, address, tag);
  if (arrived === undefined) throw new Error('a test opt-out has been committed, and is not there');
  return { isNew: true, recordedAt: arrived.recorded_at };
}

/**
 * Takes a test opt-out back. One that was recorded again since stays: that was somebody's own.
 *
 * @returns whether there was one.
 */
export async function takeBackTest(
  db: Db,
  list: List,
  address: Address,
  { tag, actor, retryMs, mailerId }: TestOptions,
): Promise<boolean> {
  return retrying(db, retryMs, () =>
    db.transaction(async (trx) => {
      const at = Date.now();
      const gone = await testOf(trx, list, address, tag, at)
        .modify((query) => {
          if (mailerId !== null) void query.where({ mailer_id: mailerId });
        })
        .update({
          removed_at: at,
          removal_id: null,
          feed_number: null,
        });
      if (gone > 0) {
        const noted = {
          actor,
          action: 'opt-out.removed',
          details: { tag: tag === EVERYTHING ? null : tag, opt_outs: gone, test: true },
        };
        const { accountId, id: listId } = list;
        await noteChange(trx, { accountId, listId, subject: md5Of(address.normalised), ...noted });
      }
      return gone > 0;
    }),
  );
}

/** When the test opt-out of an address that stands was recorded; null where there is none. */
export async function findTest(db: Db, list: List, address: Address, tag: string): Promise<number | null> {
  const row = (await testOf(db, list, address, tag, Date.now()).first()) as OptOutRecord | undefined;
  return row?.recorded_at ?? null;
}

function testOf(db: Db, list: List, address: Address, tag: string, at: number) {
  return (
    rowOf(db, list, address, tag)
      // Whoever enters one by hand stands behind it, whatever is typed as its reason.
      .where({ source: 'console', reason: Buffer.from(testReason), repeats: 0, vouched: 0 })
      // An import that comes again moves this alone.
      .whereRaw('last_at = recorded_at')
      .whereRaw(LIVE, [at])
  );
}

function findStanding(db: Db, list: List, address: Address, tag: string): Promise<OptOutRecord | undefined> {
  return rowOf(db, list, address, tag).whereRaw(LIVE, [Date.now()]).first() as Promise<
    OptOutRecord | undefined
  >;
}

function rowOf(db: Db, list: List, { normalised }: Address, tag: string) {
  return db('opt_outs').where({
    list_id: list.id,
    address_key: md5Of(normalised),
    tag: Buffer.from(tag),
  });
}

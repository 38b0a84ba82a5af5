import { retrying, type Db } from '../db/connect.js';
import type { Deps } from '../deps.js';

/** One change: all of it is carried out, or nothing. Repeated as a whole where the database is busy. */
export function changing<T>({ db, config }: Deps, work: (trx: Db) => Promise<T>): Promise<T> {
  return retrying(db, config.databaseTimeoutMs, () => db.transaction((trx) => work(trx)));
}

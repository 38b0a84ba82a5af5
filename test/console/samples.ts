import type { Account } from '../../src/core/accounts.js';
import type { List } from '../../src/core/lists.js';
import type { Mailer } from '../../src/core/mailers.js';
import type { TestService } from '../support/service.js';

/** For each placeholder of the console's paths, something of this account and list. */
export type Samples = Readonly<Record<string, string>>;

export async function samplesOf(
  _service: TestService,
  _account: Account,
  _list: List,
  mailer: Mailer,
): Promise<Samples> {
  return Promise.resolve({ mailer: String(mailer.id) });
}

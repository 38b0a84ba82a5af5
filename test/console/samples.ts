import type { Account } from '../../src/core/accounts.js';
import { writeBlocks } from '../../src/core/blocks.js';
import { removeAll } from '../../src/core/bulk-removals.js';
import { noteBursts } from '../../src/core/bursts.js';
import { createCredential } from '../../src/core/credentials.js';
import { uploadImport } from '../../src/core/import-upload.js';
import type { List } from '../../src/core/lists.js';
import type { Mailer } from '../../src/core/mailers.js';
import { createUser } from '../../src/core/users.js';
import { idOfOptOut } from '../../src/console/opt-out-search.js';
import { md5Of } from '../../src/core/address.js';
import { optOutOf } from '../support/core.js';
import type { TestService } from '../support/service.js';

/** For each placeholder of the console's paths, something of this account and list. */
export type Samples = Readonly<Record<string, string>>;

let made = 0;

export async function samplesOf(
  { deps }: TestService,
  account: Account,
  list: List,
  mailer: Mailer,
): Promise<Samples> {
  const { db, recorder } = deps;
  const actor = 'test';
  const person = (name: string) => ({ email: `${name}${++made}@samples.example`, name: 'Sam Sample' });
  const admin = await createUser(db, { role: 'admin' }, person('admin'), { actor });
  const user = await createUser(db, { role: 'owner', account }, person('owner'), { actor });
  const { credential } = await createCredential(
    db,
    account.id,
    { surface: 'api', name: 'CRM', rights: ['read'] },
    { actor },
  );
  // Of addresses that no other list has, so that what is found of one is not another's.
  const address = `ann${++made}@example.com`;
  await recorder.record([optOutOf(list.id, `gone${made}@example.com`)]);
  const removal = await removeAll(db, list, { actor });
  await recorder.record([optOutOf(list.id, address, { recordedAt: Date.now() })]);
  const network = `203.0.113.${made % 250}`;
  const at = Date.now();
  const block = { startedAt: at - 60_000, endsAt: at + 3_600_000, countedFrom: at - 60_000, liftedAt: null };
  await writeBlocks(db, [{ accountId: account.id, network, ...block }]);
  const client = { accountId: account.id, network, source: 'pixel' } as const;
  await noteBursts(db, [{ ...client, from: at - 60_000, to: at, recipients: 200 }], 600_000);
  const burst: { id: number } = await db('bursts').where({ account_id: account.id, network }).first('id');
  const upload = { actor, credentialId: null, fileName: 'old.csv', patienceMs: 2000, isHeld: true };
  const job = await uploadImport(db, list, upload, octetsOf(`email,tag\nben@example.com,offers\n`));
  return {
    mailer: String(mailer.id),
    admin: String(admin.id),
    user: String(user.id),
    credential: String(credential.id),
    surface: 'api',
    import: job.publicId,
    removal: String(removal.id),
    burst: String(burst.id),
    network,
    optOut: idOfOptOut({ address_key: md5Of(address), tag: Buffer.from('*') }),
  };
}

/** What a route wants to be told beside its path: in its query, or in its form. */
export function neededBy(path: string, samples: Samples): Record<string, string> {
  return /\/abuse\/(lift|whitelist)$/.test(path) ? { network: samples.network ?? '' } : {};
}

async function* octetsOf(text: string): AsyncGenerator<Buffer> {
  yield await Promise.resolve(Buffer.from(text));
}

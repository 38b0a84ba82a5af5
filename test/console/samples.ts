import type { Account } from '../../src/core/accounts.js';
import { removeAll } from '../../src/core/bulk-removals.js';
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
    optOut: idOfOptOut({ address_key: md5Of(address), tag: Buffer.from('*') }),
  };
}

async function* octetsOf(text: string): AsyncGenerator<Buffer> {
  yield await Promise.resolve(Buffer.from(text));
}

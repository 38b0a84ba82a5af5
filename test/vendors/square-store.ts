import { createCredential } from '../../src/core/credentials.js';
import { nameList } from '../../src/core/list-names.js';
import type { List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { clientOf, type Client as ApiClient } from '../api/client.js';
import { makeClient, type Client as CustomersMailCloudClient } from '../support/customers-mail-cloud.js';
import { makeList, makeMailer, type TestService } from '../support/service.js';

/** A key of a vendor's, and who it is here. */
interface Key {
  readonly key: string;
  readonly credentialId: number;
}

/** One list, and a program of each kind that speaks of it: all of them see the same opt-outs. */
export interface Store {
  readonly service: TestService;
  readonly list: List;
  /** The list's name with Mailgun (a domain) and SendCloud (an apiUser). */
  readonly name: string;
  readonly mailgun: Key;
  readonly sendcloud: Key;
  readonly customersMailCloud: CustomersMailCloudClient;
  readonly api: ApiClient;
  /** A mailer's, for the download and the scrub. */
  readonly mailerKey: string;
}

let made = 0;

/** Knows the tags `offers` and `news`. */
export async function openStore(service: TestService): Promise<Store> {
  const { db } = service.deps;
  const list = await makeList(service);
  await addTags(db, list.id, ['offers', 'news']);
  const name = `square${++made}.example.com`;
  const keyFor = async (surface: string, login = ''): Promise<Key> => {
    await nameList(db, list, surface, name, { actor: 'test' });
    const settings = { surface, name: surface, login, rights: ['read', 'record', 'remove'] as const };
    const { key, credential } = await createCredential(db, service.accountId, settings, { actor: 'test' });
    return { key, credentialId: credential.id };
  };
  return {
    ...{ service, list, name },
    mailgun: await keyFor('mailgun'),
    sendcloud: await keyFor('sendcloud', name),
    customersMailCloud: await makeClient(service, { list }),
    api: await clientOf(service, { lists: [list] }),
    mailerKey: (await makeMailer(service, list)).key,
  };
}

import { existsSync } from 'node:fs';
import path from 'node:path';
import type { List } from '../core/lists.js';
import { checkSecret, secretOfDataFolder } from '../core/secret.js';
import { newestLinkKey, type LinkKey } from '../core/signed-links.js';
import { Refused } from '../errors.js';
import { chosenList } from './arguments.js';
import { reading, type Session } from './session.js';

/** What links are made with. */
export interface Minting {
  readonly list: List;
  readonly key: LinkKey;
}

/** The secret, for one who makes something with it: the database remembers it from then on. */
export async function checkedSecret(session: Session): Promise<string> {
  const secret = secretOf(session);
  await reading(session, (db) => checkSecret(db, secret));
  return secret;
}

/** The list's newest key. The first one is made here. */
export async function mintingOf(session: Session, listText: string): Promise<Minting> {
  const secret = await checkedSecret(session);
  const list = await reading(session, (db) => chosenList(db, listText));
  return { list, key: await reading(session, (db) => newestLinkKey(db, secret, list)) };
}

/** The secret, for one who only reads: a database that has none yet is not given this one. */
export async function knownSecret(session: Session): Promise<string> {
  const secret = secretOf(session);
  const fingerprint = await reading(session, (db) =>
    db<{ name: string }>('installation').where({ name: 'secret-fingerprint' }).first('name'),
  );
  if (fingerprint !== undefined) await reading(session, (db) => checkSecret(db, secret));
  return secret;
}

/** Only the service makes a secret: one made here, beside a folder that was mistyped, would open nothing. */
function secretOf({ config }: Session): string {
  if (config.secret !== null) return config.secret;
  if (existsSync(path.join(config.dataDir, 'secret'))) return secretOfDataFolder(config.dataDir);
  throw new Refused(
    'no-secret',
    `There is no secret: set SIGNOFF_SECRET, or start the service once, which keeps one in ${config.dataDir}.`,
  );
}

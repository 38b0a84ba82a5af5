import type { Config } from '../config.js';
import { createLink, linkLifetimes } from '../core/one-time-links.js';
import { noteOfUser, type User } from '../core/users.js';
import type { Db } from '../db/connect.js';
import { baseUrlOf } from './list-links.js';
import { print, printJson, timeOf } from './output.js';
import { actor } from './session.js';

interface Link {
  readonly purpose: 'invitation' | 'password';
  readonly url: string;
  readonly expiresAt: number;
}

/** An invitation, or a link for a new password where there is one already. */
export async function linkFor(config: Config, db: Db, user: User): Promise<Link> {
  const purpose = user.hasPassword ? 'password' : 'invitation';
  const kept = user.hasPassword ? 'handed-on' : 'invitation';
  const forMs = linkLifetimes[kept];
  const token = await createLink(db, kept, user);
  await noteOfUser(db, user, actor, 'user.link-made', { purpose });
  return { purpose, url: `${baseUrlOf(config)}/console/${purpose}/${token}`, expiresAt: Date.now() + forMs };
}

export function printLinked(
  user: User,
  { url, expiresAt }: Link,
  { json }: { json?: true },
  what: string,
): void {
  if (json) printJson({ ...shown(user), link: url, link_expires_at: timeOf(expiresAt) });
  else print(`${what} The link, shown only this once, until ${timeOf(expiresAt)}:\n\n  ${url}\n`);
}

export function stateOf({ endedAt, hasPassword }: User): string {
  return endedAt !== null ? 'ended' : hasPassword ? 'active' : 'invited';
}

export function shown(user: User) {
  return {
    id: user.id,
    role: user.role,
    account_id: user.accountId,
    mailer_id: user.mailerId,
    name: user.name,
    email: user.email,
    state: stateOf(user),
    codes: user.hasOneTimeCodes,
    created_at: timeOf(user.createdAt),
    signed_in_at: timeOf(user.signedInAt),
    ended_at: timeOf(user.endedAt),
  };
}

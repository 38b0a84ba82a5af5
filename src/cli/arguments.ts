import { InvalidArgumentError } from 'commander';
import { findList, listsNamed, type List } from '../core/lists.js';
import { getMailer, mailersNamed, type Mailer } from '../core/mailers.js';
import type { Db } from '../db/connect.js';
import { NotFound, Refused } from '../errors.js';

/** How LIST and MAILER are explained in every command that takes them. */
export const listArgument = 'the id of the list, or its internal name where only one list has it';
export const mailerArgument = 'the id of the mailer, or its name where only one mailer has it';

/**
 * @throws NotFound
 * @throws Refused where several lists have this internal name.
 */
export async function chosenList(db: Db, text: string): Promise<List> {
  const byId = await findList(db, text.trim());
  const found = byId === null ? await listsNamed(db, text.trim().normalize('NFC')) : [byId];
  return only(found, text, 'list', ({ publicId }) => publicId);
}

/**
 * @throws NotFound
 * @throws Refused where several mailers have this name.
 */
export async function chosenMailer(db: Db, text: string): Promise<Mailer> {
  if (/^\d{1,9}$/.test(text)) return getMailer(db, Number(text));
  return only(await mailersNamed(db, text.trim().normalize('NFC')), text, 'mailer', ({ id }) => String(id));
}

/** For commander: the id of an account. */
export function accountId(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('An account has a number as its id.');
  return Number(text);
}

const msOf = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const longest = 90 * msOf.d;

/** For commander: a length of time such as `30m`, `24h`, `7d` or `0`, in milliseconds; 90 days at most. */
export function duration(text: string): number {
  const [, digits, unit] = /^(\d{1,7})([smhd])$/.exec(text) ?? [];
  const ms = text === '0' ? 0 : Number(digits) * msOf[unit as keyof typeof msOf];
  if (!(ms <= longest))
    throw new InvalidArgumentError('A length of time is 0, or such as 30m, 24h or 7d; 90d at most.');
  return ms;
}

function only<T>(found: readonly T[], text: string, noun: string, idOf: (one: T) => string): T {
  const [one, ...others] = found;
  if (one === undefined)
    throw new NotFound(`There is no ${noun} ${JSON.stringify(text)} (signoff ${noun} list).`);
  if (others.length > 0) {
    throw new Refused(
      'several',
      `Several ${noun}s are called ${JSON.stringify(text)}: name one by its id (${found.map(idOf).join(', ')}).`,
    );
  }
  return one;
}

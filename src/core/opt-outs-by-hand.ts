import { retrying, type Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { md5Of, parseAddress, type Address, type AddressProblem } from './address.js';
import { noteChanges } from './history.js';
import type { List } from './lists.js';
import { EVERYTHING, type OptOut } from './opt-outs.js';
import type { Recorder } from './recorder.js';
import { findOptOutsOf } from './suppressed.js';
import { checkText } from './text.js';

/** What became of the lines that somebody typed. */
export interface AddedByHand {
  /** Normalised: those that suppress from now on. */
  readonly taken: readonly string[];
  /** Those that had left already, or stand there twice. */
  readonly known: readonly string[];
  readonly refused: readonly {
    readonly line: number;
    readonly text: string;
    readonly problem: AddressProblem;
  }[];
}

export const mostLines = 1000;
const longestReason = 255; // octets
const addressesAtOnce = 250;
const changesAtOnce = 250;

/**
 * Records that people have left a list, or one tag of it: an address a line, blank lines aside. What is no address
 * is told, and the others are recorded.
 *
 * @param options.tag one of the list's, or empty for everything.
 * @throws Invalid `addresses` `missing` or `too-many`, `tag` `unknown`, `reason` `too-long` or `control-character`.
 * @throws Unavailable: whether they are recorded is then unknown, and to do it again is harmless.
 */
export async function addByHand(
  { db, recorder }: { db: Db; recorder: Recorder },
  list: List,
  text: string,
  options: { tag: string; reason: string; actor: string; now: number; retryMs: number },
): Promise<AddedByHand> {
  const { actor, now, retryMs } = options;
  const tag = options.tag === '' ? EVERYTHING : options.tag;
  if (tag !== EVERYTHING && !list.tags.has(tag))
    throw new Invalid('tag', 'unknown', 'the list has no such tag');
  const reason = checkText('reason', options.reason, { max: longestReason, optional: true });
  if (Buffer.byteLength(reason) > longestReason) {
    throw new Invalid('reason', 'too-long', `a reason has at most ${longestReason} octets`);
  }
  const lines = text.split(/\r\n|\r|\n/).map((one, i) => ({ line: i + 1, text: one.trim() }));
  const typed = lines.filter((one) => one.text !== '');
  if (typed.length === 0) throw new Invalid('addresses', 'missing', 'addresses must not be empty');
  if (typed.length > mostLines) {
    throw new Invalid(
      'addresses',
      'too-many',
      `At most ${mostLines} addresses at once: import a file for more.`,
    );
  }

  const addresses = new Map<string, Address>();
  const known: string[] = [];
  const refused: AddedByHand['refused'][number][] = [];
  for (const one of typed) {
    const parsed = parseAddress(one.text, { typed: true });
    if (!parsed.ok) refused.push({ ...one, text: one.text.slice(0, 320), problem: parsed.problem });
    else if (addresses.has(parsed.address.normalised)) known.push(parsed.address.normalised);
    else addresses.set(parsed.address.normalised, parsed.address);
  }
  const standing = await standingOf(db, list, [...addresses.keys()], tag, now);
  const optOuts = [...addresses.values()].map((address): OptOut => ({
    ...{ listId: list.id, address, tag, source: 'console', createdAt: now, recordedAt: now },
    ...{ reason: reason === '' ? null : reason, isVouched: true },
  }));
  if (optOuts.length > 0) await recorder.record(optOuts);
  const taken = [...addresses.keys()].filter((one) => !standing.has(one));
  for (let i = 0; i < taken.length; i += changesAtOnce) {
    const changes = taken.slice(i, i + changesAtOnce).map((one) => ({
      ...{ accountId: list.accountId, listId: list.id, actor, action: 'opt-out.recorded' },
      ...{ subject: md5Of(one), details: { tag } },
    }));
    await retrying(db, retryMs, () => noteChanges(db, changes));
  }
  return { taken, known: [...[...addresses.keys()].filter((one) => standing.has(one)), ...known], refused };
}

/** Those that have left this tag already. */
async function standingOf(
  db: Db,
  list: List,
  normalised: readonly string[],
  tag: string,
  now: number,
): Promise<Set<string>> {
  const standing = new Set<string>();
  for (let i = 0; i < normalised.length; i += addressesAtOnce) {
    const slice = normalised.slice(i, i + addressesAtOnce);
    const rows = await findOptOutsOf(db, list.id, slice);
    const keys = new Set(
      rows
        .filter((row) => row.tag.toString() === tag && row.removed_at === null)
        .filter((row) => row.expires_at === null || row.expires_at > now)
        .map((row) => row.address_key.toString('hex')),
    );
    // Those of whom only a hash was known become known by their address: that is more than before.
    for (const one of slice) if (keys.has(md5Of(one).toString('hex'))) standing.add(one);
  }
  return standing;
}

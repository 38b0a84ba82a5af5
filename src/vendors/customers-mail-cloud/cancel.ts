import { EVERYTHING } from '../../core/opt-outs.js';
import { findMissing, removeTogether } from '../../core/removals-together.js';
import { retrying } from '../../db/connect.js';
import { sendSuccess } from './answers.js';
import { listIn, textIn, type Faults } from './call.js';
import { readEmails, type Asked, type Emails } from './emails.js';
import { Failure, fault, type Fault } from './errors.js';
import type { Call } from './index.js';

/**
 * Takes addresses off a list again, all of those that are named or none, at once: the original waits for the
 * night. A `filter_name` that an address has not left counts as an address that is unknown. So does what only
 * the global list holds: that is no server composition's to cancel.
 *
 * The file has an opt-out from everything with an empty filter, and programs send its lines back: then tags stay
 * as they are. Only a call that says nothing of filters is about all of an address.
 */
export async function cancel({ deps, credential, body, format, res, now }: Call): Promise<void> {
  const { db, config, keeper } = deps;
  const faults: Faults = [];
  const list = await listIn(deps, credential, body, faults);
  const emails = readEmails(body.get('email'), faults);
  const filter = body.get('filter_name');
  const isGiven = filter === null || typeof filter === 'string';
  const tag = textIn(body, 'filter_name', faults)?.normalize('NFC') ?? (isGiven ? EVERYTHING : undefined);
  const addresses = emails.asked.flatMap(({ normalised }) => normalised ?? []);
  const options = { tag, at: now, actor: `credential ${credential.id}`, credentialId: credential.id };
  if (list === null) throw new Failure(400, faults);

  // What is no address is on no list: then the others are only looked at.
  const isWhole = faults.length === 0 && addresses.length === emails.asked.length;
  const missing = isWhole
    ? await retrying(db, config.databaseTimeoutMs, () => removeTogether(db, list, addresses, options))
    : await findMissing(db, list, addresses, options);
  const isUnknown = ({ normalised }: Asked) => normalised === null || missing.has(normalised);
  faults.push(...emails.asked.filter(isUnknown).map((one) => unknown(one, emails)));
  if (faults.length > 0) throw new Failure(400, faults);
  keeper.wake();
  sendSuccess(res, format);
}

function unknown({ position }: Asked, { isList }: Emails): Fault {
  return isList ? fault('15-007', 'email', position) : fault('12-001', 'email');
}

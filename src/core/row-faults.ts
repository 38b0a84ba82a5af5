import type { AddressProblem } from './address.js';
import type { RowProblem } from './import-rows.js';

/** Why a text is no address. */
export const addressFaults: Readonly<Record<AddressProblem, string>> = {
  missing: 'there is no address',
  'too-long': 'the address is longer than 254 octets',
  'no-at': 'the address has no @',
  'bad-local-part': 'what stands before the @ is not possible there',
  'bad-domain': 'what stands after the @ is no domain name',
  'control-character': 'the address holds a control character, or octets that are not UTF-8',
  'invisible-character': 'the address holds an invisible character',
  'merge-tag': 'this is a merge tag that was not replaced',
};

const rowFaults: Readonly<Record<Exclude<RowProblem, AddressProblem>, string>> = {
  'no-hash': 'this is no hash of the kind that the format says',
  sha1: 'this looks like a SHA-1, which no opt-out can be compared with: MD5 or SHA-256 is needed',
  quotes: 'its quotes do not close',
  'too-many-fields': 'it has more fields than the first line, and which of them counts cannot be told',
  'too-long-line': 'the line is longer than a megabyte',
  expired: 'its opt-out ended before now',
  'not-taken': 'the database does not take it',
};

/** Why a row could not be taken. */
export function reasonOf(problem: RowProblem): string {
  return { ...addressFaults, ...rowFaults }[problem];
}

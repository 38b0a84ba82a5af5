import { hash } from 'node:crypto';
import { lineOf, type FileType } from './entry-lines.js';
import type { Format } from './entry-texts.js';
import { md5Octets, type JoinedEntries } from './joined-entries.js';

/** Lines a chunk, where each takes some work: a millisecond. */
const linesAtOnce = 1000;

const hexDigits = Buffer.from('0123456789abcdef');

/** The lines of what the database has joined, in chunks between which others may have their turn. */
export function* linesOfJoined(
  { joined }: JoinedEntries,
  format: Format,
  fileType: FileType,
): Generator<Buffer> {
  const end = Buffer.from(lineOf('', fileType, null));
  for (const octets of joined) {
    if (format === 'md5') yield* hexLines(octets, end);
    else if (format === 'sha256') yield* hashedLines(octets, end);
    else if (fileType === 'text') yield* [octets, end];
    else yield* csvLines(octets);
  }
}

function* hexLines(hashes: Buffer, end: Buffer): Generator<Buffer> {
  const octetsAtOnce = linesAtOnce * md5Octets;
  for (let from = 0; from < hashes.length; from += octetsAtOnce) {
    const some = hashes.subarray(from, from + octetsAtOnce);
    const lines = Buffer.allocUnsafe((some.length / md5Octets) * (2 * md5Octets + end.length));
    let to = 0;
    for (let at = 0; at < some.length; at += md5Octets) {
      for (let i = at; i < at + md5Octets; i++) {
        const octet = some[i] ?? 0;
        lines[to++] = hexDigits[octet >> 4] ?? 0;
        lines[to++] = hexDigits[octet & 15] ?? 0;
      }
      for (const octet of end) lines[to++] = octet;
    }
    yield lines;
  }
}

function* hashedLines(addresses: Buffer, end: Buffer): Generator<Buffer> {
  for (const some of linesOf(addresses))
    yield Buffer.from(some.map((address) => `${hash('sha256', address, 'hex')}${end.toString()}`).join(''));
}

function* csvLines(addresses: Buffer): Generator<Buffer> {
  for (const some of linesOf(addresses))
    yield Buffer.from(some.map((address) => lineOf(address, 'csv', null)).join(''));
}

function* linesOf(addresses: Buffer): Generator<string[]> {
  const lines = addresses.toString().split('\n');
  for (let at = 0; at < lines.length; at += linesAtOnce) yield lines.slice(at, at + linesAtOnce);
}

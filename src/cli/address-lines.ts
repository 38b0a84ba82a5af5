import { parseAddress, type Address, type AddressProblem } from '../core/address.js';

/** One line that holds anything. */
export interface AddressLine {
  /** From 1. */
  readonly line: number;
  readonly result: { ok: true; address: Address } | { ok: false; problem: AddressProblem };
}

/** What a batch holds: as many rows as the recorder writes in one statement. */
const batchLines = 1000;

/** More than any address has: what is longer is cut off, and refused as too long. UTF-16 units. */
const longestLine = 2000;

/**
 * Reads addresses, a line each, in batches of at most 1,000. Blank lines are passed over. Memory stays flat,
 * whatever comes in: the next batch is not read before the last one has been dealt with, and no line is
 * kept beyond 2,000 characters.
 */
export async function* readAddressLines(
  input: AsyncIterable<Buffer | string>,
): AsyncGenerator<AddressLine[]> {
  let batch: AddressLine[] = [];
  let line = 0;
  for await (const text of linesOf(input)) {
    line++;
    if (text.trim() === '') continue;
    batch.push({ line, result: parseAddress(text, { typed: true }) });
    if (batch.length < batchLines) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function* linesOf(input: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let wasReturn = false;
  for await (const chunk of input) {
    const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    // A line end of two characters may be cut in two.
    const parts = (wasReturn ? text.replace(/^\n/, '') : text).split(/\r\n|\r|\n/);
    wasReturn = text === '' ? wasReturn : text.endsWith('\r');
    for (const [place, part] of parts.entries()) {
      if (place > 0) {
        yield rest;
        rest = '';
      }
      if (rest.length <= longestLine) rest += part.slice(0, longestLine + 1);
    }
  }
  yield rest + decoder.decode();
}

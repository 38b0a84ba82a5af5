import { createGunzip } from 'node:zlib';
import { Refused } from '../errors.js';

/** The input ends before it should, or cannot be read on: what came before is good. */
export class CutOff extends Refused {
  override name = 'CutOff';
}

/** So little at once that not much is lost with the piece that turns out to be damaged. */
const gzipPiece = 2 * 1024;

export interface FoundOut {
  readonly encoding: 'utf-8' | 'utf-16le' | 'utf-16be';
  readonly isGzip: boolean;
}

/**
 * The octets of a text file as UTF-8, without a byte order mark: gzip is told by its first octets and
 * unpacked, also of several members; UTF-16 with a byte order mark is turned into UTF-8.
 *
 * @param mostOctets what a gzip file may unpack to.
 * @param onFound told what it is, before the first octet.
 * @throws Refused for what is no text by its first octets, and for what unpacks to too much.
 * @throws CutOff behind the last good octet of a gzip file that is cut off, or, of a damaged one, at most
 *   2 KB of the file before the damage.
 */
export async function* textOctets(
  input: AsyncIterable<Buffer>,
  mostOctets = Infinity,
  onFound: (found: FoundOut) => void = () => undefined,
): AsyncGenerator<Buffer> {
  const packed = await peeked(input, 2);
  const isGzip = packed.head.equals(Buffer.of(0x1f, 0x8b));
  const unpacked = isGzip ? gunzipped(packed.all, mostOctets) : packed.all;
  const { head, all } = await peeked(unpacked, 4);
  const encoding = encodingOf(head);
  onFound({ encoding, isGzip });
  if (encoding === 'utf-8') {
    yield* all;
    return;
  }
  const decoder = new TextDecoder(encoding);
  for await (const chunk of all) yield Buffer.from(decoder.decode(chunk, { stream: true }));
  yield Buffer.from(decoder.decode());
}

function encodingOf(head: Buffer): FoundOut['encoding'] {
  const [first, second, third, fourth] = head;
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  if (first === 0x50 && second === 0x4b && third === 3 && fourth === 4) {
    throw new Refused(
      'archive',
      'This is a ZIP archive or an Excel workbook: unpack it, or save it as CSV in UTF-8.',
    );
  }
  if (head.equals(Buffer.of(0xd0, 0xcf, 0x11, 0xe0))) {
    throw new Refused('archive', 'This is a workbook of an old Excel: save it as CSV in UTF-8.');
  }
  if (first === 0x1f && second === 0x8b) {
    throw new Refused('archive', 'This is gzip inside gzip: unpack it once.');
  }
  if (head.length === 4 && [first, second].includes(0) && [third, fourth].includes(0)) {
    throw new Refused('encoding', 'This looks like UTF-16 without a byte order mark: save it as UTF-8.');
  }
  return 'utf-8';
}

/** The first octets, or what there is, and all of it. */
async function peeked(input: AsyncIterable<Buffer>, count: number) {
  const chunks = input[Symbol.asyncIterator]();
  let begun: Buffer = Buffer.alloc(0);
  let isOver = false;
  while (begun.length < count && !isOver) {
    const step = await chunks.next();
    if (step.done) isOver = true;
    else begun = begun.length === 0 ? step.value : Buffer.concat([begun, step.value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    try {
      if (begun.length > 0) yield begun;
      for (let step; !isOver && !(step = await chunks.next()).done;) yield step.value;
    } finally {
      await chunks.return?.();
    }
  }
  return { head: begun.subarray(0, count), all: all() };
}

/**
 * Written piece by piece, each taken out before the next one: where the file is cut off, Node's own stream
 * drops what it has unpacked and not given out yet.
 */
async function* gunzipped(input: AsyncIterable<Buffer>, mostOctets: number): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  let out: Buffer[] = [];
  let read = 0;
  let isOver = false;
  let unpacked = 0;
  gunzip.on('data', (chunk: Buffer) => {
    unpacked += chunk.length;
    out.push(chunk);
  });
  const ended = new Promise<Error | null>((resolve) => {
    gunzip.on('end', () => resolve(null)).on('error', resolve);
  });
  const take = () => {
    const taken = out;
    out = [];
    return taken;
  };
  try {
    for await (const chunk of input) {
      for (let at = 0; at < chunk.length; at += gzipPiece) {
        const piece = chunk.subarray(at, at + gzipPiece);
        const written = new Promise<true>((resolve) => {
          gunzip.write(piece, (error) => {
            if (!error) resolve(true);
          });
        });
        // Behind the end, or an error, a piece is never said to be written.
        const result = await Promise.race([written, ended]);
        yield* take();
        isOver ||= result === null;
        // Behind the last member only zeros may follow: tapes are filled up with them.
        if (result instanceof Error || (isOver && piece.at(-1) !== 0)) throw damaged(read);
        read += piece.length;
        if (unpacked > Math.max(mostlyHarmless, read * mostUnpacked)) throw bomb();
        if (unpacked > mostOctets) throw tooMuch(mostOctets);
      }
    }
    if (isOver) return;
    gunzip.end();
    const error = await ended;
    yield* take();
    if (error !== null) throw new CutOff('cut-off', `the gzip file is cut off, after ${read} octets of it`);
  } finally {
    gunzip.destroy();
  }
}

/** Lists of addresses come to a fifth of their size, or a tenth: what comes to far less was made to fill something up. */
const mostUnpacked = 200;
const mostlyHarmless = 64 * 1024 * 1024; // octets

function bomb(): Refused {
  return new Refused('archive', `The gzip file unpacks to more than ${mostUnpacked} times its size.`);
}

function tooMuch(mostOctets: number): Refused {
  const most = Math.round(mostOctets / 1024 ** 2).toLocaleString('en-US');
  return new Refused(
    'archive',
    `The gzip file unpacks to more than ${most} MB, which is the most that one upload may hold: split it.`,
  );
}

function damaged(read: number): CutOff {
  return new CutOff(
    'damaged',
    `the gzip file is damaged, or goes on with something else, within the ${gzipPiece / 1024} KB after octet ${read}`,
  );
}

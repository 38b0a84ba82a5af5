import { Readable } from 'node:stream';
import { ReadableStream, TransformStream, type TransformStreamDefaultController } from 'node:stream/web';
import { configure, TextReader, ZipWriter } from '@zip.js/zip.js';
import type { ZipEncryption } from '../core/account-settings.js';

// Its workers are a browser's. What it compresses, Node compresses outside the event loop.
configure({ useWebWorkers: false });

export interface ZipOptions {
  /** Null: the file is not encrypted. */
  readonly encryption: ZipEncryption | null;
  /**
   * How many octets the file has at most, where that is known. Below 4 GB a ZIP file then does without ZIP64,
   * which old programs cannot read; without it, ZIP64 it is.
   */
  readonly octets?: number;
  /** A short text that comes behind it as a file of its own. */
  readonly note?: { readonly name: string; readonly text: string } | null;
}

/**
 * A ZIP file with one file in it, and a note where there is one, made while it is read: flat memory, and nothing is taken from `chunks`
 * that nobody waits for. Where `chunks` fails, so does the stream. What encrypts is plain JavaScript, a chunk
 * at a time: give it chunks of some 32 KB, and between them everyone else has their turn.
 */
export function zipStream(name: string, chunks: AsyncIterable<Buffer>, options: ZipOptions): Readable {
  const { encryption, octets, note = null } = options;
  let out: TransformStreamDefaultController<Uint8Array> | undefined;
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
    start(controller) {
      out = controller;
    },
  });
  const writer = new ZipWriter(writable);
  const content = readableOf(chunks);
  const write = async () => {
    const encrypted = {
      ...(encryption === null ? {} : { password: encryption.password }),
      ...(encryption?.cipher === 'zipcrypto' ? { zipCrypto: true } : { encryptionStrength: 3 as const }),
    };
    const known = octets === undefined ? {} : { uncompressedSize: octets };
    await writer.add(name, content, { ...known, ...encrypted });
    if (note !== null) await writer.add(note.name, new TextReader(note.text), encrypted);
    await writer.close();
  };
  // It would otherwise end where the failing file does, and look whole to some.
  write().catch((error: unknown) => out?.error(error));
  return Readable.fromWeb(readable);
}

/** One chunk is asked for when the one before it was taken; a reader that goes away ends the source. */
function readableOf(chunks: AsyncIterable<Buffer>): ReadableStream<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        await everyoneElse();
        const step = await source.next();
        if (step.done === true) controller.close();
        else controller.enqueue(step.value);
      },
      async cancel() {
        await source.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

function everyoneElse(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

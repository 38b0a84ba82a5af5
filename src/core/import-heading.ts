import { linesIn } from './csv.js';
import { layoutOf, type LayoutOptions } from './import-layout.js';
import { CutOff, textOctets } from './import-octets.js';

/** How far a file is looked at: octets, of the file as it comes, and of its text. */
const mostLookedAt = 64 * 1024;

/**
 * Looks at the first line of a file before anything is done with it, so that whoever sends it hears at once
 * where its columns are not those that are asked for. What stands behind the first 64 KB, and what is damaged
 * there, only its import tells.
 *
 * @returns all octets, from the first.
 * @throws Refused as `layoutOf` does.
 * @throws whatever `octets` does in the part that is looked at.
 */
export async function withHeading(
  octets: AsyncIterable<Buffer>,
  options: LayoutOptions,
): Promise<AsyncIterable<Buffer>> {
  const chunks = octets[Symbol.asyncIterator]();
  const seen: Buffer[] = [];
  let isWhole = false;
  async function* beginning(): AsyncGenerator<Buffer> {
    for (let length = 0; length < mostLookedAt;) {
      const step = await chunks.next();
      if (step.done) {
        isWhole = true;
        return;
      }
      seen.push(step.value);
      length += step.value.length;
      yield step.value;
    }
  }

  async function* all(): AsyncGenerator<Buffer> {
    try {
      yield* seen.splice(0);
      for (let step; !isWhole && !(step = await chunks.next()).done;) yield step.value;
    } finally {
      await chunks.return?.();
    }
  }

  try {
    const { line, isAll } = await firstLineOf(beginning());
    if (line !== null || (isAll && isWhole)) layoutOf(line === null ? [] : [line], options);
  } catch (error) {
    await chunks.return?.();
    throw error;
  }
  return all();
}

/** The first line that is not blank, or what there is of it; `isAll`: there is no more text than was looked at. */
async function firstLineOf(octets: AsyncIterable<Buffer>): Promise<{ line: string | null; isAll: boolean }> {
  let isAll = true;
  async function* text(): AsyncGenerator<Buffer> {
    let length = 0;
    try {
      for await (const chunk of textOctets(octets)) {
        yield chunk.subarray(0, mostLookedAt - length);
        length += chunk.length;
        if (length >= mostLookedAt) break;
      }
    } catch (error) {
      // What was unpacked before is good; the file may go on behind what is looked at.
      if (!(error instanceof CutOff)) throw error;
      length = mostLookedAt;
    }
    isAll = length < mostLookedAt;
  }
  for await (const lines of linesIn(text())) {
    for (const { text: line, number } of lines) {
      const bare = number === 1 ? line.replace(/^\u00EF\u00BB\u00BF/, '') : line;
      if (bare.trim() !== '') return { line: bare, isAll };
    }
  }
  return { line: null, isAll };
}

import process from 'node:process';
import type { List } from '../core/lists.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { createRecorder, type Recorder } from '../core/recorder.js';
import { addTags } from '../core/tags.js';
import { Unavailable } from '../errors.js';
import { unreadable, type FileOutcome } from './import-file.js';
import { knownTag } from './opt-out.js';
import { sentenceOf } from './problems.js';
import { actor, changing, type Session } from './session.js';

/** The tag of rows that say none. One that the list does not know is a mistake, unless it is to be added. */
export async function tagFor(
  session: Session,
  list: List,
  given: string | undefined,
  adds: boolean,
  isDry: boolean,
): Promise<string> {
  if (given === undefined) return EVERYTHING;
  const tag = given.trim().normalize('NFC');
  if (!adds || tag === EVERYTHING || list.tags.has(tag)) return knownTag(list, given);
  if (!isDry) await changing(session, (db) => addTags(db, list.id, [tag], { actor }));
  return tag;
}

/** The keeper of the running service numbers what this brings: it looks each half second. */
export function recorderOf({ config, db }: Session): Recorder {
  return createRecorder(db, {
    queueRows: Math.max(config.recordQueueRows, 10_000),
    timeoutMs: config.databaseTimeoutMs,
    onCommit: () => undefined,
  });
}

/** The first signal lets what is under way end, the second one does what it always does. */
export function stopsOnSignal(): () => boolean {
  let isStopping = false;
  const stop = () => void (isStopping = true);
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return () => isStopping;
}

/** What kept a file from being read to its end, and how to go on; null for nothing. */
export function problemOf(file: string, outcome: FileOutcome, howToGoOn?: string): string | null {
  const { failure, cutOff, isStopped, line, lines } = outcome;
  const name = file === '-' ? 'Standard input' : file;
  const goOn = howToGoOn ?? `Go on with --from-line ${line + 1}.`;
  if (failure !== null) {
    const sentence = `${name}: ${sentenceOf(failure.error)}`;
    if (line === 0) return sentence;
    const isUnknown = failure.error instanceof Unavailable;
    return `${sentence}\nAll up to line ${line} is recorded${isUnknown ? ', and what comes next may be: to record it again is harmless' : ''}. ${goOn}`;
  }
  if (isStopped) return `${name}: stopped. All up to line ${line} is recorded. ${goOn}`;
  if (cutOff === null) return null;
  const code = /^it cannot be read \((\w+)\)$/.exec(cutOff)?.[1];
  if (lines === 0) return code === undefined ? `${name}: ${cutOff}.` : unreadable(name, code).message;
  return `${name}: ${cutOff}. It was read to the end of line ${lines}; what stands behind it is missing.`;
}

import { openNextImport, type ImportRun } from '../core/import-job-run.js';
import { createRecorder, type Recorder } from '../core/recorder.js';
import type { Db } from '../db/connect.js';
import type { Sweep } from './sweeps.js';

/** How long a round waits for a step of an import: numbering and all else come in between. */
const waitMs = 30;

/** For how long a statement is repeated that loses to another: milliseconds. Short of the keeper's lease. */
const patienceMs = 2000;

/**
 * Carries import jobs out, one at a time and a step a round: so imports bring no more than the numbering takes
 * away. The job under way is kept open from round to round, since to begin anew is to read its file from the
 * beginning; where this keeper stops or loses its lease, whoever has it next opens the job where it stands.
 */
export function createImportSweep(): Sweep {
  let recorder: Recorder | null = null;
  let run: ImportRun | null = null;
  let step: Promise<boolean> | null = null;

  async function leave(): Promise<void> {
    const [left, underWay] = [run, step];
    run = null;
    step = null;
    await underWay?.catch(() => undefined);
    await left?.close();
  }

  return {
    name: 'imports',
    everyMs: 1000,
    async run(db: Db) {
      // One of its own: a full queue of the service's is no reason to turn recipients away, nor they one to stop.
      const options = { queueRows: 10_000, timeoutMs: patienceMs, onCommit: () => undefined };
      const own = (recorder ??= createRecorder(db, options));
      try {
        run ??= await openNextImport(db, (optOuts) => own.record(optOuts), patienceMs);
        if (run === null) return false;
        step ??= run.next();
        const outcome = await soon(step);
        if (outcome === 'under way') return true;
        step = null;
        if (!outcome) await leave();
        return true;
      } catch (error) {
        await leave();
        throw error;
      }
    },
    stop: leave,
  };
}

/** What a step came to, where it is over within a moment; a failure of one that is not is thrown the next time. */
async function soon(step: Promise<boolean>): Promise<boolean | 'under way'> {
  let timer: NodeJS.Timeout | undefined;
  const moment = new Promise<'under way'>((resolve) => {
    timer = setTimeout(() => resolve('under way'), waitMs);
  });
  step.catch(() => undefined);
  try {
    return await Promise.race([step, moment]);
  } finally {
    clearTimeout(timer);
  }
}

import type { Record as RecordOptOuts } from '../core/import-batch.js';
import { findNextImport, openImport, type ImportRun } from '../core/import-job-run.js';
import { createRecorder, type Recorder } from '../core/recorder.js';
import type { Db } from '../db/connect.js';
import type { Sweep } from './sweeps.js';

/** How long a round waits for a step of an import: numbering and all else come in between. */
const waitMs = 30;

/** For how long a statement is repeated that loses to another: milliseconds. Short of the keeper's lease. */
const patienceMs = 2000;

/** Accounts whose imports are carried out at once, a job of each. */
const mostOpen = 4;

/** How often it is looked for another account's, and for how long one of them keeps its place then. */
const lookMs = 1000;
const turnMs = 10_000;

interface OpenImport {
  readonly run: ImportRun;
  readonly openedAt: number;
  /** When its first step was done; null before. */
  begunAt: number | null;
  /** The step under way. */
  step: Promise<boolean> | null;
  /** When that was begun. */
  stepAt: number;
}

/**
 * Carries import jobs out, a step a round: so imports bring no more than the numbering takes away. Several accounts
 * take turns, step by step; where there are more of them, a job gives its place up after a while. Those under way
 * are kept open from round to round, since to begin anew is to read a file from its beginning; where this keeper
 * stops or loses its lease, whoever has it next opens the jobs where they stand.
 */
export function createImportSweep(): Sweep {
  let recorder: Recorder | null = null;
  /** Whose turn is next comes first. */
  let open: OpenImport[] = [];
  let lookedAt = 0;

  /** One at a time: a file that kills this process must not be taken for another one's doing. */
  async function openAnother(db: Db, record: RecordOptOuts): Promise<void> {
    const now = Date.now();
    if (open.length > 0 && now < lookedAt + lookMs) return;
    if (open.some(({ begunAt }) => begunAt === null)) return;
    lookedAt = now;
    const found = await findNextImport(db, new Set(open.map(({ run }) => run.accountId)));
    if (found === null) return;
    if (open.length >= mostOpen) {
      const left = open.find((one) => one.step === null && isTurnOver(one, now));
      if (left === undefined) return;
      open = open.filter((one) => one !== left);
      await left.run.close();
    }
    const run = await openImport(db, found, record, patienceMs);
    if (run !== null) open.unshift({ run, openedAt: now, begunAt: null, step: null, stepAt: 0 });
  }

  return {
    name: 'imports',
    everyMs: 100,
    failsAlone: true,
    async run(db: Db) {
      // One of its own: a full queue of the service's is no reason to turn recipients away, nor they one to stop.
      const options = { queueRows: 10_000, timeoutMs: patienceMs, onCommit: () => undefined };
      const own = (recorder ??= createRecorder(db, options));
      await openAnother(db, (optOuts, onNew) => own.record(optOuts, onNew));
      const served = open.shift();
      if (served === undefined) return false;
      try {
        if (served.step === null) served.stepAt = Date.now();
        const outcome = await soon((served.step ??= served.run.next()));
        if (outcome !== 'under way') {
          served.step = null;
          if (served.begunAt === null) lookedAt = 0;
          served.begunAt ??= Date.now();
        }
        if (outcome !== false) {
          open.push(served);
          return outcome === 'under way' || Date.now() - served.stepAt;
        }
      } catch (error) {
        await served.run.close();
        throw error;
      }
      await served.run.close();
      lookedAt = 0;
      return true;
    },
    async stop() {
      const left = open;
      open = [];
      for (const { run, step } of left) {
        await step?.catch(() => undefined);
        await run.close();
      }
    },
  };
}

/** At least as long as it took to find its place in its file again, or it would do nothing else. */
function isTurnOver({ openedAt, begunAt }: OpenImport, now: number): boolean {
  return begunAt !== null && now - begunAt > Math.max(turnMs, 2 * (begunAt - openedAt));
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

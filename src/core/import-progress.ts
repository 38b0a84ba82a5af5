import type { ImportJob } from './import-jobs.js';

/** How far an import is. */
export interface ImportProgress {
  /** Of its file, by octets: from 0 to 1, which is reached only once it is over. */
  readonly share: number;
  /** How long it will still take if it goes on as it went: milliseconds; null where that cannot be told. */
  readonly remainingMs: number | null;
}

/** Sooner, or of less, nothing can be told. */
const tellingMs = 3000;
const tellingShare = 0.02;

export function progressOf(job: ImportJob, now = Date.now()): ImportProgress {
  if (job.state === 'done') return { share: 1, remainingMs: 0 };
  const read = job.octets === 0 ? 0 : job.readOctets / job.octets;
  const share = Math.min(read, 0.99);
  const isTelling = job.state === 'running' && job.begunAt !== null && share >= tellingShare;
  const tookMs = now - (job.begunAt ?? now);
  if (!isTelling || tookMs < tellingMs) return { share, remainingMs: null };
  return { share, remainingMs: Math.round((tookMs * (1 - share)) / share) };
}

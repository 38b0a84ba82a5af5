import type { Bench } from './bench.js';

/** Every bench, in the order of docs/performance.md. */
export const benches: readonly Bench[] = [];

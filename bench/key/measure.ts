import { setImmediate as turn } from 'node:timers/promises';
import { entryOfStranger, entryOfWrite, type Entry } from './entries.js';
import type { Layout } from './layouts.js';
import type { LookUp, ScanOrder, Store } from './store.js';

export interface Plan {
  /** The number of writes after which to measure, in rising order. */
  sizes: number[];
  windows: number;
  /** Batches of 64 a window. */
  batches: number;
  /** Look-ups of one row a round; the dearer kinds do a part of it. */
  lookUps: number;
  rounds: number;
  /** The longest a scan may take, in milliseconds. */
  scanLimit: number;
}

/** What was measured at one size: for each layout and each measure, one figure a window or a round. */
export interface Measured {
  rows: number;
  figures: Map<string, Map<Layout, number[]>>;
}

const BATCH = 64;
const FILL = 5000;

/** Grows every layout to each size in turn and measures there, layout beside layout, so that noise hits all alike. */
export async function measure(
  stores: Store[],
  plan: Plan,
  onSize: (measured: Measured) => void,
  say: (text: string) => void,
): Promise<void> {
  let written = 0;
  for (const size of plan.sizes) {
    const started = performance.now();
    written = await fill(stores, written, size);
    say(`filled to ${written} writes in ${seconds(started)}`);
    const measured: Measured = { rows: 0, figures: new Map() };
    // The first window after a filling meets its dirty pages, and is thrown away.
    for (let window = -1; window < plan.windows; window++) {
      const batches = Array.from({ length: plan.batches }, (_, at) => writes(written + at * BATCH, BATCH));
      written += plan.batches * BATCH;
      for (const store of rotated(stores, window)) await recordWindow(store, batches, measured, window < 0);
    }
    say(`recorded in ${seconds(started)}`);
    await measureSizes(stores, measured);
    for (let round = 0; round < plan.rounds; round++) {
      for (const store of rotated(stores, round)) await read(store, plan, round, written, measured);
    }
    say(`read in ${seconds(started)}`);
    onSize(measured);
  }
}

async function fill(stores: Store[], from: number, to: number): Promise<number> {
  if (from >= to) return from;
  for (const store of stores) await store.setFilling(true);
  let chunk = writes(from, Math.min(FILL, to - from));
  for (let at = from; at < to; at += FILL) {
    const filling = stores.map((store) => store.fill(chunk));
    const next = at + FILL;
    if (next < to) chunk = writes(next, Math.min(FILL, to - next));
    await Promise.all(filling);
    await turn();
  }
  for (const store of stores) await store.setFilling(false);
  return to;
}

async function recordWindow(store: Store, batches: Entry[][], measured: Measured, isWarmUp: boolean) {
  // SQLite never waits: without this a Ctrl-C would not be heard before the end.
  await turn();
  const result = await store.record(batches);
  if (isWarmUp) return;
  note(measured, store, 'recorded, rows/s', (batches.length * BATCH * 1000) / result.milliseconds);
  note(measured, store, 'unnumbered at the end, rows', result.pending);
  note(measured, store, 'numbering catches up in, ms', result.drainMilliseconds);
  note(measured, store, 'deadlocks, recording', result.recorderRetries);
  note(measured, store, 'deadlocks, numbering', result.numberingRetries);
}

async function measureSizes(stores: Store[], measured: Measured): Promise<void> {
  for (const store of stores) {
    const { rows, bytes, fileBytes, lastId } = await store.size();
    // The bench is worth nothing where a layout lost or doubled rows.
    if (measured.rows > 0 && measured.rows !== rows) {
      throw new Error(`layout ${store.layout} has ${rows} rows, another ${measured.rows}`);
    }
    measured.rows = rows;
    note(measured, store, 'bytes a row, tables and indexes', bytes / rows);
    note(measured, store, 'bytes a row, file', fileBytes / rows);
    if (lastId !== null) note(measured, store, 'ids burned', lastId - rows);
  }
}

async function read(store: Store, plan: Plan, round: number, written: number, measured: Measured) {
  const time = async (name: string, work: () => Promise<number>, amount?: number) => {
    const started = performance.now();
    const done = await work();
    note(measured, store, name, ((amount ?? done) * 1000) / (performance.now() - started));
  };
  const single = async (name: string, kind: LookUp, amount: number) => {
    const entries = asked(amount, round, written);
    await time(name, () => store.lookUp(kind, entries), amount);
  };
  const thousand = async (name: string, kind: LookUp) => {
    const groups = Array.from({ length: Math.max(1, plan.lookUps / 100) }, (_, at) =>
      asked(1000, round * 1000 + at, written),
    );
    const ask = async () => {
      for (const group of groups) await store.lookUp(kind, group);
      return groups.length * 1000;
    };
    await time(name, ask);
  };
  await single('by address, one, /s', 'address', plan.lookUps);
  await thousand('by address, 1,000 in one, addresses/s', 'addresses');
  await single('by MD5, one, /s', 'md5', plan.lookUps);
  await thousand('by MD5, 1,000 in one, MD5s/s', 'md5s');
  await single('by prefix, first 50, /s', 'prefix', plan.lookUps / 4);
  await single('by domain, first 50, /s', 'domain', plan.lookUps / 4);
  const scans: [string, ScanOrder][] = [['list read in key order, rows/s', 'key']];
  if (store.layout === 'B') scans.push(['list read in id order, rows/s', 'id']);
  for (const [name, order] of scans) await time(name, () => store.scan(order, plan.scanLimit));
}

/** Half of them people who were written, half strangers. */
function asked(amount: number, round: number, written: number): Entry[] {
  return Array.from({ length: amount }, (_, at) => {
    const number = Math.imul(round * 7_919 + at + 1, 0x9e3779b1) >>> 0;
    return at % 2 === 0 ? entryOfWrite(number % written) : entryOfStranger(number % 1_000_000);
  });
}

function writes(from: number, amount: number): Entry[] {
  return Array.from({ length: amount }, (_, at) => entryOfWrite(from + at));
}

function rotated<T>(items: T[], by: number): T[] {
  const at = (by + items.length) % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function note(measured: Measured, store: Store, name: string, figure: number | undefined): void {
  if (figure === undefined) return;
  const ofName = measured.figures.get(name) ?? new Map<Layout, number[]>();
  measured.figures.set(name, ofName.set(store.layout, [...(ofName.get(store.layout) ?? []), figure]));
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

import { setTimeout as wait } from 'node:timers/promises';

/** As `until` of the tests, where what is waited for takes its time: polls for three minutes at most. */
export async function patiently(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + 180_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`it did not come to pass: ${what}`);
    await wait(10);
  }
}

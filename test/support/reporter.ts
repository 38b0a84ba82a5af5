import { writeFileSync } from 'node:fs';
import process from 'node:process';
import Mocha from 'mocha';

/** What one run of Mocha leaves in the file of SIGNOFF_TEST_TOTALS. */
export interface Totals {
  passed: number;
  failed: string[];
  skipped: { title: string; reason: string }[];
}

const { EVENT_TEST_FAIL, EVENT_TEST_PASS, EVENT_TEST_PENDING, EVENT_RUN_END } = Mocha.Runner.constants;

/** Mocha's spec reporter, which also leaves the totals for `test/run.ts`. Mocha takes a default export. */
export default function reporter(runner: Mocha.Runner, options: Mocha.MochaOptions): void {
  new Mocha.reporters.Spec(runner, options);
  const totals: Totals = { passed: 0, failed: [], skipped: [] };
  runner.on(EVENT_TEST_PASS, () => totals.passed++);
  // Hooks that fail come by here too.
  runner.on(EVENT_TEST_FAIL, (test) => totals.failed.push(test.fullTitle()));
  runner.on(EVENT_TEST_PENDING, (test) =>
    totals.skipped.push({ title: test.fullTitle(), reason: reasonOf(test) }),
  );
  runner.once(EVENT_RUN_END, () => {
    const file = process.env.SIGNOFF_TEST_TOTALS;
    if (file) writeFileSync(file, JSON.stringify(totals));
  });
}

/** As `skipBecause` left it, on the test or on a suite around it. */
function reasonOf(test: Mocha.Test | Mocha.Suite): string {
  const reason = (test as { skipReason?: string }).skipReason;
  if (reason !== undefined) return reason;
  return test.parent ? reasonOf(test.parent) : 'no reason given';
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { projectPath } from '../src/paths.js';
import type { Totals } from '../test/support/reporter.js';
import type { Engine, Finding, Proof } from './proof.js';

/** A promise that tests of the suite prove: they are run, and counted. */
export function provenBySuite(
  promise: number,
  name: string,
  says: string,
  suites: Readonly<Record<string, readonly string[]>>,
  engines: readonly Engine[] = ['sqlite', 'mysql'],
): Proof {
  return {
    promise,
    name,
    says,
    engines,
    isQuickToo: false, // they are in the suite as they are
    async prove({ engine, say }) {
      const findings: Finding[] = [];
      for (const [what, files] of Object.entries(suites)) {
        say(what);
        const { passed, failed, skipped } = await runTests(engine, files);
        const reasons = [...new Set(skipped.map(({ reason }) => reason))].join('; ');
        const figure =
          `${passed} tests passed${failed.length > 0 ? `, failed: ${failed.join('; ')}` : ''}` +
          (skipped.length > 0 ? `, ${skipped.length} not run: ${reasons}` : '');
        findings.push({ what, figure, holds: passed > 0 && failed.length === 0 });
      }
      return findings;
    },
  };
}

async function runTests(engine: Engine, files: readonly string[]): Promise<Totals> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'signoff-prove-'));
  const totals = path.join(folder, 'totals.json');
  try {
    const mocha = projectPath('node_modules', 'mocha', 'bin', 'mocha.js');
    const reporter = projectPath('test', 'support', 'reporter.ts');
    const specs = files.map((file) => projectPath('test', file));
    const child = spawn(process.execPath, ['--import=tsx', mocha, '--reporter', reporter, ...specs], {
      cwd: projectPath(),
      env: { ...process.env, SIGNOFF_TEST_ENGINE: engine, SIGNOFF_TEST_TOTALS: totals },
      stdio: 'ignore',
    });
    await once(child, 'close');
    return JSON.parse(await readFile(totals, 'utf8')) as Totals;
  } catch (error) {
    return { passed: 0, failed: [`Mocha broke off: ${String(error)}`], skipped: [] };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

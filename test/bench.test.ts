import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { projectPath } from '../src/paths.js';
import { engine } from './support/engine.js';

const run = promisify(execFile);

// It takes both engines by itself, so that one run of the suite is enough.
if (engine === 'sqlite') {
  describe('The bench that settles the key', () => {
    it('runs, and prints a table for each layout', async function () {
      this.timeout(120_000);
      const args = ['--import=tsx', projectPath('bench', 'key', 'run.ts'), '--smoke'];
      const { stdout } = await run(process.execPath, args, { cwd: projectPath(), maxBuffer: 1 << 24 });
      assert.match(stdout, /SQLite/);
      assert.match(stdout, /recorded, rows\/s/);
    });
  });
}

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import type { Setting } from '../bench/bench.js';
import { benches } from '../bench/benches.js';
import { verdictOf } from '../bench/report.js';
import { hasWrk } from '../bench/support/load.js';
import { projectPath } from '../src/paths.js';
import { engine, folderOfTests, skipBecause } from './support/engine.js';
import { hasDatabaseServer, startPrivateDatabase, type PrivateDatabase } from './support/mariadb.js';

const run = promisify(execFile);

// They take both engines by themselves, so that one run of the suite is enough.
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

  describe('The bench of', function () {
    this.timeout(180_000);
    let folder: string;
    let server: Promise<PrivateDatabase> | undefined;
    let setting: Setting;
    before(function () {
      if (process.env.SIGNOFF_TEST_BUILT !== 'yes') skipBecause(this, 'benches run the built program');
      if (!hasWrk()) skipBecause(this, 'there is no wrk here; npm run test:setup installs one');
      folder = mkdtempSync(path.join(folderOfTests, 'signoff-bench-'));
      // mariadbd may have to run as another user, who has to get in.
      chmodSync(folder, 0o755);
      setting = {
        isSmoke: true,
        rounds: 1,
        windowMs: 300,
        rows: (count) => Math.max(100, Math.round(count / 1000)),
        folder,
        mariadb: async () =>
          hasDatabaseServer() ? await (server ??= startPrivateDatabase([], folder)) : null,
        say: () => undefined,
      };
    });
    after(async () => {
      await (await server)?.stop();
      if (folder) rmSync(folder, { recursive: true, force: true });
    });

    for (const bench of benches) {
      it(`${bench.says} (${bench.name}) runs, and comes to figures`, async () => {
        const figures = await bench.run(setting);
        assert.ok(figures.length > 0);
        for (const figure of figures) {
          assert.ok(verdictOf(figure).ratio > 0, `${figure.what} against ${figure.against}`);
          for (const { what, seen } of figure.limits ?? []) {
            assert.ok(seen.length > 0 && seen.every((value) => value >= 0), `${figure.what}: ${what}`);
          }
        }
      });
    }
  });
}

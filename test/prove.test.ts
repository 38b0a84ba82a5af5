import assert from 'node:assert/strict';
import { proofs } from '../prove/proofs.js';
import { lineOf } from '../prove/report.js';
import { engine } from './support/engine.js';

/** The quick form of each proof that is no part of the suite elsewhere; `npm run prove` runs the long ones. */
describe('The promise that', function () {
  this.timeout(120_000);

  for (const proof of proofs.filter(({ isQuickToo, engines }) => isQuickToo && engines.includes(engine))) {
    it(`${proof.says} (${proof.name}) holds, and its controls are caught`, async () => {
      const findings = await proof.prove({ engine, size: 'quick', say: () => {} });
      assert.ok(findings.length > 0);
      const lines = findings
        .filter(({ holds }) => !holds)
        .map((finding) => lineOf({ proof, engine, findings, seconds: 0 }, finding));
      assert.deepEqual(lines, []);
    });
  }
});

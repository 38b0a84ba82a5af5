/** One proof on one engine, for prove/run.ts: `one.ts NAME quick|long`. Prints what it has seen as a line of JSON. */
import process from 'node:process';
import { engine } from '../test/support/engine.js';
import type { Finding } from './proof.js';
import { proofs } from './proofs.js';

const [name, size] = process.argv.slice(2);
const proof = proofs.find((one) => one.name === name);
if (proof === undefined || (size !== 'quick' && size !== 'long')) throw new Error('one.ts NAME quick|long');

const startedAt = Date.now();
const say = (text: string) => console.error(`  ${proof.name} (${engine}): ${text}`);
let findings: Finding[];
try {
  findings = await proof.prove({ engine, size, say });
  if (findings.length === 0) throw new Error('it has looked at nothing');
} catch (error) {
  console.error(error);
  findings = [{ what: 'the proof itself', figure: String(error), holds: false }];
}
const { promise, says } = proof;
const seconds = (Date.now() - startedAt) / 1000;
const outcome = JSON.stringify({ proof: { promise, name, says }, engine, findings, seconds });
// A proof that broke off may have left something at work, which nobody is to wait for.
process.stdout.write(`${outcome}\n`, () => process.exit());

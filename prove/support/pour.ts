import type { Ledger } from '../../test/support/ledger.js';
import type { Installation } from './installation.js';

let poured = 0;

/** Brings a thousand opt-outs at a time by the server door, until the service cannot take more and says so by 503. */
export async function pour(of: Installation, serviceUrl: string, ledger: Ledger, most = 300): Promise<void> {
  for (let n = 0; n < most; n++) {
    const emails = Array.from({ length: 1000 }, () => `${'p'.repeat(40)}${++poured}@example.com`);
    for (const email of emails) ledger.intended.add(email);
    ledger.sent++;
    const answer = await fetch(`${serviceUrl}${of.link}/notify`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain' },
      body: emails.join('\n'),
    });
    await answer.arrayBuffer();
    if (answer.status === 503 && answer.headers.has('retry-after')) {
      ledger.refusals.push(answer.status);
      ledger.retryable++;
      return;
    }
    if (answer.status !== 200) throw new Error(`a thousand addresses were answered ${answer.status}`);
    for (const email of emails) ledger.acked.add(email);
  }
  throw new Error('the disk takes more and more');
}

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseAddress } from '../../src/core/address.js';
import type { List } from '../../src/core/lists.js';
import type { OptOut } from '../../src/core/opt-outs.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import {
  newReceiptNumber,
  noteReason,
  openReceipt,
  receiptOf,
  receiptText,
  sealReceipt,
  undoMs,
  undoOptOut,
  type Receipt,
} from '../../src/core/receipts.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';

const secret = 'a secret of at least 32 characters';

describe('Receipts', () => {
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
  });
  after(() => service.close());

  async function record(email: string): Promise<Receipt> {
    const result = parseAddress(email);
    assert.ok(result.ok);
    const now = Date.now();
    const number = newReceiptNumber();
    const optOut: OptOut = {
      listId: list.id,
      address: result.address,
      tag: '*',
      source: 'page',
      createdAt: now,
      recordedAt: now,
      receipt: number,
    };
    await service.deps.recorder.record([optOut]);
    return receiptOf(optOut, number);
  }

  it('are printed so that people can read them out and write them down', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (octets) => {
        const number = Buffer.from(octets);
        const text = receiptText(number);
        assert.match(text, /^[0-9A-F][0-9A-HJKMNP-TV-Z]{3}(-[0-9A-HJKMNP-TV-Z]{1,4}){3}$/);
        const value = [...text.replaceAll('-', '')].reduce(
          (sum, digit) => sum * 32n + BigInt('0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(digit)),
          0n,
        );
        assert.equal(value, number.readBigUInt64BE(), 'no two numbers look alike');
      }),
    );
  });

  it('come back out of what seals them, for 30 minutes, and out of nothing else', async () => {
    const receipt = await record('ann@example.com');
    const sealed = sealReceipt(secret, receipt);
    assert.deepEqual(openReceipt(secret, sealed), receipt);
    assert.deepEqual(openReceipt(secret, sealed, receipt.at + undoMs), receipt);
    assert.equal(openReceipt(secret, sealed, receipt.at + undoMs + 1), null);
    assert.equal(openReceipt(`${secret}!`, sealed), null);
    for (const junk of ['', 'x', sealed.slice(1), `${sealed}A`, sealed.slice(0, -2), 'A'.repeat(600), '%']) {
      assert.equal(openReceipt(secret, junk), null, junk);
    }
  });

  it('take back what their request recorded', async () => {
    const receipt = await record('bob@example.com');
    assert.equal(await undoOptOut(service.deps.db, list, receipt), true);
    assert.equal(await isSuppressed(service.deps.db, list.id, 'bob@example.com'), false);
    assert.equal(await undoOptOut(service.deps.db, list, receipt), false, 'once');
  });

  it('never take back an opt-out that stood before, came later, or is of another list', async () => {
    const { db } = service.deps;
    const first = await record('cat@example.com');
    const second = await record('cat@example.com');
    assert.equal(await undoOptOut(db, list, second), false, 'the second request recorded nothing new');
    assert.equal(await undoOptOut(db, list, first), false, 'somebody has left again since');
    assert.equal(await undoOptOut(db, await makeList(service), first), false);
    assert.equal(await isSuppressed(db, list.id, 'cat@example.com'), true);
  });

  it('never take back what an import has brought again since', async () => {
    const { db, recorder } = service.deps;
    const receipt = await record('eve@example.com');
    await until('the clock has moved on', () => Date.now() > receipt.at);
    const parsed = parseAddress('eve@example.com');
    assert.ok(parsed.ok);
    const at = Date.now();
    const more = { tag: '*', source: 'import', createdAt: at, recordedAt: at, isVouched: true } as const;
    await recorder.record([{ listId: list.id, address: parsed.address, ...more }]);
    assert.equal(await undoOptOut(db, list, receipt), false);
    assert.equal(await isSuppressed(db, list.id, 'eve@example.com'), true);
  });

  it('keep the reason with the row of their request alone', async () => {
    const { db } = service.deps;
    const receipt = await record('dan@example.com');
    await noteReason(db, list, { ...receipt, number: newReceiptNumber() }, 'fraud');
    await noteReason(db, list, receipt, 'spam');
    const [row] = await findOptOuts(db, list.id, 'dan@example.com');
    assert.equal(row?.reason?.toString(), 'spam');
  });
});

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import {
  findLinkKey,
  keyOfToken,
  mintToken,
  newestLinkKey,
  openToken,
  rotateLinkKey,
  type LinkKey,
} from '../../src/core/signed-links.js';
import { makeList, startTestService, type TestService } from '../support/service.js';

const secret = 'a secret of at least 32 characters';

describe('Signed links', () => {
  let service: TestService;
  let key: LinkKey;
  before(async () => {
    service = await startTestService();
    key = await newestLinkKey(service.deps.db, secret, await makeList(service));
  });
  after(() => service.close());

  it('carry any address and tag, and come out the same each time', () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((t) => !t.includes('\n') && t.isWellFormed());
    fc.assert(
      fc.property(text, text, (address, tag) => {
        const token = mintToken(key, address, tag);
        assert.match(token, /^[A-Za-z0-9_-]+$/);
        assert.equal(mintToken(key, address, tag), token);
        assert.deepEqual(openToken(key, token), { listId: key.listId, address, tag });
        assert.deepEqual(keyOfToken(token), { listId: key.listId, number: key.number });
      }),
    );
    assert.deepEqual(openToken(key, mintToken(key, 'ann@example.com')), {
      listId: key.listId,
      address: 'ann@example.com',
      tag: '*',
    });
  });

  it('show neither the address nor the tag', () => {
    const token = mintToken(key, 'ann@example.com', 'offers');
    assert.doesNotMatch(Buffer.from(token, 'base64url').toString('latin1'), /ann|example|offers/);
  });

  it('of 100,000 changed ones, open not one', () => {
    const token = mintToken(key, 'ann@example.com', 'offers');
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    let opened = 0;
    for (let i = 0; i < 100_000; i++) {
      const at = i % token.length;
      const letter = alphabet[randomInt(64)] ?? 'A';
      const changes = [
        token.slice(0, at) + letter + token.slice(at + 1),
        token.slice(0, at) + token.slice(at + 1),
        token.slice(0, at) + letter + token.slice(at),
        token.slice(0, at),
      ];
      const changed = changes[i % 4] ?? '';
      if (changed !== token && openToken(key, changed) !== null) opened++;
    }
    assert.equal(opened, 0);
    assert.notEqual(openToken(key, token), null);
  });

  it('take each last letter only as it was written, spare bits and all', () => {
    for (const address of ['a@b.cd', 'ab@b.cd', 'abc@b.cd']) {
      const token = mintToken(key, address);
      for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=') {
        const changed = token.slice(0, -1) + letter;
        if (changed !== token) assert.equal(openToken(key, changed), null, changed);
      }
    }
  });

  it('open under their own key alone: not another list, another secret, another number', async () => {
    const { db } = service.deps;
    const list = await makeList(service);
    const old = await newestLinkKey(db, secret, list);
    const token = mintToken(old, 'ann@example.com');
    assert.equal(await rotateLinkKey(db, list, { actor: 'test' }), old.number + 1);
    const rotated = await newestLinkKey(db, secret, list);
    assert.equal(rotated.number, old.number + 1);
    assert.equal(openToken(rotated, token), null);
    assert.equal(openToken(key, token), null);

    const found = await findLinkKey(db, secret, list.id, old.number);
    assert.ok(
      found !== null && openToken(found, token)?.address === 'ann@example.com',
      'old links go on opening',
    );
    const otherSecret = await findLinkKey(db, `${secret}!`, list.id, old.number);
    assert.ok(otherSecret !== null);
    assert.equal(openToken(otherSecret, token), null);
    assert.equal(await findLinkKey(db, secret, list.id, 99), null);
  });
});

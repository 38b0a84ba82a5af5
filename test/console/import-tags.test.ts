import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { signInAs, type Visitor } from '../support/console.js';
import { makeList, startTestService, type TestService } from '../support/service.js';

describe('Tags that a list does not know, before an import', () => {
  let service: TestService;
  let olive: Visitor;
  let list: List;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    await addTags(service.deps.db, list.id, ['news']);
  });

  async function upload(lines: readonly string[]): Promise<string> {
    const file = { name: 'gone.csv', content: `email,tag\n${lines.join('\n')}\n`, type: 'text/csv' };
    const answer = await olive.upload(`/console/lists/${list.publicId}/imports`, file);
    assert.equal(answer.status, 303, answer.text);
    return answer.location ?? '';
  }
  const row = (n: number, tag: string) => `p${n}@example.com,${tag}`;
  const many = (count: number, tag: (n: number) => string) =>
    Array.from({ length: count }, (_, n) => row(n, tag(n)));

  it('are counted over all of the file, in front of the button that starts it', async () => {
    const unknown = (n: number) => (n < 100 ? 'news' : n < 1304 ? 'offers' : n % 2 === 0 ? 'a' : 'sale');
    // Refused rows opt nobody out.
    const at = await upload([...many(1500, unknown), 'nobody,offers', 'ann@example.com,']);
    const page = await olive.get(at);
    const warning =
      '1,400 rows name a tag that this list does not have (offers, a, sale): they would opt out of everything.';
    assert.ok(page.text.includes(warning), page.text);
    assert.ok(page.html.indexOf('1,400 rows name') < page.html.indexOf('value="start"'));
    assert.ok(page.html.indexOf('1,400 rows name') > page.html.indexOf('name="addsTags"'));
  });

  it('are no matter where they will be added, or where no column is said to have tags', async () => {
    const at = await upload(many(3, () => 'offers'));
    assert.match((await olive.get(at)).text, /3 rows name a tag .*\(offers\)/);
    const fields = { shownSeparator: 'comma', separator: 'comma', hasHeader: 'yes', tag: '*', do: 'preview' };
    const added = { ...fields, column0: 'who', column1: 'tag', addsTags: 'yes' };
    assert.doesNotMatch((await olive.post(at, added)).text, /does not have/);
    const ignored = { ...fields, column0: 'who', column1: 'ignore' };
    assert.doesNotMatch((await olive.post(at, ignored)).text, /does not have/);
    const alone = await upload([row(1, 'news'), row(2, 'offers')]);
    assert.match((await olive.get(alone)).text, /1 row names a tag that this list does not have \(offers\)/);
  });

  it('are counted over the first rows of a large file, which is said, and five of them named', async () => {
    const at = await upload(many(4000, (n) => (n < 10 ? `tag-${n}` : 'news')));
    const page = await olive.get(at);
    assert.match(
      page.text,
      /10 of the first 3,000 rows name a tag that this list does not have \(tag-0, .*tag-4, …\)/,
    );
    assert.doesNotMatch(page.text, /tag-5, tag-6/);
    const hostile = await upload([row(1, '<script>alert(1)</script>')]);
    assert.doesNotMatch((await olive.get(hostile)).html, /<script>alert/);
  });
});

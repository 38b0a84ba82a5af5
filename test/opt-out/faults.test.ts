import assert from 'node:assert/strict';
import type { Response } from 'supertest';
import { isSuppressed } from '../../src/core/suppressed.js';
import type { List } from '../../src/core/lists.js';
import { doors, type Door } from '../support/doors.js';
import { textOf } from '../support/html.js';
import { engine } from '../support/engine.js';
import { holdWrites, startFragileService, type FragileService, type Mend } from '../support/faults.js';
import { makeList, until } from '../support/service.js';

const ann = [['email', 'ann@example.com']] as const;

/** What a database can do to the doors; each fault is put on once, and every door is asked meanwhile. */
const faults: Record<string, (service: FragileService) => Promise<Mend>> = {
  'takes no writes': holdWrites,
  // A file that cannot be read any more is no fault that SQLite itself would get over.
  ...(engine === 'mysql' ? { 'is gone': (service) => service.loseDatabase() } : {}),
};

for (const [what, put] of Object.entries(faults)) {
  describe(`While the database ${what}`, () => {
    const lists = new Map<Door, List>();
    const answers = new Map<Door, Response>();
    let service: FragileService;
    let waitedMs = 0;

    before(async () => {
      // Long enough for a machine that is busy, short enough for a test.
      service = await startFragileService({ DATABASE_TIMEOUT_MS: '1000' });
      for (const door of doors) {
        const list = await makeList(service, door.settings);
        lists.set(door, list);
        // Settings are remembered for two seconds: the fault has to meet the write as well.
        await door.ask(service, list.publicId, [['email', '']]);
      }
      const mend = await put(service);
      const startedAt = Date.now();
      await Promise.all(
        doors.map(async (door) => answers.set(door, await door.ask(service, listOf(door), ann))),
      );
      waitedMs = Date.now() - startedAt;
      await mend();
    });
    after(() => service.close());

    const listOf = (door: Door) => lists.get(door)?.publicId ?? '';

    for (const door of doors) {
      it(`${door.name} says so, and never that it was recorded`, () => {
        const answer = answers.get(door);
        assert.equal(answer?.status, 503, answer?.text);
        assert.equal(answer.get('Retry-After'), '5');
        if (door.caller === 'person') {
          assert.ok(answer.text.includes(textOf('en', 'problem.unavailable.title')));
        } else {
          assert.equal(answer.type, 'application/problem+json');
          assert.equal((answer.body as { code: string }).code, 'unavailable');
        }
      });

      it(`${door.name} works again by itself afterwards`, async () => {
        await until('it is taken', async () => (await door.ask(service, listOf(door), ann)).status === 200);
        const list = lists.get(door);
        assert.equal(list && (await isSuppressed(service.deps.db, list.id, 'ann@example.com')), true);
      });
    }

    it('nobody waits for long', () => {
      assert.ok(waitedMs < 6000, `${waitedMs} ms`);
    });

    it('the log tells of it, and not of whom it concerned', () => {
      const log = service.logged.join('');
      assert.match(log, /answered 503/);
      assert.doesNotMatch(log, /\bann\b|616e6e40/i);
    });
  });
}

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { createList, type List } from '../src/core/lists.js';
import { erasePerson } from '../src/core/erasure.js';
import { addTags } from '../src/core/tags.js';
import { clients, type Answer, type Asked } from '../test/matrix/place.js';
import { optOutOf } from '../test/support/core.js';
import { lessReceipt } from '../test/support/html.js';
import { startTestService, type TestService } from '../test/support/service.js';
import { browser, imageOfBrowser, program } from '../test/support/visitors.js';
import type { Finding, Proof, Setting } from './proof.js';

/** What an address can be to a list; names of one length, so that the octets can be compared. */
const states = ['unknown', 'already', 'offered', 'removed', 'deleted'] as const;
type State = (typeof states)[number];

type Door = (id: string, email: string) => Asked;

const form = { 'Content-Type': 'application/x-www-form-urlencoded' };

/** Through which anybody can ask about anybody. */
const doors: Readonly<Record<string, Door>> = {
  'the form': (id, email) => post(`/l/${id}/opt-out`, `email=${email}`, browser),
  'the link that a mail holds': (id, email) => ({
    method: 'GET',
    path: `/l/${id}?email=${email}`,
    headers: browser,
  }),
  'one-click': (id, email) => post(`/l/${id}?email=${email}`, 'List-Unsubscribe=One-Click'),
  'the pixel': (id, email) => ({
    method: 'GET',
    path: `/l/${id}/pixel.gif?email=${email}`,
    headers: imageOfBrowser,
  }),
  'a server': (id, email) => post(`/l/${id}/notify`, `email=${email}`, program),
};

/** Promise 8: the same status, the same octets, and no time that would tell. */
export const oracle: Proof = {
  promise: 8,
  name: 'oracle',
  says: 'Nobody learns who is on a list',
  engines: ['sqlite', 'mysql'],
  isQuickToo: true,
  async prove(setting) {
    const service = await startTestService({ ATTACK_RECIPIENTS: '1000' });
    try {
      const findings: Finding[] = [];
      const samples = setting.size === 'quick' ? 20 : 400;
      for (const [name, door] of Object.entries(doors)) {
        setting.say(name);
        const list = await peopledList(service, samples);
        findings.push(findingOf(name, await compare(service, door, list.publicId, samples), setting));
      }
      return [...findings, await control(setting, samples)];
    } finally {
      await service.close();
    }
  },
};

function post(path: string, body: string, headers: Readonly<Record<string, string>> = {}): Asked {
  return { method: 'POST', path, body, headers: { ...headers, ...form } };
}

const emailOf = (state: State, n: number) => `${state}-${String(n).padStart(4, '0')}@example.com`;

/** So many of each state, but for those whom nobody knows. */
async function peopledList({ deps, accountId }: TestService, samples: number): Promise<List> {
  const settings = { name: 'Acme News', ipWhitelist: '127.0.0.1' };
  const list = await createList(deps.db, accountId, settings, { actor: 'test', confirmPrivate: true });
  await addTags(deps.db, list.id, ['offers']);
  const recordedAt = Date.now();
  for (let n = 0; n < samples; n++) {
    await deps.recorder.record([
      optOutOf(list.id, emailOf('already', n), { recordedAt }),
      optOutOf(list.id, emailOf('offered', n), { recordedAt, tag: 'offers' }),
      optOutOf(list.id, emailOf('removed', n), { recordedAt }),
      optOutOf(list.id, emailOf('deleted', n), { recordedAt }),
    ]);
    // A person who was erased: hashes are left, which suppress.
    const by = { actor: 'test', retryMs: 10_000 };
    for await (const _ of erasePerson(deps.db, accountId, emailOf('deleted', n), by));
  }
  const names = Array.from({ length: samples }, (_, n) => Buffer.from(emailOf('removed', n)));
  await deps
    .db('opt_outs')
    .where({ list_id: list.id })
    .whereIn('address', names)
    .update({ removed_at: Date.now(), feed_number: null });
  return list;
}

interface Comparison {
  sent: number;
  acknowledged: number;
  /** Answers that are not what the others are. */
  different: number;
  /** Milliseconds. */
  readonly times: Record<State, number[]>;
}

/** One request at a time, the states in turn and each turn in another order: what drifts, drifts for all of them. */
async function compare(
  service: Pick<TestService, 'port'>,
  door: Door,
  id: string,
  samples: number,
): Promise<Comparison> {
  const client = clients();
  const seen: Comparison = {
    ...{ sent: 0, acknowledged: 0, different: 0 },
    times: { unknown: [], already: [], offered: [], removed: [], deleted: [] },
  };
  let first: string | null = null;
  try {
    for (let n = 0; n < samples; n++) {
      for (const state of states.map((_, i) => states[(i + n) % states.length] ?? 'unknown')) {
        const email = emailOf(state, n);
        const startedAt = performance.now();
        const answer = await client.send(service, door(id, email));
        seen.times[state].push(performance.now() - startedAt);
        seen.sent++;
        if (answer.status === 200) seen.acknowledged++;
        const shown = shownOf(answer, email);
        first ??= shown;
        if (shown !== first) seen.different++;
      }
    }
  } finally {
    client.close();
  }
  return seen;
}

/** All that a caller can see, but for the address itself, the clock, and what is random each time. */
function shownOf({ status, headers, body }: Answer, email: string): string {
  const { date, ...others } = headers;
  const text = lessReceipt(body.replaceAll(email, '…').replaceAll(encodeURIComponent(email), '…'));
  return JSON.stringify([status, date !== undefined, others, text]);
}

/**
 * How often an address of one state takes longer than one of the other, as a share of all pairs (Mann and Whitney's
 * U): 0.5 where time tells nothing, 1 or 0 where it tells everything.
 */
function shareOfSlower(one: readonly number[], other: readonly number[]): number {
  const all = [...one.map((ms) => ({ ms, isOne: true })), ...other.map((ms) => ({ ms, isOne: false }))];
  all.sort((a, b) => a.ms - b.ms);
  const ranks = all.reduce((sum, { isOne }, i) => (isOne ? sum + i + 1 : sum), 0);
  return (ranks - (one.length * (one.length + 1)) / 2) / (one.length * other.length);
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

/** So unlike each other that a few requests would tell: what differs less drowns in any network. */
const tellingShare = 0.35;
const tellingMs = 1;

function isTelling({ times }: Comparison): boolean {
  return states.slice(1).some((state) => {
    const share = shareOfSlower(times[state], times.unknown);
    const apart = Math.abs(median(times[state]) - median(times.unknown));
    return Math.abs(share - 0.5) > tellingShare && apart > tellingMs;
  });
}

function timesOf({ times }: Comparison): string {
  const told = states.slice(1).map((state) => {
    const apart = median(times[state]) - median(times.unknown);
    return `${state} ${apart >= 0 ? '+' : ''}${apart.toFixed(3)} ms (${shareOfSlower(times[state], times.unknown).toFixed(2)})`;
  });
  return `median of unknown ${median(times.unknown).toFixed(3)} ms; ${told.join(', ')}`;
}

/** A busy machine says nothing of time: the suite looks at the octets alone. */
function findingOf(name: string, seen: Comparison, { size }: Setting): Finding {
  const { sent, acknowledged, different } = seen;
  const isSame = different === 0 && acknowledged === sent;
  return {
    what: `${name}: addresses unknown, opted out already, from a tag alone, removed, and erased`,
    ...{ sent, acknowledged },
    figure: `${different} answers that differ; ${timesOf(seen)}`,
    holds: isSame && (size === 'quick' || !isTelling(seen)),
  };
}

/** A server that says the same in other words to whom it knows, and one that takes longer. */
async function control(setting: Setting, samples: number): Promise<Finding> {
  const server = createServer((req, res) => {
    req.resume().on('end', () => {
      const [, state = ''] = /email=(\w+)-/.exec(req.url ?? '') ?? [];
      const later = state === 'already' ? 3 : 0;
      void wait(later).then(() =>
        res.end(state === 'removed' ? 'You have left once more.' : 'You have left.'),
      );
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const seen = await compare({ port }, (_id, email) => post(`/?email=${email}`, ''), '', samples);
    const isSeen = seen.different === samples && (setting.size === 'quick' || isTelling(seen));
    const figure = `${seen.different} answers that differ; ${timesOf(seen)}`;
    const what = 'a server that has other words for the removed, and takes 3 ms longer for who left already';
    return { what, sent: seen.sent, figure, holds: isSeen, isControl: true };
  } finally {
    server.close();
  }
}

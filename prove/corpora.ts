import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { getAccount } from '../src/core/accounts.js';
import { routes } from '../src/console/routes.js';
import {
  clients,
  credentialFor,
  placeOf,
  type Answer,
  type Asked,
  type Place,
} from '../test/matrix/place.js';
import { rows } from '../test/matrix/rows.js';
import { signInAs, type ConsolePage } from '../test/support/console.js';
import { formsOf } from '../test/support/forms.js';
import { escaped } from '../test/support/html.js';
import { startTestService, type TestService } from '../test/support/service.js';
import type { Finding, Proof, Setting } from './proof.js';
import { slotsOf, type Slot } from './support/injection.js';
import { mark, payloads } from './support/payloads.js';

interface Tally {
  sent: number;
  /** What the answers had that they must not have; the first of each kind. */
  readonly faults: Map<string, string>;
  count: number;
}

const newTally = (): Tally => ({ sent: 0, faults: new Map(), count: 0 });
type Send = (asked: Asked) => Promise<Answer>;

/** Promise 9: every payload in every place that somebody else writes, at every route that the app has. */
export const corpora: Proof = {
  promise: 9,
  name: 'corpora',
  says: 'Nothing typed by anyone runs anywhere',
  engines: ['sqlite', 'mysql'],
  isQuickToo: true,
  async prove(setting) {
    const service = await startTestService({
      API_REQUESTS_PER_MINUTE: '1000000',
      ATTACK_RECIPIENTS: '1000',
    });
    const client = clients();
    try {
      const send: Send = (asked) => client.send(service, asked);
      const findings = [
        await doors(setting, service, send),
        await consoleForms(setting, service),
        afterwards(service),
      ];
      return [...findings, await control()];
    } finally {
      client.close();
      await service.close();
    }
  },
};

async function doors(setting: Setting, service: TestService, send: Send): Promise<Finding> {
  const account = await getAccount(service.deps.db, service.accountId);
  const place = await placeOf(service, account);
  const tally = newTally();
  for (const [path, ofPath] of Object.entries(rows)) {
    setting.say(`${path}: ${tally.sent} so far`);
    for (const row of ofPath) {
      const all = row.may === 'anyone' ? row.asks(place) : [row.ask(place, await keyOf(place, row.may))];
      for (const asked of all) await everywhere(setting, send, asked, tally);
    }
  }
  return findingOf('every place of the requests of the doors and the APIs', tally);
}

/** In the quick form, each place gets a few of the payloads, and each payload many places. */
async function everywhere({ size }: Setting, send: Send, asked: Asked, tally: Tally): Promise<void> {
  for (const [at, { what, put }] of slotsOf(asked).entries()) {
    if (size === 'quick' && (at + tally.sent) % 12 !== 0) continue;
    for (const payload of chosenFrom(tally.sent + at, size === 'quick' ? 1 : 12)) {
      const answer = await send(put(payload));
      tally.sent++;
      note(tally, answer, payload, `${asked.method} ${asked.path.split('?')[0]}, ${what}`);
    }
  }
}

/** So many of them, from another place on each time. */
function chosenFrom(place: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => payloads[(place + i) % payloads.length] ?? '');
}

async function keyOf(place: Place, may: 'mailer' | Parameters<typeof credentialFor>[1]): Promise<string> {
  if (may === 'mailer') return place.accessKey;
  return (await credentialFor(place, may, place.list.accountId)).key;
}

/**
 * The owner's forms, as the pages show them: each field of each of them in turn, with all others as they stand, so that
 * what may be kept is kept. Then all pages once more, and those that recipients see of the list.
 */
async function consoleForms({ size, say }: Setting, service: TestService): Promise<Finding> {
  const account = await getAccount(service.deps.db, service.accountId);
  const place = await placeOf(service, account);
  const tally = newTally();
  const visitor = await signInAs(service, 'owner');
  const paths = routes
    .filter(({ path, screen }) => screen.show !== undefined && !/sign-|:token|\/profile\/|admin/.test(path))
    .map(({ path }) => path.replace(/:(\w+)/g, (_, name: string) => valueOf(place, name)));
  const noteAnswer = ({ status, headers, html }: ConsolePage, payload: string, where: string) =>
    note(tally, { status, headers: Object.fromEntries(headers), body: html }, payload, where);
  let accepted = 0;
  for (const path of paths) {
    say(`${path}: ${tally.sent} so far`);
    let forms = formsOf((await visitor.get(path)).html);
    for (const [i, { names, action }] of forms.entries()) {
      // The list's own page, as it is shown there: by now it leads wherever its owner has said.
      if (action !== '' && !action.startsWith('/console')) continue;
      for (const [at, field] of names.entries()) {
        if (size === 'quick' && (at + tally.sent) % 3 !== 0) continue;
        for (const payload of chosenFrom(tally.sent, size === 'quick' ? 1 : 40)) {
          const { action = '', method = 'get', standing = {} } = forms[i] ?? {};
          const to = action === '' ? path : action;
          const fields = { ...standing, [field]: payload };
          const page = await (method === 'post'
            ? visitor.post(to, fields)
            : visitor.get(`${to}?${new URLSearchParams(fields).toString()}`));
          tally.sent++;
          noteAnswer(page, payload, `${method} ${to}, the field ${field}`);
          if (page.status !== 303) continue;
          // Done: what the form holds now is another thing.
          accepted++;
          const then = await visitor.get(path);
          noteAnswer(then, payload, `${path}, which has kept the field ${field}`);
          forms = formsOf(then.html);
        }
      }
    }
  }
  const ofList = `/l/${place.list.publicId}`;
  const kept = new Set<string>();
  for (const path of [...paths, ofList, `${ofList}?email=bob@example.com&tag=offers`]) {
    const page = await visitor.get(path);
    tally.sent++;
    for (const payload of payloads) {
      noteAnswer(page, payload, `${path}, afterwards`);
      if (payload.includes(mark) && page.html.includes(escaped(payload))) kept.add(payload);
    }
  }
  const finding = findingOf('every field of the forms of the console, and all pages afterwards', tally);
  return {
    ...finding,
    figure: `${finding.figure}; ${accepted} forms were accepted, ${kept.size} payloads stand on pages as text`,
    holds: finding.holds && accepted > 0 && kept.size > 0,
  };
}

function valueOf({ list, samples }: Place, name: string): string {
  return name === 'account'
    ? String(list.accountId)
    : name === 'list'
      ? list.publicId
      : (samples[name] ?? '');
}

/** Marked payloads in what was logged, or in what every object has: a template that ran would have set it. */
function afterwards({ logged }: TestService): Finding {
  const inLog = logged.filter((line) => line.includes(mark)).length;
  const errors = logged.filter((line) => /unexpected error/.test(line)).length;
  const own = Object.getOwnPropertyNames(Object.prototype).length;
  const isSet = mark in globalThis || mark in Object.prototype || 'x' in Object.prototype || own !== 12;
  return {
    what: 'what they have left in the log, and in the process',
    figure: `${inLog} of ${logged.length} lines of the log hold a payload, ${errors} unexpected errors, ${isSet ? 'something' : 'nothing'} has run`,
    holds: logged.length > 0 && inLog === 0 && errors === 0 && !isSet,
  };
}

function note(tally: Tally, { status, headers, body }: Answer, payload: string, where: string): void {
  const kinds = [
    status >= 500 ? `status ${status}` : '',
    headers['x-injected'] === undefined ? '' : 'a header of its own',
    /signoff=x/.test(String(headers['set-cookie'] ?? '')) ? 'a cookie of its own' : '',
    leadsAway(headers.location) ? 'a redirect to elsewhere' : '',
    isEchoed(headers['content-type'], body, payload) ? 'itself, unescaped, in HTML' : '',
  ].filter(Boolean);
  tally.count += kinds.length;
  for (const kind of kinds) {
    if (!tally.faults.has(kind))
      tally.faults.set(kind, `${kind}: ${where}: ${JSON.stringify(payload.slice(0, 80))}`);
  }
}

function leadsAway(location: string | undefined): boolean {
  return location !== undefined && new URL(location, 'http://signoff.test').host !== 'signoff.test';
}

/** Only of payloads that could be anything else than text there. */
function isEchoed(type: string | undefined, body: string, payload: string): boolean {
  // Between two tags, XML takes quotes as they are; our XML has no attributes.
  const breaks = /html|svg/.test(type ?? '') ? /["'<]/ : /xml/.test(type ?? '') ? /</ : /(?!)/;
  if (!breaks.test(payload) || !payload.includes(mark)) return false;
  return body.includes(payload) || body.includes(Buffer.from(payload).toString('latin1'));
}

function findingOf(what: string, { sent, faults, count }: Tally): Finding {
  const figure =
    count === 0
      ? `${payloads.length} payloads: no answer of 500 or above, none echoed, no header of their own, no redirect to elsewhere`
      : `${count} faults, such as ${[...faults.values()].join('; ')}`;
  return { what, sent, figure, holds: sent > 0 && count === 0 };
}

/** A server that does everything wrong that is looked for here. */
async function control(): Promise<Finding> {
  const server = createServer((req, res) => {
    const text = new URL(req.url ?? '/', 'http://x').searchParams.get('email') ?? '';
    const line = /\r?\n([\w-]+): ?(.*)/.exec(text);
    if (line?.[1] !== undefined) res.setHeader(line[1], line[2] ?? '');
    if (/^(https?:)?\/\//.test(text)) res.setHeader('Location', text);
    res.writeHead(text.includes("'") ? 500 : 200, { 'Content-Type': 'text/html' }).end(`<p>${text}</p>`);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = clients();
  const tally = newTally();
  const port = (server.address() as AddressInfo).port;
  try {
    const slot = slotsOf({ method: 'GET', path: '/' }).find(({ what }) => what === 'the parameter email');
    for (const payload of slot === undefined ? [] : payloads) {
      note(tally, await client.send({ port }, (slot as Slot).put(payload)), payload, 'the control');
      tally.sent++;
    }
  } finally {
    client.close();
    server.close();
  }
  const what = 'a server that echoes, redirects, sets headers and fails as it is told';
  const kinds = [
    'status 500',
    'a header of its own',
    'a cookie of its own',
    'a redirect to elsewhere',
    'itself, unescaped, in HTML',
  ];
  const holds = kinds.every((kind) => tally.faults.has(kind));
  return { what, sent: tally.sent, figure: `${tally.count} faults seen`, holds, isControl: true };
}

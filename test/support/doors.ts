import http from 'node:http';
import request, { type Response, type Test } from 'supertest';
import type { ListSettings } from '../../src/core/list-settings.js';
import type { Source } from '../../src/core/opt-outs.js';
import { formOf } from './html.js';
import { browser, imageOfBrowser, program, type Headers } from './visitors.js';

/** What a request brings, in order; a name can come more than once. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** One way in which opt-outs come in. */
export interface Door {
  readonly name: string;
  readonly source: Source;
  /** A person is answered by a page, a program by a problem document. */
  readonly caller: 'person' | 'program';
  /** What a list needs to be set to. */
  readonly settings: Partial<ListSettings>;
  /** Opening it without an address is asking for the form. */
  readonly isVisit?: boolean;
  /** Several addresses are several opt-outs here. */
  readonly takesSeveral?: boolean;
  /** Address and tag are the link's own. */
  readonly isSigned?: boolean;
  /** The address stands without a name. */
  readonly isNameless?: boolean;
  readonly ask: (
    service: { url: string },
    listId: string,
    fields: Fields,
    from?: string,
  ) => Promise<Response>;
}

/** The proxy that the tests' TRUST_PROXY names, on this machine's loopback. */
export const trustedProxy = '127.0.0.9';

/** Where mailers' servers stand in these tests, and one of them. */
export const mailersNetwork = '203.0.113.0/24';
export const mailersServer = '203.0.113.7';

/** Sends a request by way of the trusted proxy, for someone at `ip`. */
export function forwarded(test: Test, ip: string): Test {
  return test
    .agent(new http.Agent({ localAddress: trustedProxy }))
    .set('X-Forwarded-For', ip)
    .set('Connection', 'close');
}

const link = (listId: string, fields: Fields, path = '') =>
  `/l/${listId}${path}?${new URLSearchParams(fields as [string, string][]).toString()}`;

function get(headers: Headers, path = ''): Door['ask'] {
  return async (service, listId, fields, from = mailersServer) =>
    forwarded(request(service.url).get(link(listId, fields, path)), from).set(headers);
}

function post(headers: Headers, path: string, write: (test: Test, fields: Fields) => Test): Door['ask'] {
  return async (service, listId, fields, from = mailersServer) =>
    write(forwarded(request(service.url).post(`/l/${listId}${path}`), from).set(headers), fields);
}

export const asForm = (test: Test, fields: Fields) =>
  test
    .type('application/x-www-form-urlencoded')
    .send(new URLSearchParams(fields as [string, string][]).toString());

/** An address that comes twice is an array of two. */
const asJson = (test: Test, fields: Fields) =>
  test.send([
    Object.fromEntries(
      fields.map(([name, value]) => {
        const values = fields.filter(([other]) => other === name).map(([, one]) => one);
        return [name, values.length > 1 ? values : value];
      }),
    ),
  ]);

/** RFC 8058: the recipient stands in the URL, the body says what to do. */
function oneClick(write: (test: Test) => Test): Door['ask'] {
  return async (service, listId, fields, from = mailersServer) =>
    write(forwarded(request(service.url).post(link(listId, fields)), from));
}

export const hostedForm: Door = {
  name: 'the hosted form',
  source: 'page',
  caller: 'person',
  settings: {},
  ask: post(browser, '/opt-out', asForm),
};

export const confirmButton: Door = {
  name: "the direct link's button",
  source: 'page',
  caller: 'person',
  settings: {},
  isVisit: true,
  ask: async (service, listId, fields, from = mailersServer) => {
    const opened = await get(browser)(service, listId, fields, from);
    const form = opened.status === 200 ? formOf(opened.text) : null;
    if (form === null || !form.isComplete) return opened;
    return asForm(forwarded(request(service.url).post(form.action), from).set(browser), form.fields);
  },
};

export const instantLink: Door = {
  name: 'the instant direct link',
  source: 'direct-link',
  caller: 'person',
  settings: { directLink: 'instant' },
  isVisit: true,
  ask: get(browser),
};

export const oneClickUrlencoded: Door = {
  name: 'one-click, urlencoded',
  source: 'one-click',
  caller: 'program',
  settings: {},
  ask: oneClick((test) => test.type('application/x-www-form-urlencoded').send('List-Unsubscribe=One-Click')),
};

export const oneClickMultipart: Door = {
  name: 'one-click, multipart',
  source: 'one-click',
  caller: 'program',
  settings: {},
  ask: oneClick((test) => test.field('List-Unsubscribe', 'One-Click')),
};

export const pixelByPath: Door = {
  name: 'the pixel',
  source: 'pixel',
  caller: 'program',
  settings: {},
  ask: get(imageOfBrowser, '/pixel.gif'),
};

export const pixelOnLink: Door = {
  name: "the list's link as an image",
  source: 'pixel',
  caller: 'program',
  settings: {},
  ask: get(imageOfBrowser),
};

const whitelisted = { ipWhitelist: mailersNetwork } as const;

export const serverGet: Door = {
  name: 'a server, by GET',
  source: 'server',
  caller: 'program',
  settings: whitelisted,
  ask: get(program, '/notify'),
};

export const serverForm: Door = {
  name: 'a server, by a form',
  source: 'server',
  caller: 'program',
  settings: whitelisted,
  takesSeveral: true,
  ask: post(program, '/notify', asForm),
};

export const serverJson: Door = {
  name: 'a server, by JSON',
  source: 'server',
  caller: 'program',
  settings: whitelisted,
  ask: post(program, '/notify', asJson),
};

export const serverText: Door = {
  name: 'a server, by lines of text',
  source: 'server',
  caller: 'program',
  settings: whitelisted,
  takesSeveral: true,
  isNameless: true,
  ask: async (service, listId, fields, from = mailersServer) => {
    const lines = fields.filter(([name]) => name === 'email').map(([, value]) => value);
    const others = fields.filter(([name]) => name !== 'email');
    const path = link(listId, others, '/notify');
    const test = forwarded(request(service.url).post(path), from).set(program);
    return test.type('text/plain').send(`${lines.join('\n')}\n`);
  },
};

export const serverOnLink: Door = {
  name: "a server, on the list's link",
  source: 'server',
  caller: 'program',
  settings: whitelisted,
  ask: get(program),
};

export const doors: readonly Door[] = [
  ...[hostedForm, confirmButton, instantLink, oneClickUrlencoded, oneClickMultipart],
  ...[pixelByPath, pixelOnLink, serverGet, serverForm, serverJson, serverText, serverOnLink],
];

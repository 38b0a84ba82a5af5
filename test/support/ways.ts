import { browser, imageOfBrowser, program, type Headers } from './visitors.js';

/** A request that brings the opt-out of one address, as it goes over the wire. */
export interface Asked {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly headers: Headers;
  readonly body?: string;
}

/** One way in which opt-outs come in, for a load of thousands of them. */
export interface Way {
  readonly name: string;
  readonly ask: (email: string) => Asked;
  /** Whether the answer says that it is recorded; where it is not given, every 2xx does. */
  readonly isTaken?: (status: number, text: string) => boolean;
  /** Whether it says that it cannot be recorded now; where it is not given, a 503 does. */
  readonly isUnavailable?: (status: number, text: string) => boolean;
}

const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
const of = (email: string) => `email=${encodeURIComponent(email)}`;

/** @param link the path of a list's link. */
export const oneClickWay = (link: string): Way => ({
  name: 'one-click',
  ask: (email) => ({
    ...{ method: 'POST', path: `${link}?${of(email)}`, headers: form },
    body: 'List-Unsubscribe=One-Click',
  }),
});

export const serverWay = (link: string): Way => ({
  name: 'the server door',
  ask: (email) => ({
    ...{ method: 'POST', path: `${link}/notify`, headers: { ...program, ...form } },
    body: of(email),
  }),
});

export const pixelWay = (link: string): Way => ({
  name: 'the pixel',
  ask: (email) => ({ method: 'GET', path: `${link}/pixel.gif?${of(email)}`, headers: imageOfBrowser }),
});

export const formWay = (link: string): Way => ({
  name: 'the form',
  ask: (email) => ({
    ...{ method: 'POST', path: `${link}/opt-out`, headers: { ...browser, ...form } },
    body: of(email),
  }),
});

export const apiWay = (listId: string, key: string): Way => ({
  name: 'our API',
  ask: (email) => ({
    method: 'PUT',
    path: `/api/v1/lists/${listId}/opt-outs/${encodeURIComponent(email)}`,
    headers: { Authorization: `Bearer ${key}` },
  }),
});

export const mailgunWay = (domain: string, key: string): Way => ({
  name: "Mailgun's API",
  ask: (address) => ({
    method: 'POST',
    path: `/v3/${domain}/unsubscribes`,
    headers: { ...form, Authorization: `Basic ${Buffer.from(`api:${key}`).toString('base64')}` },
    body: new URLSearchParams({ address }).toString(),
  }),
});

/** Whose answers all have status 200: what happened stands in their envelope. */
export const sendcloudWay = (apiUser: string, apiKey: string): Way => ({
  name: "SendCloud's API",
  ask: (email) => ({
    ...{ method: 'POST', path: '/apiv2/unsubscribe/add', headers: form },
    body: new URLSearchParams({ apiUser, apiKey, email }).toString(),
  }),
  isTaken: (status, text) => status === 200 && text.includes('"statusCode":40401'),
  isUnavailable: (status, text) => status === 200 && text.includes('"statusCode":501'),
});

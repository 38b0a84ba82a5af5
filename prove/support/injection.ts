import type { Asked } from '../../test/matrix/place.js';
import { names } from './payloads.js';

/** One place of a request that somebody else writes. */
export interface Slot {
  readonly what: string;
  readonly put: (payload: string) => Asked;
}

/** Of queries: every door's and every API's. */
const parameters = [
  ...[
    'email',
    'item',
    'tag',
    'mailer',
    'lang',
    'scope',
    'token',
    'reason',
    'key',
    'c',
    'format',
    'as',
    'since',
  ],
  ...[
    'cursor',
    'gzip',
    'return',
    'limit',
    'skip',
    'page',
    'address',
    'prefix',
    'confirm',
    'days',
    'startDate',
  ],
  ...[
    'endDate',
    'apiUser',
    'apiKey',
    'apiUserList',
    'labelIdList',
    'list',
    'q',
    'from',
    'to',
    'after',
    'before',
  ],
];

const headers = [
  ...['User-Agent', 'Referer', 'Origin', 'Cookie', 'Accept', 'Accept-Language', 'Accept-Encoding', 'Host'],
  ...[
    'Authorization',
    'Content-Type',
    'If-None-Match',
    'If-Match',
    'Range',
    'Idempotency-Key',
    'X-Request-Id',
  ],
  ...['X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-HTTP-Method-Override', 'Sec-Purpose'],
];

/** All places of a request: parts of its path, parameters, fields of its body, names of both, headers. */
export function slotsOf(asked: Asked): Slot[] {
  return [...pathSlots(asked), ...querySlots(asked), ...bodySlots(asked), ...headerSlots(asked)];
}

function pathSlots(asked: Asked): Slot[] {
  const [path = '', query] = asked.path.split('?');
  const parts = path.split('/');
  return parts.flatMap((_part, i) =>
    i < 2 || (parts[1] === 'api' && i < 4)
      ? []
      : {
          what: `part ${i} of the path`,
          put: (payload) => {
            const changed = parts.with(i, encoded(payload)).join('/');
            return { ...asked, path: query === undefined ? changed : `${changed}?${query}` };
          },
        },
  );
}

function querySlots(asked: Asked): Slot[] {
  return [...parameters, ...names].map((name) => ({
    what: `the parameter ${name}`,
    put: (payload) => {
      const [path = '', query = ''] = asked.path.split('?');
      const others = query.split('&').filter((one) => one !== '' && !one.startsWith(`${name}=`));
      return { ...asked, path: `${path}?${[...others, `${encoded(name)}=${encoded(payload)}`].join('&')}` };
    },
  }));
}

function bodySlots(asked: Asked): Slot[] {
  const { body } = asked;
  if (body === undefined) return [];
  const type = asked.headers?.['Content-Type'] ?? '';
  const whole: Slot = { what: 'the body', put: (payload) => ({ ...asked, body: payload }) };
  if (type.includes('urlencoded')) {
    const fields = [...new URLSearchParams(body).keys()];
    const slots = [...new Set([...fields, ...names])].map((name): Slot => ({
      what: `the field ${name}`,
      put: (payload) => {
        const params = new URLSearchParams(body);
        params.set(name, payload);
        return { ...asked, body: params.toString() };
      },
    }));
    return [whole, ...slots];
  }
  if (!type.includes('json')) return [whole];
  const parsed = JSON.parse(body) as unknown;
  const put = (changed: unknown): Asked => ({ ...asked, body: JSON.stringify(changed) });
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return [whole, { what: 'an item', put: (payload) => put([payload]) }];
  }
  const slots = Object.keys(parsed).flatMap((name): Slot[] => [
    { what: `the member ${name}`, put: (payload) => put({ ...parsed, [name]: payload }) },
    { what: `an item of ${name}`, put: (payload) => put({ ...parsed, [name]: [payload] }) },
    { what: `a member of ${name}`, put: (payload) => put({ ...parsed, [name]: { [payload]: payload } }) },
  ]);
  return [whole, ...slots, { what: 'a name', put: (payload) => put({ ...parsed, [payload]: payload }) }];
}

function headerSlots(asked: Asked): Slot[] {
  return headers.map((name) => ({
    what: `the header ${name}`,
    put: (payload) => {
      // What no header can hold cannot be sent in one; the rest goes as its octets in UTF-8.
      const value = Buffer.from(payload)
        .toString('latin1')
        .replace(/[^\t\x20-\x7e\x80-\xff]/g, '');
      const others = Object.entries(asked.headers ?? {}).filter(([one]) => one !== name);
      return { ...asked, headers: { ...Object.fromEntries(others), [name]: value.slice(0, 4000) } };
    },
  }));
}

function encoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16)}`);
}

import { Router } from 'express';
import type { Surface } from '../../http/surface.js';
import { createDoor, noSuchCall, surfaceName, tellUnread, type Resource } from './call.js';
import { insert } from './insert.js';
import { list } from './list.js';
import { importFile, removeEverything } from './many.js';
import { get, remove } from './one.js';

/**
 * Mailgun v3's unsubscribes. Its quirks: every key's user is `api`; a form is one record and says `tag`, JSON is
 * many and says `tags`, as all answers do; pages are told by an address, and the one behind the last is empty;
 * every body ends with a newline, and a wrong key is answered in plain text.
 */
export const mailgun: Surface = {
  name: surfaceName,
  title: 'Mailgun v3',
  listNoun: 'domain',
  loginNoun: null,
  roles: [
    { name: 'admin', rights: ['read', 'record', 'remove'] },
    { name: 'sending', rights: ['read', 'record'] },
    { name: 'analyst', rights: ['read'] },
  ],
  pathsBegin: '/v3',
  tell: tellUnread,
  snippet: ({ baseUrl, key, listName }) =>
    `curl -u ${quoted(`api:${key}`)} "${baseUrl}/v3/${encodeURIComponent(listName)}/unsubscribes?limit=10"`,
  routes(deps) {
    const router = Router();
    // No captured groups: Express would decode them, and an address may hold what it cannot decode.
    router.all(/^\/v3\/[^/]+\/unsubscribes(?:\/.*)?$/, createDoor(deps, resourceAt));
    router.all(/^\/v3(?:\/.*)?$/, noSuchCall(deps));
    return router;
  },
};

const whole: Resource = {
  GET: ['read', list],
  POST: ['record', insert],
  DELETE: ['remove', removeEverything],
};
const one: Resource = { GET: ['read', get], DELETE: ['remove', remove] };

const file: Resource = { POST: ['record', importFile] };

function resourceAt(rest: string): Resource {
  return rest === '' ? whole : rest === 'import' ? file : one;
}

/** For a shell: a key that a program brought may hold anything but a space. */
function quoted(text: string): string {
  return /^[\w:.-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

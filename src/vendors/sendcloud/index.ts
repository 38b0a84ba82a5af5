import { Router, type RequestHandler } from 'express';
import { removeAddresses, removeMany } from '../../core/removals.js';
import type { Credential, Right } from '../../core/credentials.js';
import { findOptOuts } from '../../core/suppressed.js';
import { EVERYTHING, type OptOutRecord } from '../../core/opt-outs.js';
import { retrying } from '../../db/connect.js';
import type { Deps } from '../../deps.js';
import { createAuthentication } from '../../http/authentication.js';
import { addressOf } from '../../http/client-address-of.js';
import { closeUnread, problemOf } from '../../http/errors.js';
import { HttpError } from '../../http/http-error.js';
import { createRateLimit } from '../../http/rate-limit.js';
import { sendNothing } from '../../http/respond.js';
import type { Surface } from '../../http/surface.js';
import { answer, Failure, type Code } from './answers.js';
import { listsOf, ownList, pageOf, parametersOf, partsOf, surfaceName } from './call.js';
import { askedOf, countingEntries, emailOf, entriesOf } from './entries.js';
import { labelIdOf, recordOf } from './records.js';
import { endOf, farFuture } from './times.js';

/**
 * SendCloud v2's unsubscribe calls. Its quirks: the HTTP status is 200 whatever happens, times are UTC+8, each
 * call comes by GET and by POST, and addresses come with their `+` turned into a space.
 */
export const sendcloud: Surface = {
  name: surfaceName,
  title: 'SendCloud v2',
  listNoun: 'apiUser',
  loginNoun: 'apiUser',
  roles: [{ name: 'apiUser', rights: ['read', 'record', 'remove'] }],
  pathsBegin: '/apiv2',
  tell: (deps, req, res, error) => {
    const { status, title, headers = {} } = problemOf(deps, error);
    answer(req, res, codeOf(status, 'read'), {}, title, headers);
  },
  snippet: ({ baseUrl, key, login }) =>
    `curl "${baseUrl}/apiv2/unsubscribe/list?days=1" \\\n  -d apiUser=${encodeURIComponent(login)} -d apiKey=${encodeURIComponent(key)}`,
  routes(deps) {
    const router = Router();
    const door = doorOf(deps);
    router.all('/apiv2/unsubscribe/list', door('read', list));
    router.all('/apiv2/unsubscribe/add', door('record', add));
    router.all('/apiv2/unsubscribe/delete', door('remove', remove));
    router.all(/^\/apiv2(?:\/.*)?$/, noSuchCall(deps));
    return router;
  },
};

/** What an HTTP status would say. */
function whatFailed({ code }: Failure) {
  return { status: code === 40005 ? 401 : 400, title: '', detail: '', headers: {} };
}

/**
 * A failure that SendCloud has no code for. Where a call cannot be read, all of it is missing: neither "no
 * permission" nor "our fault" would send anybody to look at it.
 */
function codeOf(status: number, right: Right): Code {
  if (status >= 500) return 501;
  if (![400, 408, 413, 415].includes(status)) return 6001;
  return right === 'record' ? 40402 : 40011;
}

interface Call {
  readonly deps: Deps;
  readonly credential: Credential;
  readonly parameters: URLSearchParams;
  readonly ip: string | null;
  readonly now: number;
  /** The client has gone: nobody will read the answer. */
  readonly isOver: () => boolean;
}

type Answer = readonly [code: Code, info: unknown];

/** To do anything by another would be more than its sender has asked for. */
const methods = 'GET, POST, OPTIONS';

function doorOf(deps: Deps) {
  const authenticate = createAuthentication(deps, surfaceName);
  const allow = createRateLimit(deps.config.apiRequestsPerMinute);

  return (right: Right, carryOut: (call: Call) => Promise<Answer>): RequestHandler =>
    async (req, res) => {
      if (req.method === 'OPTIONS') return sendNothing(res, { Allow: methods });
      const startedAt = performance.now();
      // For the count alone: the answer's own status is always 200.
      let told = 200;
      let isRecorded = false;
      try {
        if (req.method !== 'GET' && req.method !== 'POST')
          throw new HttpError(405, 'method', 'This is called by GET or POST.', methods);
        const parameters = await parametersOf(req);
        const login = parameters.get('apiUser') ?? '';
        const credential = await authenticate(req, { login, key: parameters.get('apiKey') ?? '' });
        if (credential === null) throw new Failure(40005);
        const { isOver, resetSeconds } = allow(credential);
        if (isOver) {
          const message = 'Too many requests: wait a while.';
          throw new HttpError(429, 'too-many-requests', message, undefined, resetSeconds);
        }
        if (!credential.rights.has(right)) throw new Failure(6001);
        const { ip } = addressOf(deps, req);
        const call = { deps, credential, parameters, ip, now: Date.now(), isOver: () => res.destroyed };
        const [code, info] = await carryOut(call);
        isRecorded = right === 'record';
        answer(req, res, code, info);
      } catch (error) {
        const isOurs = error instanceof Failure;
        const { status, title, detail, headers } = isOurs ? whatFailed(error) : problemOf(deps, error);
        told = status;
        const code = isOurs ? error.code : codeOf(status, right);
        closeUnread(req, res, status);
        answer(req, res, code, {}, isOurs ? error.detail : (detail ?? title), headers);
      }
      deps.metrics.answered('api', told, startedAt, isRecorded);
    };
}

function noSuchCall({ metrics }: Deps): RequestHandler {
  return (req, res) => {
    const startedAt = performance.now();
    answer(req, res, 6001, {}, 'There is no such call.');
    // For the count: this API's status tells nothing.
    metrics.answered('api', 404, startedAt);
  };
}

/** The entries of an address, or of some days; those of the account's global list count as the list's own. */
async function list({ deps, credential, parameters, now, isOver }: Call): Promise<Answer> {
  const { start, limit } = pageOf(parameters);
  const lists = await listsOf(deps, credential, partsOf(parameters.get('apiUserList')));
  const isWanted = labelsOf(parameters);
  const asked = askedOf(parameters, now);
  const found: unknown[] = [];
  let passed = 0;
  for await (const { apiUser, rows } of countingEntries(deps.db, lists, asked, now)) {
    for (const row of rows.filter(isWanted)) {
      if (passed++ >= start && found.length < limit) found.push(recordOf(row, apiUser));
    }
    if (found.length === limit || isOver()) break;
  }
  return [200, { dataList: found, count: found.length }];
}

/** Adds one address to the list of the credential's apiUser. */
async function add({ deps, credential, parameters, ip, now }: Call): Promise<Answer> {
  const address = emailOf(parameters);
  if (address === null) throw new Failure(40011);
  const { apiUser, list: own } = await ownList(deps, credential);
  const text = parameters.get('expireTime')?.trim() ?? '';
  const expiresAt = text === '' ? null : endOf(text, now);
  if (text !== '' && expiresAt === null) throw new Failure(40402, 'expireTime: yyyy-MM-dd');
  // Its documentation's example ends before it begins. "Created" would be taken for "is left alone from now on".
  if (expiresAt === 'past') throw new Failure(40402, 'expireTime: in the past');
  await deps.recorder.record([
    {
      listId: own.id,
      address,
      tag: EVERYTHING,
      source: 'api',
      createdAt: now,
      recordedAt: now,
      expiresAt: expiresAt === farFuture ? null : expiresAt,
      credentialId: credential.id,
      ip,
      isVouched: true,
    },
  ]);
  const rows = await findOptOuts(deps.db, own.id, address.normalised);
  const row = rows.find(({ tag }) => tag.toString() === EVERYTHING);
  return [40401, { data: row === undefined ? {} : recordOf(row, apiUser) }];
}

/**
 * Removes an address, or what was added in some days, of the named lists alone: what the global list holds
 * stays. Of days, all of a list is one removal, which can be taken back.
 */
async function remove({ deps, credential, parameters, now }: Call): Promise<Answer> {
  const { db, config } = deps;
  const retryMs = config.databaseTimeoutMs;
  const lists = await listsOf(deps, credential, partsOf(parameters.get('apiUserList')));
  const actor = `credential ${credential.id}`;
  const asked = askedOf(parameters, now);
  let count = 0;
  for (const { list: one } of lists) {
    if (asked.address === null) {
      // Who has left more than once keeps what is of other days.
      const options = { actor, credentialId: credential.id, retryMs, leftBetween: asked.range };
      count += (await removeMany(db, one, addressesOf(entriesOf(db, one.id, asked, now)), options)).addresses;
    } else {
      const addresses = [asked.address.normalised];
      count += (await retrying(db, retryMs, () => removeAddresses(db, one, addresses, { actor, at: now })))
        .size;
    }
  }
  return [200, { count }];
}

async function* addressesOf(slices: AsyncIterable<readonly OptOutRecord[]>): AsyncGenerator<string[]> {
  for await (const rows of slices) yield rows.map((row) => row.address?.toString() ?? '');
}

/** @throws Failure 40015 */
function labelsOf(parameters: URLSearchParams): (row: OptOutRecord) => boolean {
  const ids = partsOf(parameters.get('labelIdList'));
  if (ids.some((id) => !/^\d{1,10}$/.test(id))) throw new Failure(40015);
  const names = partsOf(parameters.get('labelNameList'));
  if (ids.length + names.length === 0) return () => true;
  const wanted = new Set([...ids.map(Number), ...names.map(labelIdOf)]);
  return (row) => {
    const tag = row.tag.toString();
    return wanted.has(labelIdOf(tag === EVERYTHING ? '' : tag));
  };
}

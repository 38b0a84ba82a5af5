import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { queryOf } from '../http/request.js';
import { faultsOf } from './faults.js';
import { hasBody, readJson, refuseBody } from './json.js';
import { isJson, type AnyOperation } from './operation.js';
import { ApiProblem, invalid, type Fault } from './problems.js';

/** All of a request that an operation reads, each part checked. */
export interface Checked {
  readonly parameters: Record<string, unknown>;
  readonly query: Record<string, unknown>;
  readonly body: unknown;
  /** The octets of a JSON body; empty where there is none. */
  readonly octets: Buffer;
}

/**
 * Checks path, query and body against their schemas.
 *
 * @param moreFaults of a body as it came, where something does not pass.
 * @throws ApiProblem naming everything that does not pass, at once.
 */
export async function check(
  operation: AnyOperation,
  req: IncomingMessage,
  path: Readonly<Record<string, unknown>>,
  moreFaults: (parameters: Checked['parameters'], body: unknown) => Promise<Fault[]>,
): Promise<Checked> {
  const faults: Fault[] = [];
  const inUrl = ([name]: readonly PropertyKey[]) => ({ parameter: String(name) });
  const parameters = take(operation.parameters, path, inUrl, faults);
  const query = take(operation.query, singles(queryOf(req), faults), inUrl, faults);
  const { value, octets } = await bodyOf(operation, req);
  const body = isJson(operation.body) ? take(operation.body.schema, value, inBody, faults) : undefined;
  if (faults.length > 0) throw invalid([...faults, ...(await moreFaults(parameters ?? {}, value))]);
  return { parameters: parameters ?? {}, query: query ?? {}, body, octets };
}

function take<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  place: (path: readonly PropertyKey[]) => Partial<Fault>,
  faults: Fault[],
): z.output<Schema> | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) faults.push(...faultsOf(issue, place));
  return undefined;
}

function singles(query: URLSearchParams, faults: Fault[]): Record<string, string> {
  const seen = new Set<string>();
  for (const parameter of query.keys()) {
    if (seen.has(parameter)) faults.push({ parameter, code: 'repeated', detail: 'It may come once.' });
    seen.add(parameter);
  }
  return Object.fromEntries(query);
}

async function bodyOf(
  { body }: AnyOperation,
  req: IncomingMessage,
): Promise<{ value: unknown; octets: Buffer }> {
  if (isJson(body)) {
    if (hasBody(req) || body.isOptional !== true) return readJson(req, body.limit);
    return { value: {}, octets: Buffer.alloc(0) };
  }
  if (body === null) refuseBody(req);
  return { value: undefined, octets: Buffer.alloc(0) };
}

/** `#/opt_outs/3/address` */
function inBody(path: readonly PropertyKey[]): Partial<Fault> {
  const steps = path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`);
  return { pointer: `#${encodeURI(steps.join(''))}` };
}

/** Names under which programs put a key into a URL. */
const keyNames = ['key', 'api_key', 'apikey', 'access_token', 'access_key', 'token'];

/** @throws ApiProblem for a key in the URL. */
export function refuseKeyInQuery(req: IncomingMessage): void {
  const names = [...queryOf(req).keys()].map((name) => name.toLowerCase());
  const found = keyNames.find((name) => names.includes(name));
  if (found === undefined) return;
  throw new ApiProblem(
    'key-in-query',
    `There is a parameter "${found}" in the URL. Send the key as "Authorization: Bearer …".`,
  );
}

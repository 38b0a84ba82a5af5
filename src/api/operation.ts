import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Credential, Right } from '../core/credentials.js';
import type { List } from '../core/lists.js';
import type { Deps } from '../deps.js';
import type { ProblemName } from './problem-types.js';
import type { Fault } from './problems.js';

/**
 * One operation of our API. All that there is of it comes from here: its route, its checks, its part of the
 * OpenAPI document, and its chapter of the page.
 *
 * Where `parameters` has a `list`, the door finds it, and answers 404 where the key is not granted it.
 */
export interface Operation<
  Path extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
> {
  /** The OpenAPI document's operationId. */
  readonly id: string;
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** Below /api/v1, as OpenAPI writes it: `/lists/{list}`. */
  readonly path: string;
  readonly right: Right;
  /** The chapter that it stands in. */
  readonly group: string;
  readonly summary: string;
  readonly description: string;
  readonly parameters: Path;
  /** Strict: a parameter that it does not know is refused by name. */
  readonly query: Query;
  readonly body: JsonBody<Body> | Upload | null;
  readonly answers: Readonly<Record<number, AnswerShape>>;
  /** The problems that it has beyond those that any operation may have. */
  readonly problems?: readonly ProblemName[];
  /**
   * What only its list can tell is wrong with a body, as it came. Asked where something else does not pass: so that
   * all is told at once.
   */
  readonly faultsInList?: (deps: Deps, list: List, body: unknown) => Promise<Fault[]>;
  /** It changes nothing, whatever its method: an Idempotency-Key has no meaning for it. */
  readonly isReadOnly?: boolean;
  /** An opt-out is recorded where it succeeds; for the metrics. */
  readonly records?: boolean;
  /** What the page and the document show of it. */
  readonly example: { readonly query?: Readonly<Record<string, string>>; readonly body?: unknown };
  carryOut(call: Call<z.output<Path>, z.output<Query>, z.output<Body>>): Promise<Answer>;
}

export interface JsonBody<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** Octets. */
  readonly limit: number;
  /** None is the same as `{}`. */
  readonly isOptional?: boolean;
}

/** A body that `carryOut` reads itself, from `call.req`, which nobody has touched; as it does its Idempotency-Key. */
export interface Upload {
  readonly mediaTypes: readonly string[];
  readonly description: string;
  /** Of a curl command. */
  readonly exampleFile: string;
}

export interface AnswerShape {
  readonly description: string;
  /** None: an answer without a body. */
  readonly schema?: z.ZodType;
  readonly example?: unknown;
  /** Beyond those that all answers have: name and meaning. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Call<Path, Query, Body> {
  readonly deps: Deps;
  readonly credential: Credential;
  readonly parameters: Path;
  readonly query: Query;
  readonly body: Body;
  readonly list: Path extends { list: string } ? List : null;
  /** The request itself, for uploads alone: all else has been checked. */
  readonly req: IncomingMessage;
  readonly ip: string | null;
  readonly now: number;
  /**
   * When it came for the first time: earlier than `now` where it is carried out once more under its
   * Idempotency-Key. What removes leaves alone whatever was recorded since.
   */
  readonly firstAt: number;
}

export interface Answer {
  readonly status: number;
  /** None: an answer without a body. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Any operation: what its own types say, `defineOperation` has held. */
export type AnyOperation = Operation;

export function defineOperation<
  Path extends z.ZodObject,
  Query extends z.ZodObject,
  Body extends z.ZodType = z.ZodUndefined,
>(operation: Operation<Path, Query, Body>): AnyOperation {
  return operation;
}

export function isUpload(body: AnyOperation['body']): body is Upload {
  return body !== null && 'mediaTypes' in body;
}

export function isJson(body: AnyOperation['body']): body is JsonBody<z.ZodType> {
  return body !== null && 'schema' in body;
}

/** Whether an Idempotency-Key has a meaning for it. */
export function takesKey({ method, isReadOnly = false }: AnyOperation): boolean {
  return method !== 'get' && !isReadOnly;
}

/** For operations that take none. */
export const nothing = z.strictObject({});

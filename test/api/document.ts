import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { Response } from 'supertest';
import { documentOf } from '../../src/api/document.js';
import { operations } from '../../src/api/operations.js';

/** The document as programs get it. */
export const document = JSON.parse(JSON.stringify(documentOf('http://signoff.test', operations))) as {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, DocumentedOperation>>;
  readonly components: { readonly schemas: Record<string, unknown> };
};

export interface DocumentedOperation {
  readonly operationId: string;
  readonly responses: Record<string, { content?: Record<string, { schema: unknown; example?: unknown }> }>;
  readonly requestBody?: { content: Record<string, { schema: unknown; example?: unknown }> };
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
formats.default(ajv);

/** A schema of the document; closed, so that an answer may hold nothing that is not documented. */
export function validatorOf(schema: unknown): ValidateFunction {
  return ajv.compile({
    ...(closed(schema) as object),
    components: { schemas: closed(document.components.schemas) },
  });
}

function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const parts = Object.fromEntries(Object.entries(schema).map(([key, part]) => [key, closed(part)]));
  return 'properties' in parts && !('additionalProperties' in parts)
    ? { ...parts, additionalProperties: false }
    : parts;
}

const validators = new Map<string, ValidateFunction>();

/** Holds an answer against what the document says of its operation, status and type. */
export function checkAnswer(answer: Response): void {
  const { method, path } = answer.request as unknown as { method: string; path?: string; url: string };
  const { pathname } = new URL(
    path ?? (answer.request as unknown as { url: string }).url,
    'http://signoff.test',
  );
  const found = operationOf(method, pathname);
  const where = `${method} ${found?.path ?? '(unknown)'} ${answer.status}`;
  if (answer.type === 'application/problem+json' && found === null) {
    return assertFits('problem', { $ref: '#/components/schemas/Problem' }, answer.body);
  }
  if (found === null) return;
  const response = found.operation.responses[answer.status];
  assert.ok(response, `${where} is not in the document: ${answer.text}`);
  if (method === 'HEAD') return;
  if (response.content === undefined) return assert.equal(answer.text, '', where);
  const content = response.content[answer.type];
  assert.ok(content, `${where}: ${answer.type} is not in the document`);
  if (/json$/.test(answer.type)) assertFits(where + answer.type, content.schema, answer.body);
}

function assertFits(name: string, schema: unknown, body: unknown): void {
  const validate = validators.get(name) ?? validatorOf(schema);
  validators.set(name, validate);
  assert.ok(validate(body), `${name}: ${JSON.stringify(validate.errors)} ${JSON.stringify(body)}`);
}

function operationOf(
  method: string,
  pathname: string,
): { path: string; operation: DocumentedOperation } | null {
  for (const [path, methods] of Object.entries(document.paths)) {
    const pattern = new RegExp(`^/api/v1${path.replace(/\{\w+\}/g, '[^/]+')}$`);
    const operation = methods[method === 'HEAD' ? 'get' : method.toLowerCase()];
    if (operation !== undefined && pattern.test(pathname)) return { path, operation };
  }
  return null;
}

import { createHash } from 'node:crypto';
import { OpenAPIRegistry, OpenApiGeneratorV31, type ResponseConfig } from '@asteasolutions/zod-to-openapi';
import type { RequestHandler } from 'express';
import { z } from 'zod';
import type { Deps } from '../deps.js';
import { isJson, isUpload, takesKey, type AnyOperation } from './operation.js';
import { commonProblems, problemTypes, type ProblemName } from './problem-types.js';

export type ApiDocument = ReturnType<OpenApiGeneratorV31['generateDocument']>;

const schemeName = 'key';

const problem = z
  .object({
    type: z.url().meta({ description: 'Leads to what this problem is about.' }),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(problemTypes) as [ProblemName, ...ProblemName[]]),
    detail: z.string(),
    errors: z
      .array(
        z.object({
          parameter: z.string().optional().meta({ description: 'Of the path or the query.' }),
          header: z.string().optional(),
          pointer: z
            .string()
            .optional()
            .meta({ description: 'A place in the body (RFC 6901).', example: '#/opt_outs/3/address' }),
          code: z.string(),
          detail: z.string(),
        }),
      )
      .optional()
      .meta({ description: 'All that does not pass, at once; at most 1,000.' }),
    error_id: z.string().optional().meta({ description: 'Under which it stands in the log.' }),
  })
  .meta({ id: 'Problem', description: 'A problem document (RFC 9457).' });

const idempotencyKey = z.string().min(1).max(255).optional().meta({
  description: 'A request that is sent again under the same key within 24 hours gets the same answer.',
  example: '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
});

/** The OpenAPI 3.1 document: made of the schemas that check the requests. */
export function documentOf(baseUrl: string, operations: readonly AnyOperation[]): ApiDocument {
  const registry = new OpenAPIRegistry();
  registry.registerComponent('securitySchemes', schemeName, {
    type: 'http',
    scheme: 'bearer',
    description: 'A key of this API; `signoff credential create --surface api` makes one.',
  });
  for (const operation of operations) register(registry, operation);
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Signoff API',
      version: '1',
      description: 'Lists, and the opt-outs from them.',
    },
    servers: [{ url: `${baseUrl}/api/v1` }],
    tags: [...new Set(operations.map(({ group }) => group))].map((name) => ({ name })),
  });
}

function register(registry: OpenAPIRegistry, operation: AnyOperation): void {
  const { id, method, path, right, group, summary, description, parameters, query, answers } = operation;
  const responses: Record<string, ResponseConfig> = {};
  for (const [status, answer] of Object.entries(answers)) {
    const headers = Object.entries({ ...rateHeaders, ...answer.headers });
    responses[status] = {
      description: answer.description,
      headers: Object.fromEntries(
        headers.map(([name, text]) => [name, { description: text, schema: { type: 'string' as const } }]),
      ),
      ...(answer.schema === undefined
        ? {}
        : { content: { 'application/json': { schema: answer.schema, example: answer.example } } }),
    };
  }
  for (const [status, names] of problemsByStatus(operation)) {
    responses[status] = {
      description: names.map((name) => `\`${name}\`: ${problemTypes[name].title}`).join(' '),
      content: { 'application/problem+json': { schema: problem } },
    };
  }
  const body = bodyOf(operation);
  registry.registerPath({
    method,
    path,
    operationId: id,
    tags: [group],
    summary,
    description,
    // What a key of this scheme has to bring: OpenAPI 3.1 has room for it where 3.0 had none.
    security: [{ [schemeName]: [right] }],
    request: {
      params: parameters,
      query,
      ...(!takesKey(operation) ? {} : { headers: z.object({ 'Idempotency-Key': idempotencyKey }) }),
      ...(body === null ? {} : { body: { required: !isOptional(operation), content: body } }),
    },
    responses,
  });
}

const rateHeaders = {
  'RateLimit-Policy': 'How many requests a minute the key may make: `"default";q=6000;w=60`.',
  RateLimit: 'How many are left, and for how many seconds: `"default";r=5999;t=58`.',
};

function bodyOf({ body, example }: AnyOperation) {
  if (isJson(body)) return { 'application/json': { schema: body.schema, example: example.body } };
  if (isUpload(body)) {
    const schema = z.string().meta({ format: 'binary', description: body.description });
    return Object.fromEntries(body.mediaTypes.map((type) => [type, { schema }]));
  }
  return null;
}

function isOptional({ body }: AnyOperation): boolean {
  return isJson(body) && body.isOptional === true;
}

/** The names of the problems that an operation may have. */
export function problemsOf(operation: AnyOperation): ProblemName[] {
  const { body, problems = [] } = operation;
  const names = new Set<ProblemName>([...commonProblems, ...problems]);
  if (takesKey(operation)) names.add('under-way').add('key-reused');
  if (body !== null) names.add('too-large').add('unsupported-media-type');
  return (Object.keys(problemTypes) as ProblemName[]).filter((name) => names.has(name));
}

function problemsByStatus(operation: AnyOperation): Map<string, ProblemName[]> {
  const byStatus = new Map<string, ProblemName[]>();
  for (const name of problemsOf(operation)) {
    const status = String(problemTypes[name].status);
    byStatus.set(status, [...(byStatus.get(status) ?? []), name]);
  }
  return byStatus;
}

/** Needs no key: it says nothing that the documentation does not. */
export function sendDocument({ metrics }: Deps, document: ApiDocument): RequestHandler {
  const json = Buffer.from(`${JSON.stringify(document)}\n`);
  const etag = `"${createHash('sha256').update(json).digest('base64url').slice(0, 22)}"`;
  return (req, res) => {
    const asked = (req.headers['if-none-match'] ?? '')
      .split(',')
      .map((one) => one.trim().replace(/^W\//, ''));
    const isUnchanged = asked.includes(etag) || asked.includes('*');
    const headers = { ETag: etag, 'Cache-Control': 'public, max-age=300' };
    if (isUnchanged) res.writeHead(304, headers).end();
    else {
      res.writeHead(200, { ...headers, 'Content-Type': 'application/json', 'Content-Length': json.length });
      res.end(req.method === 'HEAD' ? undefined : json);
    }
    metrics.answered('api', res.statusCode);
  };
}

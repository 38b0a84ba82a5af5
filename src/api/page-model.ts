import type { ApiDocument } from './document.js';
import { isJson, isUpload, type AnyOperation } from './operation.js';

/** What the page shows, read from the OpenAPI document. */

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

interface Documented {
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

type Content = Readonly<Record<string, { readonly schema: Schema; readonly example?: unknown }>>;

/** A text, with what stands between backticks as code. */
export interface Segment {
  readonly text: string;
  readonly isCode: boolean;
}

/** A parameter, or a member of a body. */
export interface Row {
  readonly name: string;
  readonly type: string;
  readonly isNeeded: boolean;
  readonly description: readonly Segment[];
}

export function chaptersOf(document: ApiDocument, operations: readonly AnyOperation[], baseUrl: string) {
  const groups = [...new Set(operations.map(({ group }) => group))];
  return groups.map((name) => ({
    name,
    id: name.toLowerCase().replace(/[^a-z]+/g, '-'),
    operations: operations
      .filter(({ group }) => group === name)
      .map((operation) => operationOf(document, operation, baseUrl)),
  }));
}

function operationOf(document: ApiDocument, operation: AnyOperation, baseUrl: string) {
  const { id, method, path, right } = operation;
  const schemas = (document.components?.schemas ?? {}) as Readonly<Record<string, Schema>>;
  const documented = document.paths?.[path]?.[method] as unknown as Documented;
  const json = documented.requestBody?.content['application/json'];
  const parameters = documented.parameters ?? [];
  const ofPlace = (place: string) =>
    parameters
      .filter((one) => one.in === place)
      .map((one) => rowOf(one.name, one.schema, one.required === true, schemas));
  return {
    id,
    method: method.toUpperCase(),
    path,
    right,
    summary: documented.summary,
    description: segmentsOf(documented.description),
    tables: [
      { title: 'In the path', rows: ofPlace('path') },
      { title: 'In the query', rows: ofPlace('query') },
      { title: 'Headers', rows: ofPlace('header') },
      { title: 'Body', rows: json === undefined ? uploadRows(operation) : rowsOf(json.schema, schemas) },
    ].filter(({ rows }) => rows.length > 0),
    answers: Object.entries(documented.responses)
      .filter(([status]) => Number(status) < 400)
      .map(([status, { description, content }]) => ({
        status,
        description: segmentsOf(description),
        rows: rowsOf(content?.['application/json']?.schema ?? {}, schemas),
        example: shown(content?.['application/json']?.example),
      })),
    problems: Object.entries(documented.responses)
      .filter(([status]) => Number(status) >= 400)
      .flatMap(([, { description }]) => [...description.matchAll(/`([a-z-]+)`:/g)].map(([, name]) => name)),
    curl: curlOf(operation, baseUrl),
  };
}

function uploadRows({ body }: AnyOperation): Row[] {
  if (!isUpload(body)) return [];
  const { mediaTypes, description } = body;
  return [
    { name: 'the file', type: mediaTypes.join(', '), isNeeded: true, description: segmentsOf(description) },
  ];
}

/** A command that works as it is printed, where KEY, LIST and ID are set; what empties a list asks for more. */
export function curlOf({ method, path, body, example }: AnyOperation, baseUrl: string): string {
  const query = new URLSearchParams(example.query).toString();
  const where = path
    .replace('{list}', '$LIST')
    .replace('{address}', 'ann@example.com')
    .replace(/\{\w+\}/g, '$ID');
  const lines = [`curl "${baseUrl}/api/v1${where}${query === '' ? '' : `?${query}`}"`];
  if (method !== 'get') lines.push(`-X ${method.toUpperCase()}`);
  lines.push('-H "Authorization: Bearer $KEY"');
  if (isJson(body) && example.body !== undefined) {
    lines.push(
      '-H "Content-Type: application/json"',
      `-d '${JSON.stringify(example.body).replaceAll("'", "'\\''")}'`,
    );
  }
  if (isUpload(body)) {
    lines.push(`-H "Content-Type: ${body.mediaTypes[0]}"`, `--data-binary @${body.exampleFile}`);
  }
  return lines.join(' \\\n  ');
}

export function segmentsOf(text: string): Segment[] {
  return text
    .split('`')
    .map((part, i) => ({ text: part, isCode: i % 2 === 1 }))
    .filter((segment) => segment.text !== '');
}

const mostDepth = 5;

/** The members of a body, those of inner objects as well: `opt_outs[].address`. */
function rowsOf(given: Schema, schemas: Readonly<Record<string, Schema>>, prefix = '', depth = 0): Row[] {
  const schema = resolved(given, schemas);
  if (depth > mostDepth) return [];
  if (schema.items !== undefined) return rowsOf(schema.items, schemas, `${prefix}[]`, depth + 1);
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const isNeeded = schema.required?.includes(name) === true;
    return [rowOf(path, member, isNeeded, schemas), ...rowsOf(member, schemas, path, depth + 1)];
  });
}

function rowOf(
  name: string,
  given: Schema,
  isNeeded: boolean,
  schemas: Readonly<Record<string, Schema>>,
): Row {
  const schema = resolved(given, schemas);
  const description = given.description ?? schema.description ?? '';
  return { name, type: typeOf(schema, schemas), isNeeded, description: segmentsOf(description) };
}

function resolved(schema: Schema, schemas: Readonly<Record<string, Schema>>): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : (schemas[name] ?? {});
}

function typeOf(schema: Schema, schemas: Readonly<Record<string, Schema>>): string {
  if (schema.enum !== undefined) return schema.enum.map(String).join(' | ');
  const several = schema.anyOf ?? schema.oneOf;
  if (several !== undefined) {
    return [...new Set(several.map((one) => typeOf(resolved(one, schemas), schemas)))].join(' | ');
  }
  const types = [schema.type ?? 'any'].flat();
  const name = types.map((type) => (type === 'string' && schema.format !== undefined ? schema.format : type));
  const { minimum, maximum, maxLength, maxItems } = schema;
  const isBounded = minimum !== undefined && maximum !== undefined && maximum < 1e9;
  const bound = isBounded
    ? `, ${minimum} to ${maximum}`
    : maxLength !== undefined
      ? `, at most ${maxLength} characters`
      : maxItems !== undefined
        ? `, at most ${maxItems}`
        : '';
  return `${name.join(' | ')}${bound}`;
}

function shown(example: unknown): string | null {
  return example === undefined ? null : JSON.stringify(example, null, 2);
}

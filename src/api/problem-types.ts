/**
 * What can go wrong, by name: the `code` of a problem document, and the anchor on our page to which its
 * `type` leads. Names never change; texts may.
 */
export const problemTypes = {
  'invalid-request': {
    status: 400,
    title: 'Something in the request does not pass.',
    text: 'All that does not pass is named at once in "errors": by "parameter" (of the path or the query), "header", or "pointer" (a place in the body, RFC 6901), each with a stable "code" and a "detail". Nothing was done. Mend the request and send it again.',
  },
  malformed: {
    status: 400,
    title: 'The request cannot be read.',
    text: 'Broken JSON, text that is not UTF-8, a body that broke off or is nested too deeply, a body where none belongs, a path that is not properly percent-encoded. Nothing was done.',
  },
  'key-in-query': {
    status: 400,
    title: 'A key does not belong into a URL.',
    text: 'URLs get logged. Send the key as "Authorization: Bearer …", and end a key that has been in a URL.',
  },
  unauthorized: {
    status: 401,
    title: 'This needs a key.',
    text: 'There was no "Authorization: Bearer …" header, or its key is not one of this API, or has ended.',
  },
  'missing-right': {
    status: 403,
    title: 'The key may not do this.',
    text: 'The detail names the right that the key lacks: read, record, remove or admin.',
  },
  'wrong-network': {
    status: 403,
    title: 'The key may not be used from this address.',
    text: 'The key is for some networks alone. The detail names the address that the request came from.',
  },
  'not-allowed': {
    status: 403,
    title: 'This is not allowed.',
    text: 'The detail says what stands against it.',
  },
  'not-found': {
    status: 404,
    title: 'There is no such thing.',
    text: 'The path is none of this API, or the list or opt-out that it names does not exist. A list that the key is not granted is answered in the same way.',
  },
  'method-not-allowed': {
    status: 405,
    title: 'This path does not take that method.',
    text: 'The header Allow names those that it takes.',
  },
  'not-acceptable': {
    status: 406,
    title: 'The answer cannot have the form that was asked for.',
    text: 'Answers are application/json, and problems application/problem+json: "Accept" has to let these through.',
  },
  'under-way': {
    status: 409,
    title: 'A request with this Idempotency-Key is being carried out.',
    text: 'Wait for as long as Retry-After says, and send the same request again.',
  },
  conflict: {
    status: 409,
    title: 'Things stand in another way than this needs.',
    text: 'The detail says what stands against it.',
  },
  'cursor-gone': {
    status: 410,
    title: 'This cursor is no longer served.',
    text: 'Take the whole list, and go on with the cursor that comes with it.',
  },
  'too-large': {
    status: 413,
    title: 'The body is too large.',
    text: 'The detail names the bound. Send it in parts.',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The body has a form that is not taken.',
    text: 'Bodies are application/json in UTF-8, without a Content-Encoding, where an operation does not name other types.',
  },
  'key-reused': {
    status: 422,
    title: 'This Idempotency-Key came with another request.',
    text: 'A key belongs to one request: method, path, query and body. Take a new one. Nothing was done.',
  },
  'too-many-requests': {
    status: 429,
    title: 'Too many requests.',
    text: 'Wait for as long as Retry-After says. RateLimit tells how many are left.',
  },
  internal: {
    status: 500,
    title: 'Something went wrong on our side.',
    text: 'The detail has a number, under which it stands in the log.',
  },
  unavailable: {
    status: 503,
    title: 'This cannot be done at the moment.',
    text: 'Whether it was done is unknown. Wait for as long as Retry-After says, and send the same request again, under the same Idempotency-Key where it had one. A removal without a key may take away what was recorded in between.',
  },
} as const satisfies Record<string, { status: number; title: string; text: string }>;

export type ProblemName = keyof typeof problemTypes;

/** What any operation may answer; those with a body or an Idempotency-Key more. */
export const commonProblems: readonly ProblemName[] = [
  'invalid-request',
  'malformed',
  'key-in-query',
  'unauthorized',
  'missing-right',
  'wrong-network',
  'not-found',
  'not-acceptable',
  'too-many-requests',
  'internal',
  'unavailable',
];

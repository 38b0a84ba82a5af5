import type { z } from 'zod';
import type { Fault } from './problems.js';

/** What zod finds wrong, in our words: stable codes, and sentences that repeat nothing of what was sent. */

type Issue = z.core.$ZodIssue;

/** One issue; several where it speaks of several unknown members. */
export function faultsOf(issue: Issue, place: (path: readonly PropertyKey[]) => Partial<Fault>): Fault[] {
  const path = issue.path;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      ...place([...path, key]),
      code: 'unknown',
      detail: 'There is no such thing here; see the documentation for what there is.',
    }));
  }
  if (issue.code === 'invalid_union') {
    const [first = []] = [...issue.errors].sort((a, b) => depthOf(b) - depthOf(a));
    if (depthOf(first) > 0) {
      return first.flatMap((inner) => faultsOf({ ...inner, path: [...path, ...inner.path] }, place));
    }
  }
  const [code, detail] = wordsOf(issue);
  return [{ ...place(path), code, detail }];
}

/** Of several shapes that a value may have, the one is meant of which the most fits. */
function depthOf(issues: readonly Issue[]): number {
  return issues.every((issue) => issue.path.length > 0) ? issues.length : 0;
}

function wordsOf(issue: Issue): [code: string, detail: string] {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined && issue.message.includes('undefined'))
        return ['missing', 'It is needed.'];
      return ['wrong-type', `It must be ${typeNames[issue.expected] ?? issue.expected}.`];
    case 'too_big':
      return issue.origin === 'number' || issue.origin === 'int'
        ? ['out-of-range', `It must be at most ${issue.maximum}.`]
        : ['too-long', `It must have at most ${countOf(issue.maximum, issue.origin)}.`];
    case 'too_small':
      return issue.origin === 'number' || issue.origin === 'int'
        ? ['out-of-range', `It must be at least ${issue.minimum}.`]
        : ['too-short', `It must have at least ${countOf(issue.minimum, issue.origin)}.`];
    case 'invalid_value':
      return ['not-one-of', `It must be one of: ${issue.values.map(String).join(', ')}.`];
    case 'invalid_format':
      return issue.format === 'datetime'
        ? ['no-time', 'It must be a time as RFC 3339 writes it, with its offset: 2026-01-31T12:00:00Z.']
        : ['malformed', 'It does not have the form that it must have.'];
    case 'custom': {
      const code: unknown = issue.params?.code;
      return [typeof code === 'string' ? code : 'malformed', issue.message];
    }
    case 'invalid_union':
      return ['wrong-type', 'It has none of the shapes that it may have.'];
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'unrecognized_keys':
      return ['malformed', 'It does not have the form that it must have.'];
  }
}

const typeNames: Partial<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  null: 'null',
};

function countOf(count: number | bigint, origin: string): string {
  const [one, many] = origin === 'string' ? ['character', 'characters'] : ['entry', 'entries'];
  return `${count} ${Number(count) === 1 ? one : many}`;
}

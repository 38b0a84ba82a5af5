import { fillRedirectTemplate, parseRedirectTemplate } from '../core/redirect-template.js';
import { Invalid } from '../errors.js';
import { formErrorOf } from './problems.js';
import type { ListVisit } from './screen.js';

/** What a redirect comes to for one recipient: where it leads, or what is wrong with it. */
export type TriedRedirect =
  | { readonly state: 'none' }
  | { readonly state: 'leads'; readonly url: string; readonly email: string }
  | { readonly state: 'wrong'; readonly message: string };

/** Whom it is tried with: a `+` and an `@` are what goes wrong where an address is not encoded. */
const sampleEmail = 'ann+news@example.com';

export function tryRedirect(visit: ListVisit, text: string): TriedRedirect {
  if (text === '') return { state: 'none' };
  const read = parseRedirectTemplate(text);
  const wrong = (problem: string, message: string): TriedRedirect => ({
    state: 'wrong',
    message: formErrorOf(visit, new Invalid('redirectTemplate', problem, message)).message,
  });
  if (!read.ok) return wrong(read.problem, read.message);
  try {
    const values = { email: sampleEmail, list: visit.list.publicId, status: 'opted-out' };
    return { state: 'leads', url: fillRedirectTemplate(read.template, values), email: sampleEmail };
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    return wrong(error.problem, error.message);
  }
}

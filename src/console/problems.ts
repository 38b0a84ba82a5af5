import { Invalid, Refused } from '../errors.js';
import type { Deps } from '../deps.js';
import { problemOf } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import { view, type AnyVisit, type FormError, type PageAnswer } from './screen.js';
import { hasConsoleText } from './texts.js';

const page = view('console/problem.ejs');

/**
 * What a form says of an error, in the reader's language: the text of `problems.json` for this field and problem,
 * or for the problem, or what the core says of it.
 */
export function formErrorOf({ t }: AnyVisit, error: unknown): FormError {
  if (error instanceof Invalid) {
    const keys = [`problems.${error.field}.${error.problem}`, `problems.any.${error.problem}`];
    const key = keys.find(hasConsoleText);
    return { field: error.field, message: key === undefined ? error.message : t(key) };
  }
  const reason =
    error instanceof Refused
      ? `problems.refused.${error.reason}`
      : error instanceof HttpError
        ? `problems.refused.${error.code}`
        : '';
  return { field: null, message: hasConsoleText(reason) ? t(reason) : (error as Error).message };
}

/** What went wrong, as a page of the console. */
export function problemPage(deps: Deps, visit: AnyVisit, error: unknown): PageAnswer {
  const { t } = visit;
  const { status, code, headers, errorId } = problemOf(deps, error);
  // Where it is the user's role, the page says all there is to say.
  const isOfRole = error instanceof Refused && error.reason === 'role';
  const isTold = !isOfRole && (error instanceof Invalid || error instanceof Refused);
  const isRefused = error instanceof Refused && status === 403 && !isOfRole;
  const known = [
    isRefused ? 'problems.page.refused' : '',
    `problems.page.${code}`,
    `problems.page.${status}`,
  ].find((key) => hasConsoleText(`${key}.title`));
  const key = known ?? (status < 500 ? 'problems.page.400' : 'problems.page.500');
  return page(
    t(`${key}.title`),
    {
      text: t(`${key}.text`),
      detail: isTold ? formErrorOf(visit, error).message : null,
      errorId: errorId ?? null,
    },
    { status, ...(headers === undefined ? {} : { headers }) },
  );
}

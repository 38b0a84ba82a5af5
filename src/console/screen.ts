import type { Request, Response } from 'express';
import type { Account } from '../core/accounts.js';
import type { Translate } from '../core/languages.js';
import type { List } from '../core/lists.js';
import type { Session } from '../core/sessions.js';
import type { ConsoleLanguage, Role, User } from '../core/users.js';
import type { Deps } from '../deps.js';
import { compile } from '../http/view-frame.js';
import type { Formats } from './formats.js';

/** One request of a page of the console, as its screen is given it: whose it is, and what it may reach, is settled. */
export interface AnyVisit {
  readonly deps: Deps;
  readonly req: Request;
  readonly res: Response;
  /** Null where nobody is signed in: only screens for anyone see that. */
  readonly user: User | null;
  readonly session: Session | null;
  readonly language: ConsoleLanguage;
  readonly t: Translate;
  /** Times in the account's time zone (without one, UTC), numbers as the language writes them. */
  readonly formats: Formats;
  /** The placeholders of the path, as they came. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Of a POST; null otherwise, and where the screen reads its upload itself. */
  readonly form: URLSearchParams | null;
  /** Canonical; null where it cannot be told. */
  readonly ip: string | null;
  readonly now: number;
}

export interface UserVisit extends AnyVisit {
  readonly user: User;
  readonly session: Session;
  /** As the history has it: `user:<id>`. */
  readonly actor: string;
}

export interface AccountVisit extends UserVisit {
  readonly account: Account;
}

export interface ListVisit extends AccountVisit {
  readonly list: List;
}

/** What went wrong with a form that was sent. `field` is null where it is none of its fields' doing. */
export interface FormError {
  readonly field: string | null;
  readonly message: string;
}

export interface PageAnswer {
  readonly template: (page: Record<string, unknown>) => string;
  readonly title: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of the console's own. */
  readonly policy?: string;
}

/** `done`: a key of `done.json`, whose text stands on top of the page that follows. */
export interface RedirectAnswer {
  readonly redirect: string;
  readonly done?: string;
}

/** Null: the screen has answered by itself (a file). */
export type Answer = PageAnswer | RedirectAnswer | null;

/** A page of the console, and what its form does. */
export interface Screen<V extends AnyVisit> {
  /**
   * GET; and again after `act` threw Invalid or Refused, with what was sent (`visit.form`) and what was wrong.
   * Without it, there is nothing to open here.
   */
  show?(visit: V, error: FormError | null): Promise<Answer>;
  /** POST. */
  act?(visit: V): Promise<Answer>;
  /**
   * The body is a file: `act` reads it (http/upload.ts), and calls `checkUploadToken` with the fields that stand
   * before it.
   */
  readonly takesUpload?: true;
}

/** A page of a view, made once: `view('console/lists.ejs')`. */
export function view(
  file: string,
): (title: string, data?: Record<string, unknown>, more?: Partial<PageAnswer>) => PageAnswer {
  const template = compile(file);
  return (title, data = {}, more = {}) => ({ template, title, data, ...more });
}

/** Who may open a page; `anyone` is not signed in, or is. */
export type May = readonly Role[] | 'anyone';

import type { Request, RequestHandler, Response } from 'express';
import type { Account } from '../core/accounts.js';
import { getAccountSettings } from '../core/account-settings.js';
import type { List } from '../core/lists.js';
import { findSession, formTokenOf, type Session } from '../core/sessions.js';
import { accountFor, listFor } from '../core/user-rights.js';
import { actorOf, type User } from '../core/users.js';
import type { Deps } from '../deps.js';
import { Invalid, NotFound, Refused } from '../errors.js';
import { addressOf } from '../http/client-address-of.js';
import { closeUnread } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import { queryOf, readForm } from '../http/request.js';
import { NOT_KEPT, sendHtml } from '../http/respond.js';
import { checkFormToken, refuseOtherSites } from '../http/same-site.js';
import { sessionTokenOf } from '../http/session-cookie.js';
import { formatsFor } from './formats.js';
import { frameOf } from './frame.js';
import { formErrorOf, problemPage } from './problems.js';
import type { Answer, AnyVisit, FormError, May, PageAnswer, RedirectAnswer, Screen } from './screen.js';
import { chooseConsoleLanguage, consoleTexts } from './texts.js';

/** What a page of the console may load and do: nothing but what is ours. */
export const consolePolicy =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "frame-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/** Whoever is not signed in sends little; thank-you texts in all languages, and a thousand addresses, are more. */
const strangersForm = { octets: 16 * 1024, fields: 50 };
const usersForm = { octets: 1024 * 1024, fields: 1500 };

/** A screen at its place, for whom it is there, and what its path names. */
export interface Route {
  /** As Express has it; `:account` and `:list` are looked up within the user's reach. */
  readonly path: string;
  readonly may: May;
  readonly screen: Screen<never>;
}

type AnyScreen = Screen<AnyVisit & { account?: Account; list?: List }>;

/**
 * What all screens have in common: who asks, whether they may, what of theirs the path names, that a form comes
 * from a page of ours and of this session, and how what goes wrong is told.
 */
export function doorOf(deps: Deps, route: Route): RequestHandler {
  const screen = route.screen as unknown as AnyScreen;
  const allow = [
    ...(screen.show === undefined ? [] : ['GET', 'HEAD']),
    ...(screen.act === undefined ? [] : ['POST']),
    'OPTIONS',
  ].join(', ');

  return async (req, res) => {
    const startedAt = performance.now();
    res.setHeader('Content-Security-Policy', consolePolicy);
    // Under `no-referrer` browsers send `Origin: null` with our own forms: older ones, and all of them over plain
    // http, say nothing else of where a form came from.
    res.setHeader('Referrer-Policy', 'same-origin');
    let visit: (AnyVisit & { account?: Account; list?: List }) | null = null;
    let found: { session: Session; user: User } | null = null;
    let formToken: string | null = null;
    let reached: AnyVisit | null = null;
    try {
      const token = sessionTokenOf(req, deps.baseUrl);
      found = token === null ? null : await findSession(deps.db, token);
      formToken = found === null || token === null ? null : formTokenOf(token);
      visit = visitOf(deps, req, res, found);
      await answer(visit, found);
    } catch (error) {
      visit ??= visitOf(deps, req, res, null);
      if (res.headersSent) res.destroy();
      else {
        const page = problemPage(deps, visit, error);
        closeUnread(req, res, page.status ?? 500);
        send((reached as AnyVisit | null) ?? (await withNavigation(visit, found, page)), page, null);
      }
    }
    deps.metrics.answered('console', res.statusCode, startedAt);

    async function answer(
      visit: AnyVisit & { account?: Account; list?: List },
      found: { session: Session; user: User } | null,
    ): Promise<void> {
      const isAct = req.method === 'POST' && screen.act !== undefined;
      const isShow = (req.method === 'GET' || req.method === 'HEAD') && screen.show !== undefined;
      if (req.method === 'OPTIONS') {
        res.writeHead(204, { ...NOT_KEPT, Allow: allow }).end();
        return;
      }
      if (req.method === 'POST') refuseOtherSites(req, deps.baseUrl);
      if (route.may !== 'anyone') {
        if (found === null) return send(visit, signInFor(req, screen.show !== undefined), null);
        if (!route.may.includes(found.user.role)) {
          throw new Refused('role', 'This is for other users of the account.');
        }
      }
      const whole = await reach(visit, found);
      reached = whole;
      if (isShow) return send(whole, (await screen.show?.(whole, null)) ?? null, null);
      if (!isAct) throw new HttpError(405, 'method', 'This page is not opened like that.', allow);
      await act(whole, found !== null);
    }

    /** Looks up what the path names, and what goes with it. */
    async function reach(
      visit: AnyVisit,
      found: { session: Session; user: User } | null,
    ): Promise<AnyVisit & { account?: Account; list?: List }> {
      if (found === null) return visit;
      const { user } = found;
      const { account: accountId, list: publicId } = visit.params;
      const list = publicId === undefined ? undefined : await listFor(deps.db, user, publicId);
      const id = list?.accountId ?? (accountId === undefined ? user.accountId : idOf(accountId));
      const account = id === null ? undefined : await accountFor(deps.db, user, id);
      const zone = account === undefined ? null : (await getAccountSettings(deps.db, account.id)).timeZone;
      return {
        ...visit,
        actor: actorOf(user),
        formats: formatsFor(visit.language, zone ?? 'UTC'),
        ...(account === undefined ? {} : { account }),
        ...(list === undefined ? {} : { list }),
      } as AnyVisit;
    }

    /** Of what the path names, else of the own account; a fault of ours is told without asking for more. */
    async function withNavigation(
      visit: AnyVisit,
      found: { session: Session; user: User } | null,
      { status = 500 }: PageAnswer,
    ): Promise<AnyVisit> {
      if (status >= 500) return visit;
      return reach(visit, found)
        .catch(() => reach({ ...visit, params: {} }, found))
        .catch(() => visit);
    }

    async function act(visit: AnyVisit, isSignedIn: boolean): Promise<void> {
      if (screen.takesUpload === true) return send(visit, (await screen.act?.(visit)) ?? null, null);
      const form = await readForm(req, isSignedIn ? usersForm : strangersForm);
      const sent = { ...visit, form };
      try {
        if (isSignedIn || route.may !== 'anyone') checkFormToken(formToken ?? '', form);
        send(sent, (await screen.act?.(sent)) ?? null, null);
      } catch (error) {
        if (res.headersSent || !(await isShownAgain(sent, error))) throw error;
      }
    }

    /** The form as it was sent, with what was wrong of it; false where that is to be a page by itself. */
    async function isShownAgain(sent: AnyVisit, error: unknown): Promise<boolean> {
      const isTold = error instanceof Invalid || error instanceof Refused;
      // Who has signed in anew in another tab keeps what was typed in this one, as far as there is a form to show.
      const isStale = error instanceof HttpError && error.code === 'form-token';
      if (screen.show === undefined || !(isTold || isStale)) return false;
      const told = formErrorOf(sent, error);
      const status = error instanceof Invalid ? 422 : (problemPage(deps, sent, error).status ?? 422);
      const again = await Promise.resolve(sent)
        .then((visit) => screen.show?.(visit, told) ?? null)
        .catch((fault: unknown) => {
          if (isStale) return null;
          throw fault;
        });
      const isPage = again !== null && 'template' in again;
      if (isStale && !isPage) return false;
      send(sent, isPage ? { ...again, status } : again, told);
      return true;
    }
  };

  function send(visit: AnyVisit, answer: Answer, error: FormError | null): void {
    const { req, res } = visit;
    if (answer === null) return;
    if ('redirect' in answer) {
      const { redirect, done } = answer;
      const sign = redirect.includes('?') ? '&' : '?';
      const location = done === undefined ? redirect : `${redirect}${sign}done=${encodeURIComponent(done)}`;
      res.writeHead(303, { ...NOT_KEPT, Location: location }).end();
      return;
    }
    const token = sessionTokenOf(req, deps.baseUrl);
    const frame = frameOf(
      visit,
      req.path,
      visit.user === null || token === null ? null : formTokenOf(token),
      error,
    );
    const html = answer.template({ ...frame, title: answer.title, ...answer.data });
    if (answer.policy !== undefined) res.setHeader('Content-Security-Policy', answer.policy);
    sendHtml(req, res, answer.status ?? 200, html, { ...answer.headers });
  }
}

/**
 * For screens that read an upload themselves.
 *
 * @param fields those that stand before the file.
 * @throws HttpError 403
 */
export function checkUploadToken(visit: AnyVisit, fields: URLSearchParams): void {
  const token = sessionTokenOf(visit.req, visit.deps.baseUrl);
  checkFormToken(token === null ? '' : formTokenOf(token), fields);
}

/** @throws NotFound for what is no id. */
export function idOf(text: string | undefined): number {
  if (text === undefined || !/^[1-9]\d{0,9}$/.test(text)) throw new NotFound('There is no such page.');
  return Number(text);
}

function visitOf(
  deps: Deps,
  req: Request,
  res: Response,
  found: { session: Session; user: User } | null,
): AnyVisit {
  const language = chooseConsoleLanguage(found?.user.language ?? null, req.headers['accept-language']);
  return {
    deps,
    req,
    res,
    user: found?.user ?? null,
    session: found?.session ?? null,
    language,
    t: consoleTexts(language),
    formats: formatsFor(language, 'UTC'),
    params: req.params as Record<string, string>,
    query: queryOf(req),
    form: null,
    ip: addressOf(deps, req).ip,
    now: Date.now(),
  };
}

/** Back to the page that was asked for, or whose form was sent, once signed in. */
function signInFor(req: Request, isShown: boolean): RedirectAnswer {
  const path = isShown && req.originalUrl.length <= 500 ? req.originalUrl : '/console';
  const query = path === '/console' ? '' : `?next=${encodeURIComponent(path)}`;
  const redirect = `/console/sign-in${query}`;
  return req.method === 'POST' ? { redirect, done: 'session-over' } : { redirect };
}

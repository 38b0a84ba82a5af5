import type { Request, RequestHandler, Response } from 'express';
import type { Address } from '../core/address.js';
import { languages } from '../core/languages.js';
import type { List } from '../core/lists.js';
import { EVERYTHING, type Source } from '../core/opt-outs.js';
import { fillRedirectTemplate } from '../core/redirect-template.js';
import type { Deps } from '../deps.js';
import { NotFound } from '../errors.js';
import { addressOf } from '../http/client-address-of.js';
import { sendProblemPage } from '../http/errors.js';
import { HttpError } from '../http/http-error.js';
import { chooseLanguage } from '../http/locale.js';
import { queryOf, readForm } from '../http/request.js';
import { NOT_KEPT, sendHtml, sendNothing } from '../http/respond.js';
import { pagePolicy } from '../http/security-headers.js';
import { renderOptOutPage, renderThankYouPage, type LanguageLink, type PageList } from '../http/views.js';
import { addressIn, optOutNow, parametersOf, tagOf, type Parameters } from './parameters.js';
import { whoAsks } from './who-asks.js';

/**
 * The hosted page, and the direct link where it carries an address. Opening it records nothing, unless
 * the owner chose `instant` links: link scanners open every link of every mail.
 */
export function page(deps: Deps): RequestHandler<{ list: string }> {
  return forPeople(deps, 'GET, HEAD, POST, OPTIONS', async (req, res) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      throw new HttpError(405, 'method', 'This page is opened by GET.', 'GET, HEAD, POST, OPTIONS');
    }
    const list = await getList(deps, req);
    const parameters = parametersOf(queryOf(req));
    const language = languageOf(req, queryOf(req), list);
    if (parameters.email === null && !parameters.isSeveral) {
      sendPage(req, res, { list, language, parameters, status: 200, mode: 'form' });
      return;
    }
    const result = addressIn(parameters, 'query');
    if (!result.ok) {
      sendPage(req, res, {
        list,
        language,
        parameters,
        status: 422,
        mode: 'form',
        errorCode: result.problem,
      });
      return;
    }
    const isVisit = req.method === 'GET' && whoAsks(req) === 'browser';
    if (list.directLink === 'instant' && isVisit) {
      await recordAndThank(deps, req, res, list, language, result.address, parameters, 'direct-link');
      return;
    }
    // The form sends what was understood: a `+` that a query had lost is back.
    const understood = { ...parameters, email: result.address.given };
    sendPage(req, res, { list, language, parameters: understood, status: 200, mode: 'confirm' });
  });
}

/** The form's POST, on a path of its own. */
export function form(deps: Deps): RequestHandler<{ list: string }> {
  return forPeople(deps, 'GET, HEAD, POST, OPTIONS', async (req, res) => {
    if (req.method === 'GET' || req.method === 'HEAD') {
      // Somebody went back to the thank-you page's address.
      res.writeHead(303, { ...NOT_KEPT, Location: `/l/${encodeURIComponent(req.params.list)}` });
      res.end();
      return;
    }
    if (req.method !== 'POST')
      throw new HttpError(405, 'method', 'The form is sent by POST.', 'GET, HEAD, POST, OPTIONS');
    const list = await getList(deps, req);
    const fields = await readForm(req);
    const language = languageOf(req, fields, list);
    const given = parametersOf(fields);
    const parameters = fields.get('scope') === 'all' ? { ...given, tag: null } : given;
    const result = addressIn(parameters, 'body');
    if (!result.ok) {
      sendPage(req, res, {
        list,
        language,
        parameters: given,
        status: 422,
        mode: 'form',
        errorCode: result.problem,
        scope: fields.get('scope') === 'all' ? 'all' : 'tag',
      });
      return;
    }
    await recordAndThank(deps, req, res, list, language, result.address, parameters, 'page');
  });
}

function forPeople(
  deps: Deps,
  allow: string,
  answer: (req: Request<{ list: string }>, res: Response) => Promise<void>,
): RequestHandler<{ list: string }> {
  return async (req, res) => {
    try {
      if (req.method === 'OPTIONS') sendNothing(res, { Allow: allow });
      else await answer(req, res);
    } catch (error) {
      res.setHeader('Content-Security-Policy', pagePolicy(null));
      sendProblemPage(deps, req, res, error);
    }
  };
}

async function getList(deps: Deps, req: Request<{ list: string }>): Promise<List> {
  const list = await deps.findList(req.params.list);
  if (list === null) throw new NotFound('There is no such list.');
  return list;
}

/** The answer is the same whether the address was on the list or not: nobody learns who is. */
async function recordAndThank(
  deps: Deps,
  req: Request,
  res: Response,
  list: List,
  language: string,
  address: Address,
  parameters: Parameters,
  source: Source,
): Promise<void> {
  await deps.recorder.record([optOutNow(list, address, parameters, source, addressOf(deps, req).ip)]);
  const location = redirectOf(deps, list, address);
  if (location !== null) {
    res.writeHead(303, { ...NOT_KEPT, Location: location });
    res.end();
    return;
  }
  const tag = tagOf(list, parameters.tag);
  const html = renderThankYouPage({
    list: pageListOf(list),
    language,
    baseUrl: '',
    text: thankYouOf(list, language),
    email: address.normalised,
    tag: tag === EVERYTHING ? null : tag,
  });
  res.setHeader('Content-Security-Policy', pagePolicy(null));
  sendHtml(req, res, 200, html);
}

/** Null without a redirect, and where it cannot be filled: what was recorded is thanked for all the same. */
function redirectOf({ log }: Deps, list: List, address: Address): string | null {
  if (list.redirect === null) return null;
  try {
    const values = { email: address.normalised, list: list.publicId, status: 'opted-out' };
    return fillRedirectTemplate(list.redirect, values);
  } catch (error) {
    log.error(
      { err: error, list: list.publicId },
      'a redirect could not be filled; the thank-you page was shown',
    );
    return null;
  }
}

/** The owner's text in the recipient's language; without one, the page has the built-in text. */
function thankYouOf(list: List, language: string): { markdown: string; language: string } | null {
  const markdown = list.thankYou[language];
  if (markdown !== undefined) return { markdown, language };
  return null;
}

interface PageState {
  readonly list: List;
  readonly language: string;
  readonly parameters: Parameters;
  readonly status: 200 | 422;
  readonly mode: 'form' | 'confirm';
  readonly errorCode?: string;
  readonly scope?: 'tag' | 'all';
}

function sendPage(req: Request, res: Response, state: PageState): void {
  const { list, language, parameters, status, mode, errorCode, scope } = state;
  const tag = tagOf(list, parameters.tag);
  const html = renderOptOutPage({
    list: pageListOf(list),
    language,
    baseUrl: '',
    mode,
    email: parameters.email?.slice(0, 320),
    errorCode,
    tag: tag === EVERYTHING ? null : tag,
    scope,
    mailer: parameters.mailer === null ? null : parameters.mailer.slice(0, 9),
    redirectHost: list.redirect === null ? null : new URL(list.redirect.origin).host,
    languageLinks: languageLinksOf(list, language, parameters),
  });
  res.setHeader('Content-Security-Policy', pagePolicy(list.redirect?.origin ?? null));
  sendHtml(req, res, status, html);
}

function pageListOf(list: List): PageList {
  return {
    publicId: list.publicId,
    name: list.name,
    // Somebody has to stand under the page.
    operatorName: list.operatorName || list.name,
    postalAddress: list.postalAddress || null,
    contact: list.contact || null,
    privacyUrl: list.privacyUrl || null,
  };
}

function languageOf(req: Request, params: URLSearchParams, list: List): string {
  return chooseLanguage({
    query: params.get('lang'),
    acceptLanguage: req.headers['accept-language'],
    fallback: list.defaultLanguage,
  });
}

function languageLinksOf(list: List, current: string, { email, tag, mailer }: Parameters): LanguageLink[] {
  return languages.map(({ code, name }) => {
    const query = new URLSearchParams({ lang: code });
    for (const [key, value] of Object.entries({ email, tag, mailer })) {
      if (value !== null) query.set(key, value.slice(0, 320));
    }
    return { code, name, href: `/l/${list.publicId}?${query.toString()}`, current: code === current };
  });
}

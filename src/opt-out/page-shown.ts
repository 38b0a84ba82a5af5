import type { Request, Response } from 'express';
import type { List } from '../core/lists.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { chooseLanguage } from '../http/locale.js';
import { sendHtml } from '../http/respond.js';
import { pagePolicy } from '../http/security-headers.js';
import { pageListOf, type LanguageForm } from '../http/view-frame.js';
import { renderOptOutPage } from '../http/views.js';
import type { Link } from './links.js';
import { tagOf, type Parameters } from './parameters.js';

export interface PageState {
  readonly link: Link;
  readonly language: string;
  readonly parameters: Parameters;
  readonly status: 200 | 422;
  readonly mode: 'form' | 'confirm';
  readonly errorCode?: string;
  readonly scope?: 'tag' | 'all';
}

export function sendPage(req: Request, res: Response, state: PageState): void {
  const { list } = state.link;
  res.setHeader('Content-Security-Policy', pagePolicy(list.redirect?.origin ?? null));
  sendHtml(req, res, state.status, isBare(state) ? barePageOf(list, state) : renderPage(state));
}

/** Nothing of the request shows on it but the language: it is the same for everybody. */
function isBare({ link, parameters, status }: PageState): boolean {
  const { email, tag, mailer } = parameters;
  return status === 200 && !link.isSigned && email === null && tag === null && mailer === null;
}

/** By language, for as long as the list's settings are remembered: two seconds at most (list-cache.ts). */
const barePages = new WeakMap<List, Map<string, Buffer>>();

function barePageOf(list: List, state: PageState): Buffer {
  const pages = barePages.get(list) ?? new Map<string, Buffer>();
  barePages.set(list, pages);
  const known = pages.get(state.language);
  if (known !== undefined) return known;
  const html = Buffer.from(renderPage(state));
  pages.set(state.language, html);
  return html;
}

function renderPage({ link, language, parameters, mode, errorCode, scope }: PageState): string {
  const { list } = link;
  const tag = tagOf(list, parameters.tag);
  return renderOptOutPage({
    list: pageListOf(list),
    language,
    baseUrl: '',
    mode,
    email: parameters.email?.slice(0, 320),
    errorCode,
    tag: tag === EVERYTHING ? null : tag,
    scope,
    mailer: parameters.mailer === null ? null : parameters.mailer.slice(0, 9),
    ...(link.isSigned ? { action: `${link.path}/opt-out` } : {}),
    redirectHost: list.redirect === null ? null : new URL(list.redirect.origin).host,
    languageForm: languageFormOf(link, parameters),
  });
}

export function languageOf(req: Request, params: URLSearchParams, list: List): string {
  return chooseLanguage({
    query: params.get('lang'),
    acceptLanguage: req.headers['accept-language'],
    fallback: list.defaultLanguage,
  });
}

/** The same page in another language. A signed link holds address and tag itself. */
function languageFormOf({ path, isSigned }: Link, { email, tag, mailer }: Parameters): LanguageForm {
  const fields: Record<string, string> = {};
  for (const [key, value] of Object.entries(isSigned ? { mailer } : { email, tag, mailer })) {
    if (value !== null) fields[key] = value.slice(0, 320);
  }
  return { action: path, fields };
}

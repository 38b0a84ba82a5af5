import type { Request, RequestHandler, Response } from 'express';
import type { Deps } from '../deps.js';
import { HttpError } from '../http/http-error.js';
import { queryOf, readForm } from '../http/request.js';
import { NOT_KEPT } from '../http/respond.js';
import { getLink, type FindLink } from './links.js';
import { languageOf, sendPage } from './page-shown.js';
import { addressIn, parametersOf, type Parameters } from './parameters.js';
import { forPeople } from './people.js';
import { recordAndThank } from './thanks.js';
import { whoAsks } from './who-asks.js';

const allow = 'GET, HEAD, POST, OPTIONS';

/**
 * The hosted page, and the direct link where it carries an address. Opening it records nothing, unless
 * the owner chose `instant` links: link scanners open every link of every mail.
 */
export function page(deps: Deps, find: FindLink): RequestHandler<{ id: string }> {
  return forPeople(deps, 'page', allow, async (req, res, passage) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      throw new HttpError(405, 'method', 'This page is opened by GET.', allow);
    }
    const link = await getLink(find, req, req.params.id);
    const { list, parameters } = link;
    const language = languageOf(req, queryOf(req), list);
    if (parameters.email === null && !parameters.isSeveral) {
      return sendPage(req, res, { link, language, parameters, status: 200, mode: 'form' });
    }
    const result = addressIn(parameters, link.isSigned ? 'body' : 'query');
    if (!result.ok) {
      const errorCode = result.problem;
      return sendPage(req, res, { link, language, parameters, status: 422, mode: 'form', errorCode });
    }
    // The form sends what was understood: a `+` that a query had lost is back.
    const understood = { ...parameters, email: result.address.given };
    const needsForm = list.signedLinksOnly && !link.isSigned;
    const isVisit = req.method === 'GET' && whoAsks(req) === 'browser';
    if (list.directLink === 'instant' && isVisit && !needsForm) {
      passage.door = 'direct-link';
      const optOut = { link, language, address: result.address, parameters, source: 'direct-link' } as const;
      if (await recordAndThank(deps, req, res, passage, optOut)) return;
    }
    const mode = needsForm ? 'form' : 'confirm';
    sendPage(req, res, { link, language, parameters: understood, status: 200, mode });
  });
}

/** The form's POST, on a path of its own. Behind a signed link, the address is the link's. */
export function form(deps: Deps, find: FindLink): RequestHandler<{ id: string }> {
  return forPeople(deps, 'form', allow, async (req, res, passage) => {
    if (req.method === 'GET' || req.method === 'HEAD') return sendBack(req, res);
    if (req.method !== 'POST') throw new HttpError(405, 'method', 'The form is sent by POST.', allow);

    const link = await getLink(find, req, req.params.id);
    const fields = await readForm(req);
    const language = languageOf(req, fields, link.list);
    const said = parametersOf(fields);
    const given: Parameters = link.isSigned ? { ...link.parameters, mailer: said.mailer } : said;
    const isAll = fields.get('scope') === 'all';
    const parameters = isAll ? { ...given, tag: null } : given;
    const result = addressIn(parameters, 'body');
    if (!result.ok) {
      return sendPage(req, res, {
        link,
        language,
        parameters: given,
        status: 422,
        mode: 'form',
        errorCode: result.problem,
        scope: isAll ? 'all' : 'tag',
      });
    }
    await recordAndThank(deps, req, res, passage, {
      link,
      language,
      address: result.address,
      parameters,
      source: 'page',
    });
  });
}

/** Somebody went back to the thank-you page's address: to the page that its form stands on. */
export function sendBack(req: Request<{ id: string }>, res: Response): void {
  const [, kind = 'l'] = /^\/([lo])\//.exec(req.path) ?? [];
  res.writeHead(303, { ...NOT_KEPT, Location: `/${kind}/${encodeURIComponent(req.params.id)}` });
  res.end();
}

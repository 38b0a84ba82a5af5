import type { RequestHandler } from 'express';
import { noteReason, openReceipt, reasons, undoOptOut } from '../core/receipts.js';
import type { Deps } from '../deps.js';
import { Invalid } from '../errors.js';
import { HttpError } from '../http/http-error.js';
import { readForm } from '../http/request.js';
import { sendHtml } from '../http/respond.js';
import { pagePolicy } from '../http/security-headers.js';
import { pageListOf } from '../http/view-frame.js';
import { renderAfterwardsPage } from '../http/views.js';
import { getLink, type FindLink } from './links.js';
import { sendBack } from './page.js';
import { languageOf } from './page-shown.js';
import { forPeople } from './people.js';

const allow = 'GET, HEAD, POST, OPTIONS';

/**
 * The thank-you page's "undo": takes back exactly what its request recorded, for 30 minutes. Answers the
 * same whether there was anything to take back: nobody learns from it who was on the list before.
 */
export function undo(deps: Deps, find: FindLink): RequestHandler<{ id: string }> {
  return forPeople(deps, 'undo', allow, async (req, res) => {
    if (req.method === 'GET' || req.method === 'HEAD') return sendBack(req, res);
    if (req.method !== 'POST') throw new HttpError(405, 'method', 'The form is sent by POST.', allow);
    const { list } = await getLink(find, req, req.params.id);
    const fields = await readForm(req);
    const receipt = openReceipt(deps.secret, fields.get('token') ?? '');
    if (receipt === null) return sendAnswer('expired');
    await undoOptOut(deps.db, list, receipt);
    sendAnswer('undone');

    function sendAnswer(state: 'undone' | 'expired'): void {
      const language = languageOf(req, fields, list);
      res.setHeader('Content-Security-Policy', pagePolicy(null));
      sendHtml(
        req,
        res,
        state === 'expired' ? 410 : 200,
        renderAfterwardsPage({ list: pageListOf(list), language, baseUrl: '', state }),
      );
    }
  });
}

/** The thank-you page's question why: optional, one of four answers, kept with the opt-out. */
export function reason(deps: Deps, find: FindLink): RequestHandler<{ id: string }> {
  return forPeople(deps, 'reason', allow, async (req, res) => {
    if (req.method === 'GET' || req.method === 'HEAD') return sendBack(req, res);
    if (req.method !== 'POST') throw new HttpError(405, 'method', 'The form is sent by POST.', allow);
    const { list } = await getLink(find, req, req.params.id);
    const fields = await readForm(req);
    const given = reasons.find((known) => known === fields.get('reason'));
    if (given === undefined)
      throw new Invalid('reason', 'unknown', `reason must be one of ${reasons.join(', ')}`);
    const receipt = openReceipt(deps.secret, fields.get('token') ?? '');
    if (receipt !== null) await noteReason(deps.db, list, receipt, given);
    const language = languageOf(req, fields, list);
    const state = receipt === null ? 'expired' : 'reason';
    res.setHeader('Content-Security-Policy', pagePolicy(null));
    sendHtml(
      req,
      res,
      receipt === null ? 410 : 200,
      renderAfterwardsPage({ list: pageListOf(list), language, baseUrl: '', state }),
    );
  });
}

import type { Request, Response } from 'express';
import type { Address } from '../core/address.js';
import type { List } from '../core/lists.js';
import { EVERYTHING, type Source } from '../core/opt-outs.js';
import { newReceiptNumber, receiptOf, receiptText, sealReceipt } from '../core/receipts.js';
import { fillRedirectTemplate } from '../core/redirect-template.js';
import type { Deps } from '../deps.js';
import { addressOf } from '../http/client-address-of.js';
import { NOT_KEPT, sendHtml } from '../http/respond.js';
import { pagePolicy } from '../http/security-headers.js';
import { pageListOf } from '../http/view-frame.js';
import { renderThankYouPage } from '../http/views.js';
import { admit } from './attack.js';
import type { Link } from './links.js';
import { optOutNow, type Parameters } from './parameters.js';
import type { Passage } from './people.js';

export interface OptOutOfPerson {
  readonly link: Link;
  readonly language: string;
  readonly address: Address;
  readonly parameters: Parameters;
  readonly source: Source;
}

/**
 * Records a person's opt-out, and then thanks: by the list's redirect, or by our page with its receipt,
 * which also lets them say why, and take it back. The answer is the same whether the address was on the
 * list or not: nobody learns who is.
 *
 * @returns false for an instant link of a client that the attack rule has blocked: nothing was recorded or
 *   answered. By the form and the button, people behind its address go on leaving.
 */
export async function recordAndThank(
  deps: Deps,
  req: Request,
  res: Response,
  passage: Passage,
  { link, language, address, parameters, source }: OptOutOfPerson,
): Promise<boolean> {
  const { list } = link;
  const number = newReceiptNumber();
  const client = addressOf(deps, req);
  const optOut = {
    ...optOutNow(list, address, parameters, source, { ip: client.ip, isVouched: link.isSigned }),
    receipt: number,
  };
  if (admit(deps, client, list, optOut) !== null) return false;
  await deps.recorder.record([optOut]);
  passage.isRecorded = true;

  const location = redirectOf(deps, list, address);
  if (location !== null) {
    res.writeHead(303, { ...NOT_KEPT, Location: location });
    res.end();
    return true;
  }
  const html = renderThankYouPage({
    list: pageListOf(list),
    language,
    baseUrl: '',
    text: thankYouOf(list, language),
    email: address.normalised,
    tag: optOut.tag === EVERYTHING ? null : optOut.tag,
    receipt: receiptText(number),
    afterwards: {
      token: sealReceipt(deps.secret, receiptOf(optOut, number)),
      undoAction: `/l/${list.publicId}/undo`,
      reasonAction: `/l/${list.publicId}/reason`,
    },
  });
  res.setHeader('Content-Security-Policy', pagePolicy(null));
  sendHtml(req, res, 200, html);
  return true;
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
      'a redirect could not be filled: the thank-you page was shown',
    );
    return null;
  }
}

/** The owner's text in the recipient's language; without one, the page has the built-in text. */
function thankYouOf(list: List, language: string): { markdown: string; language: string } | null {
  const markdown = list.thankYou[language];
  return markdown === undefined ? null : { markdown, language };
}

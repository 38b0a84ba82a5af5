import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkSigned } from '../core/list-doors.js';
import type { Deps } from '../deps.js';
import { addressOf } from '../http/client-address-of.js';
import { oneClickAnswer, sendAnswer } from '../http/door-answers.js';
import { HttpError } from '../http/http-error.js';
import { readForm } from '../http/request.js';
import { checkAdmitted } from './attack.js';
import type { Link } from './links.js';
import { getAddress, optOutNow } from './parameters.js';

/**
 * RFC 8058: a mail client POSTs `List-Unsubscribe=One-Click`, urlencoded or multipart, to the URL of the
 * mail's List-Unsubscribe header, which names the recipient. No cookie, no redirect, no context but the
 * URL (section 3.1); any further fields are passed over.
 */
export async function recordOneClick(
  deps: Deps,
  req: IncomingMessage,
  res: ServerResponse,
  link: Link,
): Promise<void> {
  checkSigned(link);
  const { list, parameters } = link;
  const form = await readForm(req);
  if (form.get('List-Unsubscribe')?.trim().toLowerCase() !== 'one-click') {
    throw new HttpError(
      400,
      'not-one-click',
      'A POST to this address has to carry List-Unsubscribe=One-Click (RFC 8058). Nothing was recorded.',
    );
  }
  const address = getAddress(parameters);
  const client = addressOf(deps, req);
  const optOut = optOutNow(list, address, parameters, 'one-click', {
    ip: client.ip,
    isVouched: link.isSigned,
  });
  checkAdmitted(deps, client, list, optOut);
  await deps.recorder.record([optOut]);
  sendAnswer(res, oneClickAnswer);
}

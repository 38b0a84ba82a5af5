import type { Request, RequestHandler, Response } from 'express';
import type { Deps } from '../deps.js';
import { sendProblemPage } from '../http/errors.js';
import { sendNothing } from '../http/respond.js';
import { pagePolicy } from '../http/security-headers.js';

/** A door that people come through: OPTIONS is answered, and what goes wrong is told on a page. */
export function forPeople(
  deps: Deps,
  allow: string,
  answer: (req: Request<{ id: string }>, res: Response) => Promise<void>,
): RequestHandler<{ id: string }> {
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

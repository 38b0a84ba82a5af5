import type { Request, RequestHandler, Response } from 'express';
import type { Deps } from '../deps.js';
import { performance } from 'node:perf_hooks';
import { sendProblemPage } from '../http/errors.js';
import type { CountedDoor } from '../http/metrics.js';
import { sendNothing } from '../http/respond.js';
import { pagePolicy } from '../http/security-headers.js';

/** What a door has found out about a request by the time it is counted. */
export interface Passage {
  door: CountedDoor;
  isRecorded: boolean;
}

/** A door that people come through: OPTIONS is answered, and what goes wrong is told on a page. */
export function forPeople(
  deps: Deps,
  door: CountedDoor,
  allow: string,
  answer: (req: Request<{ id: string }>, res: Response, passage: Passage) => Promise<void>,
): RequestHandler<{ id: string }> {
  return async (req, res) => {
    const startedAt = performance.now();
    const passage = { door, isRecorded: false };
    try {
      if (req.method === 'OPTIONS') sendNothing(res, { Allow: allow });
      else await answer(req, res, passage);
    } catch (error) {
      res.setHeader('Content-Security-Policy', pagePolicy(null));
      sendProblemPage(deps, req, res, error);
    }
    deps.metrics.answered(passage.door, res.statusCode, startedAt, passage.isRecorded);
  };
}

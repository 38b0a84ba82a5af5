import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Deps } from './deps.js';
import type { CountedDoor } from './http/metrics.js';

/** A door that is plain Node, as all that machines call are: it names itself where it has answered. */
export type MachineDoor = (
  req: IncomingMessage,
  res: ServerResponse,
  id: string,
) => Promise<CountedDoor | null>;

type ForPeople = RequestHandler<{ id: string }>;

interface Doors {
  readonly door: MachineDoor;
  readonly page: readonly ForPeople[];
}

export interface Lane {
  /**
   * Takes a door in, by its path, and gives what stands for it in Express's table.
   *
   * @param page what answers people at the same path, and what comes before it. It asks nothing of Express but the
   *   id in the path.
   */
  readonly door: (path: string, door: MachineDoor, ...page: ForPeople[]) => ForPeople[];
  /** Answers a request that one of its doors is for, and leaves all else to Express. */
  readonly orElse: (app: RequestListener) => RequestListener;
}

/**
 * Leads past Express to the doors that machines call: Express takes longer to find one than they take to answer.
 * What is not spelled as we write it (capitals, a slash at the end, escapes) comes to them by Express's table.
 */
export function createLane({ metrics, log }: Deps): Lane {
  const doors = new Map<string, Doors>();
  return {
    door: (path, door, ...page) => {
      doors.set(path, { door, page });
      const machine: ForPeople = (req, res, next) => {
        const startedAt = performance.now();
        door(req, res, req.params.id).then((name) => {
          if (name === null) next();
          else metrics.answered(name, res.statusCode, startedAt);
        }, next);
      };
      return [machine, ...page];
    },
    orElse: (app) => (req, res) => {
      const [, kind = '', id = '', rest = ''] = plainPath.exec(req.url ?? '') ?? [];
      const found = doors.get(`${kind}:id${rest}`);
      if (found === undefined) return void app(req, res);
      const { door, page } = found;
      const failed = (error: unknown) => {
        // They answer what goes wrong themselves: here, not even that could be done.
        log.error({ err: error }, 'a door failed');
        res.destroy();
      };
      const startedAt = performance.now();
      door(req, res, id).then((name) => {
        if (name !== null) metrics.answered(name, res.statusCode, startedAt);
        else if (page.length === 0) app(req, res);
        else open(page, Object.assign(req, { params: { id } }) as Visit, res as Response, failed);
      }, failed);
    },
  };
}

type Visit = Request<{ id: string }>;

/** One handler after the other, as Express does it. */
function open(
  [first, ...others]: readonly ForPeople[],
  req: Visit,
  res: Response,
  failed: (error: unknown) => void,
): void {
  const next: NextFunction = (error?: unknown) => {
    if (error === undefined) open(others, req, res, failed);
    else failed(error);
  };
  Promise.resolve(first?.(req, res, next)).catch(failed);
}

const plainPath = /^(\/[lo]\/)([A-Za-z0-9_-]+)(\/[a-z.]+)?(?:\?|$)/;

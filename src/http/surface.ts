import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Router } from 'express';
import type { Right } from '../core/credentials.js';
import type { Deps } from '../deps.js';

/** One API that we speak: a vendor's, or our own. Credentials and names of lists are kept under its name. */
export interface Surface {
  /** As it stands in the database and on the command line: never changes. */
  readonly name: string;
  /** As people know it. */
  readonly title: string;
  /** What its documentation calls a list; null where lists have no names of their own there. */
  readonly listNoun: string | null;
  /** What goes with a key as the user's name, where anything does: then each credential needs one. */
  readonly loginNoun: string | null;
  /** In its own words, with the rights that they bring; the first is what a credential has unless it is told. */
  readonly roles: readonly { readonly name: string; readonly rights: readonly Right[] }[];
  /** What the paths of all its calls begin with. */
  readonly pathsBegin: string;
  /** A command to try at once, with everything filled in. */
  snippet(example: SurfaceExample): string;
  routes(deps: Deps): Router;
  /** Tells somebody whose request nobody has looked at what is wrong, in its own form. */
  tell(deps: Deps, req: IncomingMessage, res: ServerResponse, error: unknown): void;
}

export interface SurfaceExample {
  readonly baseUrl: string;
  readonly key: string;
  readonly login: string;
  /** What a list is called there. */
  readonly listName: string;
}

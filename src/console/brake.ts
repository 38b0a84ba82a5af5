import { clientNetworkOf } from '../db/client-network.js';
import type { Deps } from '../deps.js';
import { TooMany } from '../errors.js';
import type { AnyVisit } from './screen.js';

/** Of one network, in a minute: far above what the sign-in's own limits let pass. */
const mostAMinute = 120;
const windowMs = 60_000;
/** Beyond this many networks a minute, all further ones count as one. */
const mostNetworks = 10_000;

interface Counted {
  since: number;
  readonly tries: Map<string, number>;
}

const ofServices = new WeakMap<Deps, Counted>();

/**
 * Stands before what a stranger's form costs: the limits of the sign-in are kept in the database, and a flood that
 * they refuse would still write there, where opt-outs are to be written. Counted in this process alone.
 *
 * @throws TooMany
 */
export function brake({ deps, ip }: AnyVisit): void {
  const now = Date.now();
  const counted: Counted = ofServices.get(deps) ?? { since: now, tries: new Map<string, number>() };
  ofServices.set(deps, counted);
  if (now - counted.since >= windowMs) {
    counted.since = now;
    counted.tries.clear();
  }
  const network = ip === null ? '' : clientNetworkOf(ip);
  const key = counted.tries.has(network) || counted.tries.size < mostNetworks ? network : '';
  const tries = (counted.tries.get(key) ?? 0) + 1;
  counted.tries.set(key, tries);
  if (tries > mostAMinute)
    throw new TooMany('too-many-passwords', 'There were too many tries. Wait a while.');
}

import { Invalid } from '../errors.js';
import type { AnyVisit } from './screen.js';

const hourMs = 3_600_000;

/** For how long an old key goes on beside the new one, so that nothing stops while programs change over. */
const overlaps = { none: 0, '1h': hourMs, '1d': 24 * hourMs, '7d': 7 * 24 * hourMs, '30d': 30 * 24 * hourMs };

/** The one that is offered first. */
export const usualOverlap = '7d';

/** As a select has them. */
export function overlapChoices({ t }: Pick<AnyVisit, 't'>): [code: string, text: string][] {
  return Object.keys(overlaps).map((code) => [code, t(`overlaps.${code}`)]);
}

/** @throws Invalid for the field `overlap`. */
export function overlapIn(form: URLSearchParams | null): number {
  const [, ms] = Object.entries(overlaps).find(([code]) => code === form?.get('overlap')) ?? [];
  if (ms === undefined) throw new Invalid('overlap', 'unknown', 'overlap must be one of the choices');
  return ms;
}

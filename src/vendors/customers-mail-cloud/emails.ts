import { parseAddress } from '../../core/address.js';
import { parsed, type Faults } from './call.js';
import { fault } from './errors.js';

/** An address that is to be cancelled, and where it stood, from 1. */
export interface Asked {
  readonly position: number;
  /** Null for what can be no address, and so stands on no list. */
  readonly normalised: string | null;
}

export interface Emails {
  readonly asked: readonly Asked[];
  /** Then faults name positions. */
  readonly isList: boolean;
}

const field = 'email';
const mostAddresses = 1000;

/**
 * The shapes of `email`: an address; an object with one as `email` or `address`; a list of addresses, of
 * objects, or of both; or the JSON of any of these as a text, as forms carry it. What is wrong goes to
 * `faults`: 15-001 to 15-006.
 */
export function readEmails(value: unknown, faults: Faults): Emails {
  const given = typeof value === 'string' ? unwrapped(value) : value;
  const isList = Array.isArray(given);
  const elements: readonly unknown[] = isList ? given : isNothing(given) ? [] : [given];
  if (elements.length === 0) faults.push(fault('15-002', field));
  if (elements.length > mostAddresses) {
    faults.push(fault('15-005', field));
    return { asked: [], isList };
  }
  const asked: Asked[] = [];
  const seen = new Set<string>();
  for (const [i, element] of elements.entries()) {
    const text = textOf(element, i + 1, faults);
    if (text === null) continue;
    const address = parseAddress(text);
    const normalised = address.ok ? address.address.normalised : null;
    const key = normalised ?? text.toLowerCase();
    if (seen.has(key)) faults.push(fault('15-006', field, i + 1));
    else asked.push({ position: i + 1, normalised });
    seen.add(key);
  }
  return { asked, isList };
}

/**
 * JSON in a text. What begins with a quote can be an address as well: `"john smith"@example.com`.
 *
 * @throws Failure 15-001
 */
function unwrapped(text: string): unknown {
  const trimmed = text.trim();
  if (/^[[{]/.test(trimmed)) return parsed(trimmed, field);
  if (!/^".*"$/s.test(trimmed)) return trimmed;
  return parsed(trimmed, field);
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** Null for what is none; then `faults` has why. */
function textOf(element: unknown, position: number, faults: Faults): string | null {
  const isObject = typeof element === 'object' && element !== null && !Array.isArray(element);
  const own = isObject ? new Map<string, unknown>(Object.entries(element)) : null;
  const value = own === null ? element : own.has('email') ? own.get('email') : own.get('address');
  if (own !== null && value === undefined) {
    faults.push(fault('15-004', field, field, position));
  } else if (isNothing(value) || (typeof value === 'string' && value.trim() === '')) {
    faults.push(fault('15-003', field, position));
  } else if (typeof value === 'string') {
    return value.trim();
  } else if (!faults.some(({ code }) => code === '15-001')) {
    // A number, or a list within the list: not of the format. It has no position.
    faults.push(fault('15-001', field));
  }
  return null;
}

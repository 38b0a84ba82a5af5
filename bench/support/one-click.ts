import type { List } from '../../src/core/lists.js';
import type { Load } from './load.js';

/** A one-click opt-out of another recipient each time. */
export function oneClick({ publicId }: List): Omit<Load, 'url' | 'ms'> {
  return {
    method: 'POST',
    path: `/l/${publicId}?email=ann.{}@example.com`,
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'List-Unsubscribe=One-Click',
  };
}

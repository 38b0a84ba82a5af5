import type { Proof } from './proof.js';
import { provenBySuite } from './suites.js';

/** Every proof, in the order of the promises. */
export const proofs: readonly Proof[] = [
  provenBySuite(
    15,
    'accessible',
    'Everyone can use the pages',
    {
      'axe on every page, state and language': ['views/browser.test.ts', 'console/accessibility.test.ts'],
    },
    ['sqlite'],
  ),
];

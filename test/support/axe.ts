import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type axe from 'axe-core';
import type { Page } from 'playwright-core';

export const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export interface Looked {
  /** Each rule that is broken, with the elements that break it. */
  readonly faults: string[];
  /** Whether there was text whose contrast could be told, and was enough. */
  readonly hasContrast: boolean;
}

/**
 * What axe, which the page has loaded, finds in it. Only faults are worked out in full, and only they leave the
 * browser: all else costs more time than to look.
 */
export function lookedAt(page: Page, options: axe.RunOptions = {}): Promise<Looked> {
  return page.evaluate(
    async (given) => {
      const global = globalThis as unknown as { axe: typeof axe };
      const { violations, passes } = await global.axe.run(given);
      return {
        faults: violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
        hasContrast: passes.some(({ id }) => id === 'color-contrast'),
      };
    },
    { ...options, resultTypes: ['violations'] } as axe.RunOptions,
  );
}

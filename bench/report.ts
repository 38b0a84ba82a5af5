import type { Figure, Limit } from './bench.js';

export interface Verdict {
  readonly ratio: number;
  readonly holds: boolean;
}

/** The median of the ratios of the rounds, and whether all that is to be reached is. */
export function verdictOf({ ours, baseline, atLeast, atMost, limits = [] }: Figure): Verdict {
  const ratio = median(ratiosOf(ours, baseline));
  const isReached = (atLeast === undefined || ratio >= atLeast) && (atMost === undefined || ratio <= atMost);
  return { ratio, holds: isReached && limits.every(({ seen, atMost }) => median(seen) <= atMost) };
}

/** @param day on which it was measured. */
export function tableOf(figures: readonly Figure[], day: string): string {
  const lines = [
    '| what | against | to reach | ratio | ours | baseline | beside it | | on |',
    '| --- | --- | --- | ---: | ---: | ---: | --- | --- | --- |',
  ];
  for (const figure of figures) {
    const { what, against, toReach, ours, baseline, unit, limits = [] } = figure;
    const ratios = spreadOf(ratiosOf(ours, baseline), 2);
    const cells = [
      ...[what, against, toReach, ratios, `${spreadOf(ours)} ${unit}`, `${spreadOf(baseline)} ${unit}`],
      limits.map(limitOf).join(', '),
      verdictOf(figure).holds ? 'reached' : '**not reached**',
      day,
    ];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

function limitOf({ what, seen, atMost }: Limit): string {
  return `${what} ${spreadOf(seen, 1)} (${atMost} at most)`;
}

function ratiosOf(ours: readonly number[], baseline: readonly number[]): number[] {
  return ours.map((one, round) => one / (baseline[round] ?? NaN));
}

/** "median (lowest to highest)". */
function spreadOf(values: readonly number[], digits = 0): string {
  const show = (value: number) =>
    value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
  if (values.length === 0) return '';
  const [low, high] = [Math.min(...values), Math.max(...values)].map(show);
  const middle = show(median(values));
  return low === high ? middle : `${middle} (${low} to ${high})`;
}

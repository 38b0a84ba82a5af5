import { LAYOUTS, LAYOUT_NAMES, type Engine } from './layouts.js';
import type { Measured } from './measure.js';

/** A Markdown table: the median of each measure, and in brackets the lowest and the highest. */
export function reportOf(engine: Engine, { rows, figures }: Measured): string {
  const lines = [
    `### ${engine}, ${rows.toLocaleString('en')} rows`,
    '',
    `| | ${LAYOUTS[engine].map((layout) => LAYOUT_NAMES[layout]).join(' | ')} |`,
    `| --- | ${LAYOUTS[engine].map(() => '---:').join(' | ')} |`,
  ];
  for (const [name, ofName] of figures) {
    const cells = LAYOUTS[engine].map((layout) => cellOf(ofName.get(layout) ?? []));
    lines.push(`| ${name} | ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}

function cellOf(samples: number[]): string {
  if (samples.length === 0) return '';
  const sorted = samples.toSorted((one, other) => one - other);
  const show = (at: number) => Math.round(sorted[at] ?? 0).toLocaleString('en');
  const median = show(Math.floor((sorted.length - 1) / 2));
  const [low, high] = [show(0), show(sorted.length - 1)];
  return low === high ? median : `${median} (${low} to ${high})`;
}

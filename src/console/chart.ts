/**
 * A chart of stacked bars, as numbers that a view draws with: nothing is drawn by a script. It is made twice, for
 * wide screens and for narrow ones, since the texts of one would be too small or too large on the other.
 */

export interface ChartBar {
  /** Under the axis, where there is room. */
  readonly label: string;
  /** All of it in words, for who points at it. */
  readonly title: string;
  /** By layer, from the bottom. */
  readonly values: readonly number[];
  /** Something happened then that is marked over the axis; its words, or null. */
  readonly mark: string | null;
}

export interface Chart {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly ticks: readonly { readonly y: number; readonly value: number }[];
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
  readonly bars: readonly {
    readonly title: string;
    readonly x: number;
    readonly width: number;
    /** Those that are seen. */
    readonly parts: readonly { readonly layer: number; readonly y: number; readonly height: number }[];
    /** Where its mark stands, in the middle; null for none. */
    readonly mark: { readonly x: number; readonly title: string } | null;
  }[];
  readonly labels: readonly {
    readonly x: number;
    readonly anchor: 'start' | 'middle' | 'end';
    readonly text: string;
  }[];
}

const forms = [
  { id: 'wide', width: 760, height: 260, labels: 7 },
  { id: 'slim', width: 300, height: 220, labels: 3 },
] as const;

const top = 10;
/** For the dates, and for marks above them. */
const foot = 40;

export function chartsOf(bars: readonly ChartBar[], formatted: (n: number) => string): Chart[] {
  const highest = Math.max(1, ...bars.map(({ values }) => sum(values)));
  const steps = ticksFor(highest);
  const end = steps.at(-1) ?? highest;
  return forms.map(({ id, width, height, labels }) => {
    const bottom = height - foot;
    // A figure takes some eight units a letter.
    const left = 10 + 8 * Math.max(...steps.map((step) => formatted(step).length));
    const room = (width - left - 4) / bars.length;
    const barWidth = Math.max(room * 0.25, Math.min(room - 2, 36, room * 0.8));
    const yOf = (value: number) => round(bottom - ((bottom - top) * value) / end);
    const middleOf = (i: number) => left + room * (i + 0.5);
    return {
      ...{ id, width, height, left, right: width - 4, bottom },
      ticks: steps.map((value) => ({ y: yOf(value), value })),
      bars: bars.map(({ title, values, mark }, i) => {
        let below = 0;
        const parts = values.flatMap((value, layer) => {
          const from = below;
          below += value;
          const y = yOf(below);
          return value === 0 ? [] : [{ layer, y, height: round(yOf(from) - y) }];
        });
        const x = round(middleOf(i) - barWidth / 2);
        return {
          ...{ title, x, width: round(barWidth), parts },
          mark: mark === null ? null : { x: round(middleOf(i)), title: mark },
        };
      }),
      labels: labelled(bars.length, labels).map((i, place, all) => {
        const isEnd = place === 0 || place === all.length - 1;
        const anchor = !isEnd || all.length === bars.length ? 'middle' : place === 0 ? 'start' : 'end';
        const x = anchor === 'start' ? left : anchor === 'end' ? width - 4 : middleOf(i);
        return { x: round(x), anchor, text: bars[i]?.label ?? '' } as const;
      }),
    };
  });
}

/** 0, and one to five steps of 1, 2 or 5 times a power of ten; the last is no lower than the highest value. */
export function ticksFor(highest: number): number[] {
  const rough = highest / 4;
  const power = 10 ** Math.max(0, Math.floor(Math.log10(rough)));
  const step = [1, 2, 5, 10].map((n) => n * power).find((one) => one >= rough) ?? power * 10;
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, i) => i * step);
}

/** Which of some bars have a label: as many as there is room for, evenly, the first and the last among them. */
function labelled(bars: number, most: number): number[] {
  if (bars <= most) return Array.from({ length: bars }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (bars - 1)) / (most - 1)));
}

function sum(values: readonly number[]): number {
  return values.reduce((one, other) => one + other, 0);
}

function round(n: number): number {
  return Math.round(n * 100) / 100;
}
